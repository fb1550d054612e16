//! Secrets are found in every form, however the stream that brought them was cut.

use super::super::contract;
use super::super::program::Tail;
use super::*;
use crate::event::{Answer, AttemptEvent, Cause, EventKind, ItemId, Outcome, Reply, ValueId, Values};
use proptest::prelude::*;
use serde_json::json;

fn redacted(secret: &str, text: &str) -> String {
    let mut text = text.to_owned();
    Redactor::new([("KEY", secret)]).text(&mut text);
    text
}

#[test]
fn a_secret_is_found_as_it_is_and_escaped() {
    let secret = "p\"ä/ss\nword-7";
    for text in [
        secret.to_owned(),
        json!(secret).to_string(),
        json!({ "message": format!("key {secret}") }).to_string(),
        "\"p\\\"\\u00e4/ss\\nword-7\"".to_owned(),
        "p\\\"\\u00e4\\/ss\\nword-7".to_owned(),
        format!("{secret:?}"),
    ] {
        let found = redacted(secret, &text);
        assert!(found.contains("[secret:KEY]") && !found.contains("word-7"), "{text} -> {found}");
    }
    assert_eq!(redacted("hunter22", "hunter22hunter22, hunter2"), "[secret:KEY][secret:KEY], hunter2");
}

#[test]
fn a_part_that_a_message_shows_is_found() {
    let secret = "sk_live_0123456789abcdef";
    assert_eq!(redacted(secret, "got `sk_live_0123456…`"), "got `[secret:KEY]…`");
    assert_eq!(redacted(secret, "sk_liv…"), "sk_liv…");
    let mut log = "6789abcdef\nno stock".to_owned();
    Redactor::new([("KEY", secret)]).log(&mut log);
    assert_eq!(log, "[secret:KEY]\nno stock");
}

#[test]
fn what_is_short_stands_everywhere() {
    assert_eq!(redacted("abc", "abcabc"), "abcabc");
    assert_eq!(redacted("", "abc"), "abc");
    assert_eq!(redacted("abcd", "abcabcd"), "abc[secret:KEY]");
}

#[test]
fn a_key_of_many_lines_is_found_line_by_line() {
    let key = "-----BEGIN KEY-----\nMIIEvQIBADANBg\nkqhkiG9w0BAQEF\n-----END KEY-----\n";
    assert_eq!(redacted(key, &format!("loaded {key}")), "loaded [secret:KEY]");
    assert_eq!(redacted(key, "line 2: kqhkiG9w0BAQEF"), "line 2: [secret:KEY]");
    assert_eq!(redacted(key, "-----END KEY-----"), "-----END KEY-----");
}

#[test]
fn overlapping_secrets_leave_nothing() {
    let mut text = "x abcdefghijklmno y".to_owned();
    Redactor::new([("A", "abcdefghij"), ("B", "fghijklmno")]).text(&mut text);
    assert_eq!(text, "x [secret:A] y");
}

#[test]
fn an_answer_keeps_its_outputs_and_nothing_else() {
    let redactor = Redactor::new([("KEY", "12345678")]);
    let column = |name: &str, value| (name.into(), value);
    let columns = vec![
        column("a", json!("is 12345678")),
        column("b", json!(1234567890)),
        column("12345678", json!(1)),
        column("[secret:KEY]", json!(2)),
        column("d", json!(1.5)),
    ];
    let outputs = vec![(ValueId(0), Arc::new(json!("12345678")))];
    let mut answer: Answer = Ok(Reply { outputs: outputs.clone(), columns, ..Reply::default() });
    redactor.answer(ItemId(0), false, &mut answer);
    let expected = vec![
        column("a", json!("is [secret:KEY]")),
        column("b", json!("[secret:KEY]90")),
        column("[secret:KEY]", json!(1)),
        column("d", json!(1.5)),
    ];
    assert_eq!(answer, Ok(Reply { outputs, columns: expected, ..Reply::default() }));

    let mut failure = contract::failure(Cause::Refused, "no 12345678".into(), Outcome::Failed, true);
    (failure.code, failure.log) = (Some("E12345678".into()), "12345678\n".into());
    let mut answer: Answer = Err(failure);
    redactor.answer(ItemId(0), false, &mut answer);
    let failure = answer.unwrap_err();
    assert_eq!(failure.message, "no [secret:KEY]");
    assert_eq!((failure.code.as_deref(), failure.log.as_str()), (Some("E[secret:KEY]"), "[secret:KEY]\n"));
}

