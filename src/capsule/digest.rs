//! Digests of rules: do two sets of patterns and playbooks mean the same? Comments and layout do not count.

use serde::{Deserialize, Serialize};

use crate::diagnose::Library;
use crate::model::hash::{FNV, fnv1a};
use crate::plan::Playbooks;

/// What the rules meant with which a capsule was recorded.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct RulesDigest {
    /// Of all fault patterns in use.
    pub patterns: String,
    /// Of all playbooks in use.
    pub playbooks: String,
}

impl RulesDigest {
    /// Of these rules.
    pub fn of(library: &Library, playbooks: &Playbooks) -> Self {
        let patterns: Vec<_> = library.patterns().collect();
        let books: Vec<_> = playbooks.iter().collect();
        Self {
            patterns: digest(&patterns),
            playbooks: digest(&books),
        }
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

    #[test]
    fn a_changed_number_changes_the_digest_and_a_comment_does_not() {
        let text = "- {name: x, summary: s, at: [service], prior: 0.1, remedy: notify, must: [{kinds: [refused], likelihood: 0.9}], source: s}";
        let of = |text: &str| RulesDigest::of(&Library::parse([("a.yml", text)]).unwrap(), &Playbooks::builtin());
        assert_eq!(of(text), of(&format!("# why\n{text}\n")));
        assert_ne!(of(text), of(&text.replace("0.1", "0.2")));
        assert_eq!(of(text).playbooks, of(&text.replace("0.1", "0.2")).playbooks);
    }
}
