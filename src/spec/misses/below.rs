//! Near misses below a heading: lines of prose, types, fences and quotes.

use super::{LINES, Place, Right, is_known, is_signature};
use crate::diag::{Diagnostic, Replacement, Span, catalogue as problem};
use crate::spec::body::{Loose, out};
use crate::spec::decision::{self, Known};
use crate::spec::evidence::Role;
use crate::spec::markdown::{Fence, Holder, Kind};
use crate::spec::near::{self, Meant};
use crate::spec::signature;

/// Other names of fences with instructions.
const PROMPTS: [&str; 5] = ["prompts", "instructions", "instruction", "system-prompt", "user-prompt"];

/// Languages of programs, and the beginning of a fence that runs.
const LANGUAGES: [(&str, &str); 12] = [
    ("sh", "sh run"),
    ("shell", "sh run"),
    ("bash", "bash run"),
    ("zsh", "zsh run"),
    ("python", "python run"),
    ("python3", "python run"),
    ("py", "python run"),
    ("node", "node run"),
    ("javascript", "node run"),
    ("js", "node run"),
    ("ruby", "ruby run"),
    ("perl", "perl run"),
];

impl Place<'_> {
    /// Signatures with the types of other languages.
    pub(super) fn types(&self, problems: &mut Vec<Diagnostic>) {
        for arrow in self.part.arrows.iter().filter(|arrow| arrow.read.is_err()) {
            let right = near::types(self.slice(arrow.span)).filter(|right| is_signature(right));
            problems.extend(right.map(|right| problem::type_spelling(arrow.span, &right)));
        }
    }

    /// Lines of prose that are meant as annotations.
    pub(super) fn lines(&self, role: Role, problems: &mut Vec<Diagnostic>) {
        let mut ports: [Option<(&Loose, &str)>; 2] = [None, None];
        for loose in &self.part.loose {
            let said = self.slice(loose.inner);
            if role == Role::Step {
                problems.extend(self.for_each(loose));
            }
            if let Some(problem) = self.sign(role, loose) {
                problems.push(problem);
                continue;
            }
            let Some((key, value)) = near::pair(said).or_else(|| port(said)) else { continue };
            let value = value.trim_end_matches(['*', '_']).trim();
            let meant = match LINES.iter().find(|known| **known == near::plain(key)) {
                Some(known) => Meant::Field(known),
                None => match near::meant(key) {
                    Some(meant) => meant,
                    None => continue,
                },
            };
            match meant {
                Meant::Inputs => ports[0] = ports[0].or(Some((loose, value))),
                Meant::Outputs => ports[1] = ports[1].or(Some((loose, value))),
                _ if role == Role::Step
                    || matches!(meant, Meant::Field("retry" | "timeout" | "deadline" | "budget")) =>
                {
                    problems.extend(self.line(loose, meant, value));
                }
                _ => {}
            }
        }
        if let (Role::Step, [Some(inputs), Some(outputs)]) = (role, ports) {
            problems.extend(self.ports(inputs, outputs));
        }
    }

    fn line(&self, loose: &Loose, meant: Meant, value: &str) -> Option<Diagnostic> {
        let short = value.split_whitespace().count() <= 6;
        match meant {
            // A sentence is more than a setting.
            Meant::Gate if !short => return None,
            Meant::Repeat if near::value("repeat", value).is_none() => {
                let example = "[repeat:: 3 until review.approved]";
                return short.then(|| problem::near_annotation(loose.inner, example));
            }
            Meant::Nothing(what) => {
                return near::time(value).map(|_| problem::no_effect(loose.inner, "this line", what));
            }
            // A responsible person is not an agent if there is one.
            Meant::Agent if self.agent || !self.part.programs.is_empty() => return None,
            Meant::Handler if self.step(value).is_none() => {
                let times = value.strip_prefix("retry ").and_then(near::times);
                let retries = times.filter(|_| self.part.field(self.text, "retry").is_none());
                let why = "a failure handler is a step that takes an input such as `failed_items`";
                return match retries {
                    Some(times) => Some(self.on_a_line(loose, &format!("[retry:: {times}]"))),
                    // `Else: end` is reported as a decision.
                    None => (short && !decision::begins(self.slice(loose.inner)))
                        .then(|| problem::no_such_thing(loose.inner, self.slice(loose.inner), why)),
                };
            }
            Meant::Undo | Meant::Undoes | Meant::Field("compensate") if self.step(value).is_none() => {
                return None;
            }
            Meant::Field("when") | Meant::Unless
                if !near::condition(value).is_some_and(|right| is_known(&right, self.titles)) =>
            {
                let asks = short && self.part.field(self.text, "when").is_none();
                return asks.then(|| problem::near_annotation(loose.inner, "[when:: total > 100]"));
            }
            _ => {}
        }
        if let Meant::Field(key) = meant
            && self.part.field(self.text, key).is_some()
        {
            return None;
        }
        match self.right(meant, value)? {
            Right::Here(right) => {
                let (span, text) = match loose.holder {
                    None => (loose.inner, right.clone()),
                    Some(_) => out(self.text, loose.line, &right),
                };
                Some(problem::near_annotation(loose.inner, &right).fix(span, text))
            }
            Right::There(shown, changes) => {
                let gone = Replacement { span: self.removal(loose.whole(self.text)), text: String::new() };
                let changes = changes.into_iter().chain([gone]).collect();
                Some(problem::near_annotation(loose.inner, &shown).fixed(meant != Meant::Gate, changes))
            }
        }
    }

    /// `**Input:** order` and `**Output:** receipt` as a signature.
    fn ports(&self, inputs: (&Loose, &str), outputs: (&Loose, &str)) -> Option<Diagnostic> {
        let written = self.part.arrows.iter().any(|arrow| arrow.read.is_ok());
        if written || self.head.outputs().next().is_some() {
            return None;
        }
        let names = |value: &str| {
            let none = ["-", "–", "none", "None", "nothing"].contains(&value);
            if none { String::new() } else { typed(&value.trim_end_matches('.').replace('`', "")) }
        };
        let right = format!("{} → {}", names(inputs.1), names(outputs.1)).trim().to_owned();
        let right = near::types(&right).unwrap_or(right);
        signature::read(&right, Span::new(0, right.len())).filter(|arrow| arrow.read.is_ok())?;
        let (first, second) = (inputs.0, outputs.0);
        let (span, text) = match first.holder {
            None => (first.inner, right.clone()),
            Some(_) => out(self.text, first.line, &right),
        };
        let gone = Replacement { span: self.removal(second.whole(self.text)), text: String::new() };
        Some(
            problem::near_annotation(first.inner, &right).fixed(true, vec![Replacement { span, text }, gone]),
        )
    }

    /// Fences that should run or are meant as instructions, and placeholders.
    pub(super) fn fences(&self, problems: &mut Vec<Diagnostic>) {
        let mut runnable: Vec<(&Fence, &str)> = Vec::new();
        for block in &self.part.blocks {
            match &block.kind {
                Kind::Fence(fence) => {
                    let mut words = self.slice(fence.info).split_whitespace();
                    let language = words.next().unwrap_or_default().to_lowercase();
                    if PROMPTS.contains(&language.as_str()) {
                        problems
                            .push(problem::near_annotation(fence.info, "prompt").fix(fence.info, "prompt"));
                    } else if language == "prompt" {
                        self.unfilled(fence.content, problems);
                    }
                    let run =
                        LANGUAGES.iter().find(|(known, _)| *known == language && words.next().is_none());
                    runnable.extend(run.map(|(_, right)| (fence, *right)));
                }
                Kind::Container(quote) if quote.holder == Holder::Quote => {
                    self.unfilled(block.span, problems)
                }
                _ => {}
            }
        }
        if let ([(fence, right)], false, true) =
            (runnable.as_slice(), self.agent, self.part.programs.is_empty())
        {
            problems.push(problem::fence_without_run(fence.info, right));
        }
    }

    /// Placeholders with one brace, such as `{outline}`.
    fn unfilled(&self, span: Span, problems: &mut Vec<Diagnostic>) {
        let text = self.slice(span);
        for (at, _) in text.match_indices('{') {
            let Some(close) = text[at..].find('}').map(|close| at + close) else { return };
            let name = text[at + 1..close].trim();
            let single = !text[..at].ends_with(['{', '\\']) && !text[close + 1..].starts_with('}');
            if single && signature::is_name(name) && self.titles.is_value(name) {
                let start = if text[..at].ends_with('$') { at - 1 } else { at };
                let place = Span::new(span.start + start, span.start + close + 1);
                problems.push(problem::almost_a_value(place, &text[start..=close], name));
            }
        }
    }
}

/// `in: order::Order`, which has colons of its own.
fn port(line: &str) -> Option<(&str, &str)> {
    let (key, value) = line.split_once(": ")?;
    let key = key.trim_matches(['*', '_', '`', ' ']);
    let ports = matches!(near::meant(key), Some(Meant::Inputs | Meant::Outputs));
    ports.then(|| (key, value.trim_start_matches(['*', '_', ' ']).trim()))
}

/// `form (JSON), age (Integer)` with the types where a signature has them.
fn typed(names: &str) -> String {
    let one = |name: &str| {
        let (bare, ty) = name.trim().strip_suffix(')')?.split_once(" (")?;
        let sound = signature::is_name(bare.trim()) && ty.starts_with(|c: char| c.is_ascii_alphabetic());
        sound.then(|| format!("{}::{}", bare.trim(), ty.trim()))
    };
    names.split(',').map(one).collect::<Option<Vec<String>>>().map_or(names.to_owned(), |all| all.join(", "))
}