/// What a step has made, as it is kept and as it comes back.
fn kept(redactor: &Redactor, value: serde_json::Value) -> (String, serde_json::Value) {
    let reply = Reply { outputs: vec![(ValueId(0), Arc::new(value))], ..Reply::default() };
    let (item, step) = (crate::event::ItemId(0), crate::event::StepId(0));
    let mut event = AttemptEvent::Finished(Ok(reply)).of(item, step, 1, 0);
    redactor.conceal(&mut event);
    let text = serde_json::to_string(&event).unwrap();
    redactor.reveal(&mut event);
    let EventKind::Attempt(_, _, _, AttemptEvent::Finished(Ok(reply))) = event.kind else { unreachable!() };
    (text, (*reply.outputs[0].1).clone())
}

#[test]
fn what_is_kept_holds_names_that_cannot_be_forged() {
    let redactor = Redactor::new([("KEY", "hunter22")]);
    let made =
        json!({"hunter22": ["a hunter22 b", "hunter"], "said": "[secret:KEY] [secret:] [secret:", "n": 1.50});
    let (text, back) = kept(&redactor, made.clone());
    assert!(!text.contains("hunter22") && text.contains("a [secret:KEY] b"), "{text}");
    assert_eq!(back, made);
    let (text, back) = kept(&Redactor::default(), made.clone());
    assert!(text.contains("hunter22"), "{text}");
    assert_eq!(back, made);
}

/// As writers of JSON do it: they must escape quotes, backslashes and controls, may escape all else, and some write what
/// others have written.
fn spoken(secret: &str, rolls: &[u8], depth: usize) -> String {
    let mut roll = rolls.iter().cycle();
    (0..depth).fold(secret.to_owned(), |text, _| {
        let mut out = String::new();
        for letter in text.chars() {
            let must = matches!(letter, '"' | '\\') || letter.is_control();
            let short = "\"\\/\n\r\t".find(letter).map(|at| b"\"\\/nrt"[at] as char);
            match (roll.next().unwrap() % 8, short) {
                (0..=2, _) if !must => out.push(letter),
                (0..=4, Some(short)) => out.extend(['\\', short]),
                (5, _) => {
                    letter.encode_utf16(&mut [0; 2]).iter().for_each(|unit| out += &format!("\\u{unit:04X}"))
                }
                (6, _) => out += &format!("\\u{{{:x}}}", u32::from(letter)),
                (7, _) if u32::from(letter) < 256 => out += &format!("\\x{:02x}", u32::from(letter)),
                _ => {
                    letter.encode_utf16(&mut [0; 2]).iter().for_each(|unit| out += &format!("\\u{unit:04x}"))
                }
            }
        }
        out
    })
}

#[test]
fn escapes_of_every_writer_are_understood() {
    let secret = "<ä&\"/\\\u{1F600}>pass'word";
    for text in [
        r#"\u003cä\u0026\"/\\😀\u003epass'word"#,
        r#"\u003c\u00E4\u0026\u0022\/\u005C\uD83D\uDE00\u003Epass\u0027word"#,
        r#"<\\u00e4&\\\"\/\\\\\\ud83d\\ude00>pass'word"#,
        r#"<\u{e4}&\"/\\\u{1f600}>pass\'word"#,
        r#"<\xe4&\"/\\\u{1F600}>pass'word"#,
    ] {
        let quoted = format!("it said \"{text}\", then");
        assert_eq!(redacted(secret, &quoted), "it said \"[secret:KEY]\", then", "{text}");
    }
    // What looks like an escape may be what it looks like.
    assert_eq!(redacted("C:\\new\\u0041", r"in C:\new\u0041"), "in [secret:KEY]");
}

#[test]
fn a_text_is_searched_in_proportion_to_its_length() {
    let secret = format!("{}b", "a".repeat(20_000));
    let redactor = Redactor::new([("KEY", secret.as_str()), ("OTHER", "never there")]);
    let mut text = "a".repeat(100_000) + &"\\u005c".repeat(10_000) + &"[secret:".repeat(10_000);
    let made = json!(text);
    let begin = std::time::Instant::now();
    redactor.log(&mut text);
    assert!(text.starts_with("[secret:KEY]\\u005c"));
    assert_eq!(kept(&redactor, made.clone()).1, made);
    // Looking again at every place takes minutes.
    assert!(begin.elapsed() < std::time::Duration::from_secs(60), "{:?}", begin.elapsed());
}

/// A secret whose pieces do not stand in filling or marks by chance.
fn secret() -> impl Strategy<Value = String> {
    "[A-Z0-9ÄÖ\"\\\\\u{1F600}]{4,40}"
}

