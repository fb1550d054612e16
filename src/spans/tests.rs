use super::*;

const HEADER: &str = "00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01";

#[test]
fn a_header_is_read_as_the_specification_demands() {
    let read = TraceContext::parse(HEADER).unwrap();
    assert_eq!(read.to_string(), HEADER);
    let sampled = |text: &str| TraceContext::parse(text).map(|context| context.sampled);
    for (text, expected) in [
        ("00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-00", Some(false)),
        ("00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-03", Some(true)),
        // A later version may have more.
        ("cc-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01-what-else", Some(true)),
        ("00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01-what", None),
        ("ff-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01", None),
        ("00-00000000000000000000000000000000-b7ad6b7169203331-01", None),
        ("00-0af7651916cd43dd8448eb211c80319c-0000000000000000-01", None),
        ("00-0AF7651916CD43DD8448EB211C80319C-b7ad6b7169203331-01", None),
        ("00-0af7651916cd43dd8448eb211c80319-b7ad6b7169203331-01", None),
        ("00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331", None),
        ("00-0af7651916cd43dd8448eb211c8031é-b7ad6b7169203331-01", None),
        ("0", None),
        ("", None),
    ] {
        assert_eq!(sampled(text), expected, "{text}");
    }
}

#[test]
fn what_differs_has_another_identifier() {
    let run = ItemId(1);
    let ids = [
        SpanId::of_run("a"),
        SpanId::of_run("b"),
        SpanId::of_attempt("a", run, ("Pay", None), 1),
        SpanId::of_attempt("b", run, ("Pay", None), 1),
        SpanId::of_attempt("a", ItemId(2), ("Pay", None), 1),
        SpanId::of_attempt("a", run, ("Pay", Some(1)), 1),
        SpanId::of_attempt("a", run, ("Pay1", None), 1),
        SpanId::of_attempt("a", run, ("Pay", None), 2),
    ];
    let unique: std::collections::BTreeSet<SpanId> = ids.into_iter().collect();
    assert_eq!(unique.len(), ids.len());
    assert_eq!(SpanId::of_run("a"), ids[0]);
    assert_ne!(TraceContext::of_run("a"), TraceContext::of_run("b"));
}
