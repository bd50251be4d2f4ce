//! Two primaries at the same time: whose changes the others should have is not known, and the death of one of them does not tell. Pure.

use std::collections::BTreeSet;

use serde::{Deserialize, Serialize};

use crate::model::{EntityName, Event, EventKind, Timestamp};

/// The name of the alert at each of them.
const ALERT: &str = "TwoPrimaries";

/// Who took writes at the same time as another, until all but one of them follow again. Kept over restarts.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Split {
    members: BTreeSet<EntityName>,
    since: Timestamp,
    /// An earlier run has found it: this one has told nobody yet.
    #[serde(skip)]
    untold: bool,
}

impl Split {
    /// True while what one of them has written may be missing everywhere else.
    pub fn stands(&self) -> bool {
        !self.members.is_empty()
    }

    /// As an earlier run has left it. Whoever is no server of that database any more is not waited for.
    pub fn found(mut self, is_member: impl Fn(&EntityName) -> bool) -> Self {
        self.members.retain(is_member);
        self.untold = self.stands();
        self
    }

    /// What servers say now, as (server, takes writes); who does not answer is not among them. Adds what begins or ends by it.
    pub fn hears(&mut self, at: Timestamp, told: &[(&EntityName, bool)], out: &mut Vec<Event>) {
        let writers: Vec<&EntityName> = told
            .iter()
            .filter(|(_, writes)| *writes)
            .map(|(name, _)| *name)
            .collect();
        if std::mem::take(&mut self.untold) {
            self.say(at, true, out);
        }
        if writers.len() > 1 {
            if !self.stands() {
                self.since = at;
            }
            let known = self.members.len();
            self.members.extend(writers.into_iter().cloned());
            if self.members.len() > known {
                let names: Vec<&str> = self.members.iter().map(EntityName::as_str).collect();
                tracing::error!(
                    "{} take writes as the primary at the same time: stop all but one of them, or what is written to the others is lost",
                    names.join(" and ")
                );
                self.say(at, true, out);
            }
            return;
        }
        // A silent one may hold what nobody else has: only its own word ends this.
        let follows = |name: &EntityName| told.iter().any(|(other, writes)| *other == name && !*writes);
        let one = writers.len() == 1;
        if self.stands() && one && self.members.iter().all(|name| writers.contains(&name) || follows(name)) {
            self.say(at, false, out);
            self.members.clear();
        }
    }

    fn say(&self, at: Timestamp, firing: bool, out: &mut Vec<Event>) {
        let names: Vec<&str> = self.members.iter().map(EntityName::as_str).collect();
        let summary = format!(
            "{} take writes as the primary at the same time; what one of them has written the other lacks",
            names.join(" and ")
        );
        out.extend(self.members.iter().map(|entity| Event {
            entity: entity.clone(),
            at,
            seen: at,
            kind: EventKind::Alert {
                name: ALERT.into(),
                labels: [("severity".to_owned(), "critical".to_owned())].into(),
                annotations: [("summary".to_owned(), summary.clone())].into(),
                firing,
                starts_at: self.since,
            },
        }));
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn hears(split: &mut Split, at: i64, told: &[(&str, bool)]) -> Vec<(String, bool)> {
        let names: Vec<(EntityName, bool)> = told.iter().map(|(name, writes)| ((*name).into(), *writes)).collect();
        let told: Vec<(&EntityName, bool)> = names.iter().map(|(name, writes)| (name, *writes)).collect();
        let mut out = Vec::new();
        split.hears(Timestamp::from_secs(at), &told, &mut out);
        out.into_iter()
            .map(|event| match event.kind {
                EventKind::Alert { firing, .. } => (event.entity.to_string(), firing),
                other => panic!("{other:?}"),
            })
            .collect()
    }

    #[test]
    fn it_is_told_once_and_its_end_as_well() {
        let mut split = Split::default();
        assert_eq!(hears(&mut split, 1, &[("a", true), ("b", false)]), []);
        let both = [("a".to_owned(), true), ("b".to_owned(), true)];
        assert_eq!(hears(&mut split, 2, &[("a", true), ("b", true)]), both);
        assert_eq!(hears(&mut split, 3, &[("a", true), ("b", true)]), []);
        let over = [("a".to_owned(), false), ("b".to_owned(), false)];
        assert_eq!(hears(&mut split, 4, &[("a", false), ("b", true)]), over);
        assert!(!split.stands());
    }

    #[test]
    fn a_restart_does_not_end_it_and_who_is_removed_from_the_config_is_not_waited_for() {
        let mut split = Split::default();
        hears(&mut split, 1, &[("a", true), ("b", true)]);
        let kept = serde_json::to_string(&split).unwrap();
        let found = |known: &'static [&str]| {
            let split: Split = serde_json::from_str(&kept).unwrap();
            split.found(|name| known.contains(&name.as_str()))
        };
        let mut split = found(&["a", "b"]);
        assert_eq!(
            hears(&mut split, 9, &[("b", true)]),
            [("a".to_owned(), true), ("b".to_owned(), true)]
        );
        assert_eq!(hears(&mut split, 10, &[("b", true)]), []);
        assert!(split.stands());
        let mut split = found(&["b", "c"]);
        assert_eq!(
            hears(&mut split, 9, &[("b", true), ("c", false)]),
            [("b".to_owned(), true), ("b".to_owned(), false)]
        );
        assert!(!split.stands());
    }

    #[test]
    fn it_is_not_over_because_one_of_them_died() {
        let mut split = Split::default();
        hears(&mut split, 1, &[("a", true), ("b", true), ("c", false)]);
        assert_eq!(hears(&mut split, 2, &[("b", true), ("c", false)]), []);
        assert_eq!(hears(&mut split, 3, &[("a", false), ("c", false)]), []);
        assert!(split.stands(), "b has not said that it follows");
        assert_eq!(
            hears(&mut split, 4, &[("a", true), ("b", false), ("c", false)]).len(),
            2
        );
        assert!(!split.stands());
    }
}