proptest! {
    #![proptest_config(ProptestConfig { failure_persistence: None, ..ProptestConfig::default() })]

    #[test]
    fn a_log_tells_no_secret_however_it_came_and_was_cut(
        secret in secret(),
        filling in prop::collection::vec("[a-z \n]{0,30}", 1..20),
        escaped in any::<bool>(),
        size in 1..60usize,
        most in 1..200usize,
    ) {
        let json = json!(secret).to_string();
        let spoken = if escaped { &json[1..json.len() - 1] } else { &secret };
        let stream = filling.join(spoken);
        let mut tail = Tail::new(most);
        stream.as_bytes().chunks(size).for_each(|chunk| tail.take(chunk));
        let mut log = tail.text();
        Redactor::new([("key", secret.as_str())]).log(&mut log);
        prop_assert!(!log.contains(&secret), "{log}");
        for part in [&secret, spoken] {
            // Neither is more than a few bytes left of one that was cut.
            let parts = part.char_indices().filter_map(|(at, _)| part.get(at..)).filter(|p| p.len() >= TELLING);
            for part in parts {
                prop_assert!(!log.contains(part), "{part} in {log}");
            }
        }
    }

    #[test]
    fn a_secret_is_found_however_it_was_written(
        secret in "[A-Z0-9ÄÖ\"\\\\\u{1F600}/<&\n\t']{4,40}",
        rolls in prop::collection::vec(any::<u8>(), 1..60),
        depth in 0..4usize,
    ) {
        let text = format!("before {{`{}`}} behind", spoken(&secret, &rolls, depth));
        let redactor = Redactor::new([("key", secret.as_str())]);
        let mut all = text.clone();
        redactor.text(&mut all);
        prop_assert_eq!(all, "before {`[secret:key]`} behind", "{}", text);
    }

    #[test]
    fn redacting_changes_nothing_else(secret in secret(), filling in prop::collection::vec("[a-z \n]{1,30}", 1..20)) {
        let mut text = filling.join(&secret);
        Redactor::new([("key", secret.as_str())]).text(&mut text);
        prop_assert_eq!(text, filling.join("[secret:key]"));
    }

    #[test]
    fn whatever_is_kept_comes_back(
        secrets in prop::collection::vec("[a\\]:\\[s]{0,6}|\\[secret:[ab]?\\]?", 0..4),
        texts in prop::collection::vec("([a\\]:\\[s]|\\[secret:|[ab]\\]){0,12}", 1..4),
    ) {
        let names = ["a", "b", "ab", "aa"];
        let redactor = Redactor::new(names.into_iter().zip(secrets.iter().map(String::as_str)));
        let made = json!({"texts": texts, (texts[0].clone()): secrets});
        prop_assert_eq!(kept(&redactor, made.clone()).1, made);
    }

    #[test]
    fn any_text_and_any_secret_are_borne(secret in any::<String>(), text in any::<String>(), cut in any::<prop::sample::Index>()) {
        let redactor = Redactor::new([("key", secret.as_str())]);
        let start: String = secret.chars().skip(cut.index(secret.chars().count().max(1))).collect();
        for mut text in [text.clone(), format!("{text}{secret}{text}"), format!("{start}{text}")] {
            redactor.log(&mut text);
            redactor.text(&mut text);
        }
    }
}

#[test]
fn what_a_step_makes_is_known_for_its_item_and_for_the_steps_of_all() {
    let redactor = Redactor::new([("KEY", "12345678")]).of_values([(ValueId(1), "token")]);
    let outputs = |text: &str| -> Values {
        vec![(ValueId(0), Arc::new(json!("open-text"))), (ValueId(1), Arc::new(json!([text])))]
    };
    let reply = |text: &str| Reply { outputs: outputs(text), ..Reply::default() };
    redactor.answer(ItemId(0), false, &mut Ok(reply("alpha-secret")));
    redactor.answer(ItemId(1), true, &mut Ok(reply("beta-secret")));
    let seen = |item: ItemId| {
        let mut text = "12345678 open-text alpha-secret beta-secret".to_owned();
        redactor.shown_text(item, &mut text);
        text
    };
    assert_eq!(seen(ItemId(0)), "[secret:KEY] open-text [secret:token] beta-secret");
    assert_eq!(seen(ItemId(1)), "[secret:KEY] open-text alpha-secret [secret:token]");
    assert_eq!(seen(ItemId(2)), "[secret:KEY] open-text alpha-secret beta-secret");
    assert_eq!(seen(ItemId::RUN), "[secret:KEY] open-text [secret:token] [secret:token]");
    let failed = |shared: bool| {
        let mut failure =
            contract::failure(Cause::Protocol, "ended: beta-secret".to_owned(), Outcome::Unknown, true);
        failure.log = "alpha-secret beta-secret".to_owned();
        let mut answer = Err(failure);
        redactor.answer(ItemId(0), shared, &mut answer);
        let failure = answer.unwrap_err();
        (failure.message, failure.log)
    };
    let told = |message: &str, log: &str| (message.to_owned(), log.to_owned());
    assert_eq!(failed(false), told("ended: beta-secret", "[secret:token] beta-secret"));
    assert_eq!(failed(true), told("ended: [secret:token]", "[secret:token] [secret:token]"));
}

