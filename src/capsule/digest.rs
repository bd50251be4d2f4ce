//! Digests of rules: do two sets of patterns and playbooks mean the same? Comments and layout do not count.
//!
//! Every pattern may speak up in every incident, so one digest is of them all. A playbook is run only for a service that names it, so each of those has its own,
//! and what else there is does not count.

use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};

use crate::diagnose::Library;
use crate::model::Service;
use crate::model::hash::{FNV, fnv1a};
use crate::plan::Playbooks;

/// What the rules meant with which a capsule was recorded.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct RulesDigest {
    /// Of all fault patterns in use.
    pub patterns: String,
    /// Of each playbook that a service names.
    #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
    pub each_playbook: BTreeMap<String, String>,
}

impl RulesDigest {
    /// Of these rules, as far as these services can use them.
    pub fn of<'a>(library: &Library, playbooks: &Playbooks, services: impl IntoIterator<Item = &'a Service>) -> Self {
        let patterns: Vec<_> = library.patterns().collect();
        let named = services.into_iter().map(|service| &service.playbook);
        let each = named.filter_map(|name| Some((name.clone(), digest(playbooks.get(name).ok()?))));
        Self {
            patterns: digest(&patterns),
            each_playbook: each.collect(),
        }
    }

    /// What these rules mean otherwise, in words.
    pub fn changed(&self, library: &Library, playbooks: &Playbooks) -> Vec<&'static str> {
        let patterns: Vec<_> = library.patterns().collect();
        let mut each = self.each_playbook.iter();
        let books_differ = each.any(|(name, then)| !playbooks.get(name).is_ok_and(|book| *then == digest(book)));
        let differ = [
            ("patterns", self.patterns != digest(&patterns)),
            ("playbooks", books_differ),
        ];
        differ
            .iter()
            .filter(|(_, differ)| *differ)
            .map(|(what, _)| *what)
            .collect()
    }
}

/// Over the JSON. It tells a change from none, and is no protection against forgery.
fn digest(parts: &impl Serialize) -> String {
    let text = serde_json::to_string(parts).unwrap_or_default();
    format!("{:016x}", fnv1a(FNV, &text))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn books(text: &str) -> Playbooks {
        Playbooks::parse([("p.yml", text)]).unwrap()
    }

    const PATTERN: &str = "- {name: x, summary: s, at: [service], prior: 0.1, remedy: notify, must: [{kinds: [refused], likelihood: 0.9}], source: s}";
    const BOOK: &str = "{name: mine, summary: s, steps: [{name: v, phase: verify, uses: probe, with: {uses: tcp, with: {to: 'x:1'}}}]}";

    fn service() -> Service {
        let text = "{name: s, active: a, standbys: [{entity: b}], playbook: mine, probe: {uses: tcp}}";
        serde_saphyr::from_str(text).unwrap()
    }

    #[test]
    fn a_changed_number_changes_the_digest_and_a_comment_does_not() {
        let library = |text: &str| Library::parse([("a.yml", text)]).unwrap();
        let of = |text: &str| RulesDigest::of(&library(text), &Playbooks::builtin(), []);
        assert_eq!(of(PATTERN), of(&format!("# why\n{PATTERN}\n")));
        let other = PATTERN.replace("0.1", "0.2");
        assert_ne!(of(PATTERN), of(&other));
        assert_eq!(of(PATTERN).changed(&library(PATTERN), &Playbooks::builtin()), [""; 0]);
        assert_eq!(
            of(PATTERN).changed(&library(&other), &Playbooks::default()),
            ["patterns"]
        );
    }

    #[test]
    fn only_playbooks_that_a_service_names_count() {
        let library = Library::parse([("a.yml", PATTERN)]).unwrap();
        let mut now = books(BOOK);
        let then = RulesDigest::of(&library, &now, [&service()]);
        let changed = |now: &Playbooks| then.changed(&library, now);
        now.extend(Playbooks::builtin());
        assert_eq!(changed(&now), [""; 0], "others came");
        now.extend(books(&format!("# why\n{BOOK}")));
        assert_eq!(changed(&now), [""; 0], "a comment");
        now.extend(books(&BOOK.replace("x:1", "x:2")));
        assert_eq!(changed(&now), ["playbooks"]);
        assert_eq!(changed(&Playbooks::builtin()), ["playbooks"], "it is gone");
    }
}
