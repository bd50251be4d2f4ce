//! Which series a rule is for.

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use crate::model::{EntityKind, Glob};

use super::EntityMeta;

/// Which series a rule is for. What is left out fits everything.
#[derive(Debug, Clone, PartialEq, Default, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields, default)]
pub struct Scope {
    /// The signal's name; `*` and `?` stand for what they usually do.
    pub signal: Option<Glob>,
    /// The entity's name.
    pub entity: Option<Glob>,
    /// The entity's kind.
    pub kind: Option<EntityKind>,
    /// The entity's group.
    pub group: Option<String>,
}

impl Scope {
    /// True if a series of that signal and entity is meant.
    pub fn fits(&self, signal: &str, entity: &EntityMeta) -> bool {
        self.signal.as_ref().is_none_or(|glob| glob.matches(signal))
            && self
                .entity
                .as_ref()
                .is_none_or(|glob| glob.matches(entity.name.as_str()))
            && self.kind.is_none_or(|kind| kind == entity.kind)
            && self
                .group
                .as_ref()
                .is_none_or(|group| entity.group.as_deref() == Some(group.as_str()))
    }
}
