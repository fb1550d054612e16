//! `orderflow validate` of large documents beside bare markdown parsing of the same text.

use super::Sizes;
use super::pair::{Case, Unit};
use anyhow::{Context, ensure};
use pulldown_cmark::{Options, Parser};
use std::fmt::Write;
use std::path::Path;
use std::process::Command;
use std::time::Instant;

pub fn cases<'a>(sizes: &Sizes, folder: &Path) -> anyhow::Result<Vec<Case<'a>>> {
    let text = document(sizes.document);
    let (copies, bytes) = (sizes.copies, text.len() * sizes.copies);
    let path = folder.join("large.md");
    std::fs::write(&path, &text)?;
    Ok(vec![Case {
        name: format!("validate: {copies} x {} kB", text.len() / 1000),
        unit: Unit::BytesPerSecond,
        floor_name: "pulldown-cmark, events only",
        ours: Box::new(move || {
            let begin = Instant::now();
            let mut command = Command::new(env!("CARGO_BIN_EXE_orderflow"));
            command.arg("validate").args(std::iter::repeat_n(&path, copies));
            let output = command.output().context("cannot start orderflow")?;
            let took = begin.elapsed();
            ensure!(output.status.success(), "validate: {}", String::from_utf8_lossy(&output.stdout));
            Ok(bytes as f64 / took.as_secs_f64())
        }),
        floor: Box::new(move || {
            let begin = Instant::now();
            let parse = || Parser::new_ext(&text, Options::empty()).count();
            let events: usize = (0..copies).map(|_| parse()).sum();
            ensure!(events > 0, "there is text");
            Ok(bytes as f64 / begin.elapsed().as_secs_f64())
        }),
    }])
}

/// Steps with prose and recorded executions, as people write them, until the text is that long.
pub fn document(bytes: usize) -> String {
    let mut text = String::from("# Large\n\nTakes orders from the door to the customer.\n");
    for step in 0.. {
        let before = text.len();
        let _ = write!(text, "\n{}", section(step));
        if text.len() > bytes {
            text.truncate(before);
            break;
        }
    }
    text
}

fn section(step: usize) -> String {
    let next = step + 1;
    format!(
        "## Process Part {step} @payment-service #payments ! [retry:: 3 exponential 200ms..2s]

Critical: charges the customer's *payment method*.

value_{step} → value_{next}::PaymentReceipt

This step runs in parallel with other steps for `faster` processing. A busy gateway is asked again, with the
same idempotency key, so that nobody pays twice; a [declined card](https://example.com/declined) is not.

- the first thing to know about it
- the second

```session-toon
execution[3]{{phase,agent,channel,input,output,duration_ms,status,tokens_used,amount_usd}}:
 ProcessPart{step},payment-service,payments,order_001,receipt_001,1240,success,520,89.99
 ProcessPart{step},payment-service,payments,order_002,receipt_002,1580,success,580,145.50
 ProcessPart{step},payment-service,payments,order_005,receipt_005,1320,success,540,67.25
```
"
    )
}
