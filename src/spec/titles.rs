//! The titles and names of a document to which lines can refer.

use super::body::Part;
use super::decision::Known;
use super::evidence::Role;
use super::title;
use crate::value::{in_conditions, nearest};
use std::cell::Cell;
use std::collections::{HashMap, HashSet};

/// The most lines that are almost decisions for which a similar title is searched.
const SUGGESTIONS: u32 = 100;

/// The titles that a value can be handed to.
pub(super) struct Titles {
    /// In the form for comparisons.
    pub exact: HashSet<String>,
    /// Those of groups, in the form for comparisons: a decision can lead to a group, but a value cannot.
    pub groups: HashSet<String>,
    /// By their lower case, to find titles with a wrong case.
    pub folded: HashMap<String, String>,
    /// The names in the steps' signatures, as they are and as conditions write them.
    pub names: HashSet<String>,
    /// The parts of the steps, by their titles in the form for comparisons.
    pub steps: HashMap<String, usize>,
    /// How many more times a similar title is searched: each search compares all titles.
    suggestions: Cell<u32>,
}

impl Titles {
    pub fn new(text: &str, parts: &[Part], roles: &[Role]) -> Self {
        let mut titles = Titles {
            exact: HashSet::new(),
            groups: HashSet::new(),
            folded: HashMap::new(),
            names: HashSet::new(),
            steps: HashMap::new(),
            suggestions: Cell::new(SUGGESTIONS),
        };
        let mut groups: Vec<(u8, String)> = Vec::new();
        for (index, (part, role)) in parts.iter().zip(roles).enumerate() {
            let Some(head) = &part.head else { continue };
            groups.retain(|(level, _)| *level < head.level);
            let title = part.title(text).to_owned();
            match role {
                Role::Group => {
                    titles.groups.extend(groups.last().map(|(_, around)| format!("{around}/{title}")));
                    titles.groups.insert(title.clone());
                    groups.push((head.level, title));
                }
                Role::Step => {
                    if let Some(bare) = title::unlabelled(&title) {
                        titles.folded.entry(bare.to_lowercase()).or_insert_with(|| title.clone());
                    }
                    titles.folded.insert(title.to_lowercase(), title.clone());
                    titles.exact.extend(groups.last().map(|(_, group)| format!("{group}/{title}")));
                    titles.steps.entry(title.clone()).or_insert(index);
                    titles.exact.insert(title);
                    let names = part.names().into_iter();
                    titles.names.extend(names.flat_map(|name| [name.to_owned(), in_conditions(name)]));
                }
                _ => {}
            }
        }
        titles
    }
}

impl Known for Titles {
    fn is_title(&self, written: &str) -> bool {
        let meant = title::key(written);
        self.exact.contains(&meant) || self.groups.contains(&meant)
    }

    fn near_title(&self, title: &str) -> Option<&str> {
        let folded = self.folded.get(&title::key(title).to_lowercase()).map(String::as_str);
        folded.or_else(|| {
            self.suggestions.set(self.suggestions.get().checked_sub(1)?);
            nearest(title, self.folded.values().chain(&self.groups).map(String::as_str))
        })
    }

    fn labelled(&self, said: &str) -> Option<&str> {
        let title = self.folded.get(&title::key(said).to_lowercase())?;
        (title::unlabelled(title) == Some(said)).then_some(title.as_str())
    }

    fn is_value(&self, name: &str) -> bool {
        self.names.contains(name)
    }
}
