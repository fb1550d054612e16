//! The signs of states: shapes that differ without colour. Each is drawn once and used by its name.

use maud::{Markup, PreEscaped, html};

/// Names and shapes, in a square of 16.
const SHAPES: [(&str, &str); 9] = [
    ("ok", r#"<circle cx="8" cy="8" r="6.5" class="fill"/><path d="M5 8.3l2.1 2.1L11.2 6" class="cut"/>"#),
    (
        "bad",
        r#"<path d="M8 .9 15.1 8 8 15.1.9 8z" class="fill"/><path d="M5.7 5.7l4.6 4.6m0-4.6l-4.6 4.6" class="cut"/>"#,
    ),
    (
        "comp",
        r#"<circle cx="8" cy="8" r="6.5" class="line"/><path d="M10.8 10.5c1-2.6-.6-4.3-2.6-4.3H5.4m1.7-2L5.2 6.2l1.9 2" class="line"/>"#,
    ),
    ("wait", r#"<circle cx="8" cy="8" r="6.5" class="line"/><path d="M8 4.5V8l2.4 1.6" class="line"/>"#),
    ("run", r#"<circle cx="8" cy="8" r="6.5" class="line"/><path d="M6.4 5.2v5.6L11 8z" class="fill"/>"#),
    (
        "stop",
        r#"<rect x="2" y="2" width="12" height="12" rx="2" class="line"/><path d="M5.2 8h5.6" class="line"/>"#,
    ),
    ("skip", r#"<circle cx="8" cy="8" r="6.5" class="line dash"/><path d="M5.5 8h5" class="line"/>"#),
    ("none", r#"<circle cx="8" cy="8" r="6.5" class="line dash"/>"#),
    (
        "person",
        r#"<circle cx="8" cy="5" r="2.8" class="fill"/><path d="M2.5 14c.5-4 2.6-5.2 5.5-5.2s5 1.2 5.5 5.2z" class="fill"/>"#,
    ),
];

/// The drawing of all shapes, once a page.
pub fn shapes() -> Markup {
    html! {
        svg.shapes aria-hidden="true" width="0" height="0" {
            @for (name, shape) in SHAPES {
                symbol id={ "_g-" (name) } viewBox="0 0 16 16" { (PreEscaped(shape)) }
            }
        }
    }
}

/// A sign beside a text that says the same.
pub fn glyph(name: &str) -> Markup {
    html! { svg class={ "g g-" (name) } aria-hidden="true" width="16" height="16" { use href={ "#_g-" (name) } {} } }
}
