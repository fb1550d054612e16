//! What people see in a terminal of 80 columns: long names, keys, commands, addresses and messages fit.

use crate::place::Place;
use std::process::{Command, Stdio};

/// What `orderflow` shows in a terminal of 80 columns.
fn shown(place: &Place, args: &str) -> String {
    let program = format!("stty cols 80 && {} {args}", env!("CARGO_BIN_EXE_orderflow"));
    let mut terminal = Command::new("script");
    terminal.args(["-qec", &program, "/dev/null"]).current_dir(place.folder()).env("NO_COLOR", "1");
    terminal.env("XDG_STATE_HOME", place.path(".state")).stdin(Stdio::null());
    String::from_utf8(terminal.output().unwrap().stdout).unwrap()
}

const DOCUMENT: &str = "\
---
title: The Long Way of an Order
items: orders.jsonl
tolerate: 100%
---

# Orders

## Receive The Order And Look It Up In The Catalogue Of All Products @catalogue-of-all-products #catalogue [retry:: 3] [timeout:: 30s]
order_as_it_arrived_in_the_mail::String → order_as_it_is_in_the_catalogue::String

```sh run
echo \"$IN_ORDER_AS_IT_ARRIVED_IN_THE_MAIL, found in the catalogue of all products of this season and the next\"
```

## Decide Whether The Customer Has Paid For Everything That Was Ordered @the-accounts-of-last-year #accounts
order_as_it_is_in_the_catalogue → customer_has_paid_for_everything::Boolean

```sh run
case \"$ORDERFLOW_ITEM\" in *7) echo \"the accounts of last year have no customer with this number, name or address\" >&2; exit 65 ;; esac
echo '{\"customer_has_paid_for_everything\": true, \"the_balance_of_the_account_in_euros\": 1234567.89}'
```

## Write The Letter @writer-of-letters
customer_has_paid_for_everything → letter::String
";

const SETTINGS: &str = "\
[agents.catalogue-of-all-products]
http = \"https://catalogue.of.all.products.internal.example/api/v2/steps?season=winter&shop=of-the-north\"
concurrency = 12

[agents.the-accounts-of-last-year]
worker = [\"python3\", \"-S\", \"agents/accounts/of/last/year/and/the/years/before/accounts.py\", \"--verbose\"]
processes = 4
effects = false

[agents.writer-of-letters]
command = [\"sh\", \"-c\", \"echo dear customer, thank you for the order of all of these products\"]
";

#[test]
fn nothing_is_wider_than_80_columns() {
    let place = Place::new(DOCUMENT);
    let (_, writer) = SETTINGS.split_at(SETTINGS.find("[agents.writer").unwrap());
    place.write("orderflow.toml", writer);
    let item = |id: u32| {
        let key = format!("order-of-the-customer-with-the-longest-name-of-all-customers-{id}");
        format!(
            "{{\"id\": \"{key}\", \"order_as_it_arrived_in_the_mail\": \"Two of everything, for {id}\"}}\n"
        )
    };
    place.write("orders.jsonl", &(1..=12).map(item).collect::<String>());
    let told = place.run("--quiet");
    assert_eq!(told.exit, Some(0), "{}", told.err);
    place.write("orderflow.toml", SETTINGS);
    for args in [
        "runs",
        "plan flow.md",
        "agents flow.md",
        "show last",
        "show last --item order-of-the-customer-with-the-longest-name-of-all-customers-7",
        "stats session.toon",
    ] {
        let shown = shown(&place, args);
        assert!(shown.lines().count() > 2, "{args}:\n{shown}");
        // A path or a command that can be copied, a sentence, a value and the message of a failure are left to the terminal.
        let message = "the accounts of last year have no customer";
        let whole = |line: &&str| {
            let value = ["    takes ", "    makes "].iter().any(|start| line.starts_with(start));
            value
                || line.starts_with("folder ")
                || line.starts_with("all that it logged: ")
                || line.ends_with('.')
                || line.contains(message)
        };
        let wide: Vec<&str> =
            shown.lines().filter(|line| !whole(line) && line.chars().count() > 80).collect();
        assert_eq!(wide, [""; 0], "{args}:\n{shown}");
    }
}