/// As programs print a text or its bytes as they would stand in their source.
#[test]
fn escapes_of_bytes_and_of_long_code_points_are_seen() {
    let redactor = Redactor::new([("KEY", "a\u{1f511}-corr\u{e4}ct-horse")]);
    for said in [
        "'a\\U0001f511-corr\\xe4ct-horse'",
        "b'a\\xf0\\x9f\\x94\\x91-corr\\xc3\\xa4ct-horse'",
        "$'a\\360\\237\\224\\221-corr\\303\\244ct-horse'",
        "\"b'a\\\\xf0\\\\x9f\\\\x94\\\\x91-corr\\\\xc3\\\\xa4ct-horse'\"",
    ] {
        let mut text = format!("logged {said} at last");
        redactor.text(&mut text);
        assert!(text.contains("[secret:KEY]") && !text.contains("horse"), "{said}: {text}");
        assert!(text.starts_with("logged ") && text.ends_with(" at last"), "{text}");
    }
    let mut same = "\\xff\\x \\U0001 \\9 \\400 \\x4 \\0".to_owned();
    redactor.text(&mut same);
    assert_eq!(same, "\\xff\\x \\U0001 \\9 \\400 \\x4 \\0");
}

/// What reaches us of a program's log is bytes; those that are no UTF-8 are shown by a sign for each.
#[test]
fn a_secret_in_another_encoding_is_found() {
    let secret = "corr\u{e4}ct-h\u{f6}rse-\u{fc}\u{df}\u{c3}\u{a4}-battery";
    let latin = |text: &str| text.chars().map(|c| c as u8).collect::<Vec<u8>>();
    let wide = |order: fn(u16) -> [u8; 2]| secret.encode_utf16().flat_map(order).collect::<Vec<u8>>();
    let of_byte = |with: fn(u8) -> char| -> Vec<u8> {
        let letters = secret.bytes().map(|b| if b < 128 { b.into() } else { with(b) });
        letters.collect::<String>().into_bytes()
    };
    let escaped = latin(secret).iter().map(|byte| format!("\\x{byte:02x}")).collect::<String>();
    for (form, bytes) in [
        ("Latin-1", latin(secret)),
        ("Latin-1 in JSON", latin(&format!("{{\"key\": \"\\u0063{}\"}}", &secret[1..]))),
        ("UTF-16, little end first", wide(u16::to_le_bytes)),
        ("UTF-16, big end first", wide(u16::to_be_bytes)),
        ("UTF-8 read as Latin-1", of_byte(char::from)),
        ("UTF-8 read as ASCII", of_byte(|_| '\u{fffd}')),
        ("written as ASCII", secret.replace(|c: char| !c.is_ascii(), "?").into_bytes()),
        ("UTF-8 read and written as ASCII", of_byte(|_| '?')),
        ("bytes of Latin-1 as escapes", escaped.into_bytes()),
    ] {
        let mut log = Tail::new(1000);
        log.take(b"key ");
        log.take(&bytes);
        log.take(b" was refused\n");
        let mut text = log.text();
        Redactor::new([("KEY", secret)]).log(&mut text);
        let plain: String = text.chars().filter(|c| *c != '\0').collect();
        for part in ["rse-", "batt", "ct-h"] {
            assert!(!plain.contains(part), "{form}: {text:?}");
        }
        assert!(text.starts_with("key ") && text.contains("[secret:KEY]"), "{form}: {text:?}");
        assert!(text.ends_with(" was refused\n"), "{form}: {text:?}");
    }
    // Signs alone tell nothing of it.
    let none = "\u{fffd}\u{fffd}\u{fffd}\u{fffd}\u{fffd}\u{fffd}?????? \u{fffd}-";
    assert_eq!(redacted("\u{fc}\u{fc}\u{fc}\u{fc}\u{fc}\u{fc}-abc1", none), none);
    assert_eq!(redacted("\u{43f}\u{430}\u{440}\u{43e}\u{43b}\u{44c}", none), none);
}
