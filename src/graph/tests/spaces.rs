//! Documents from all keyboards: whatever the white space is, and however a title is marked, they mean the same.

use super::{graph, told};
use crate::value::space::is_space;

/// `⍽` is white space of whatever kind.
const SHOP: &str = "---⍽
agent:⍽clerk⍽
deadline:⍽10m
inputs: {⍽order:⍽Order,⍽fast:⍽Boolean⍽}
env:⍽[⍽TOWN,⍽'HOME'⍽]
---

#⍽Shop

##⍽1.⍽Count⍽Stock⍽@desk⍽#shelf
[timeout::⍽5s]⍽[retry⍽::⍽3⍽fixed⍽2s]

order,⍽fast⍽→⍽stock⍽::⍽Integer

If⍽stock⍽>⍽5⍽and⍽fast⍽→⍽Pay⍽Now
If⍽stock⍽>⍽3,⍽proceed⍽to⍽Order⍽More
Otherwise⍽→⍽fail⍽\"out of stock\"

>⍽[!expect]⍽p95⍽<⍽2s,⍽errors⍽<⍽1%

##⍽Pay⍽Now⍽@bank⍽#money⍽!⍽[state::⍽open⍽→⍽paid]
stock⍽→⍽done

##⍽Order⍽More⍽@desk⍽?
stock⍽→⍽done

##⍽Reviews⍽(parallel)⍽[after::⍽Order⍽More]

###⍽Look⍽Twice⍽[each::⍽one⍽in⍽done]
⍽Takes⍽one⍽→⍽creates:

-⍽seen::Boolean⍽-⍽a⍽remark

###⍽Say⍽So⍽[after::⍽2.⍽Pay⍽Now]
⍽⍽word⍽→⍽Tell⍽Them

##⍽Tell⍽Them⍽[compensate::⍽Call⍽Back]
done⍽→⍽said

```⍽sh⍽run
echo x
```

##⍽Compensations

###⍽Call⍽Back
said⍽→⍽back

##⍽Types⍽

```⍽ts
interface⍽Order⍽{⍽id:⍽string⍽}
```

```mermaid
stateDiagram-v2
⍽⍽⍽⍽[*]⍽-->⍽open
⍽⍽⍽⍽open⍽-->⍽paid
```
";

/// All that a document means, without the white space in texts.
fn meaning(text: &str) -> String {
    let graph = graph(text);
    let steps = graph.ids().map(|id| graph.meaning(id)).collect::<String>();
    let expected: Vec<_> = graph
        .steps
        .iter()
        .flat_map(|step| &step.expectations)
        .map(|one| (&one.quantity, one.bound.clone()))
        .collect();
    let all = format!("{steps}\n{expected:?} {:?} {:?}", graph.settings, graph.inputs);
    all.split(is_space).filter(|word| !word.is_empty()).collect::<Vec<_>>().join(" ")
}

#[test]
fn white_space_of_any_keyboard_means_the_same() {
    let plain = meaning(&SHOP.replace('⍽', " "));
    for c in "\u{a0}\u{1680}\u{2002}\u{2009}\u{202f}\u{205f}\u{3000}\u{b}\u{c}\u{85}\u{2028}\u{feff}\u{200b}\u{2060}".chars() {
        // What has no width parts no words.
        if c.is_whitespace() {
            assert_eq!(meaning(&SHOP.replace('⍽', &c.to_string())), plain, "U+{:04X}", u32::from(c));
        }
        assert_eq!(meaning(&SHOP.replace('⍽', &format!(" {c} "))), plain, "U+{:04X} between", u32::from(c));
    }
}

#[test]
fn titles_are_compared_by_what_is_read() {
    let document = "\
## 1. One @a
x → y::Integer

If y > 1 → REF
If y < 1 → skip to REF

## HEAD @a [compensate:: REF Back]

## HEAD Back @a

## Group of *Step* Two

### 1.1 Inner @b [after:: REF]

## Last @a [after:: Group of **Step** Two / 3. Inner]
y, z → w

## Giver @a [after:: start]
z → REF
";
    let written = [
        "Step Two",
        "**Step** Two",
        "Step  &#84;wo",
        "2. Step Two",
        "**2.** `Step` Two",
        "Step\u{a0}Two",
        "[Step](x.md) Two",
    ];
    let said = |head: &str, refer: &str| {
        let graph = graph(&document.replace("HEAD", head).replace("REF", refer));
        graph.ids().map(|id| graph.meaning(id)).collect::<String>()
    };
    let plain = said("Step Two", "Step Two");
    assert!(
        plain.contains("title: Step Two\n") && plain.contains("compensated by: StepTwoBack\n"),
        "{plain}"
    );
    for head in written {
        for refer in written {
            assert_eq!(said(head, refer), plain, "{head} by {refer}");
        }
    }
    assert_eq!(told("## A @a\n\n## B @a [after:: **C**]\n"), ["unknown-step: unknown step `C`"]);
}
