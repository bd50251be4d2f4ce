//! `MariaDB`'s GTIDs, as far as they tell whether a server has changes of its own. Pure.

use std::collections::BTreeMap;

/// Of a domain and a server, the last change.
type Last = BTreeMap<(u32, u64), u64>;

/// Which changes a server has, by whom they were made.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Changes {
    /// Which server it is; 0 where nothing is known.
    server: u64,
    /// In its own log: what it has made, and what it has written down of others.
    written: Last,
    /// What it has applied of others.
    applied: Last,
}

impl Changes {
    /// Of `server_id`, `gtid_binlog_state` and `gtid_slave_pos`.
    pub fn read(server: &str, written: &str, applied: &str) -> Self {
        Self {
            server: server.trim().parse().unwrap_or_default(),
            written: parse(written),
            applied: parse(applied),
        }
    }

    /// The first change that `other` has made itself and that this server does not have, if it is another server.
    pub fn lacks(&self, other: &Self) -> Option<String> {
        if self.server == 0 || other.server == 0 || self.server == other.server {
            return None;
        }
        let own = other.written.iter().filter(|((_, server), _)| *server == other.server);
        own.filter(|(of, last)| {
            let has = |changes: &Last| changes.get(of).is_some_and(|has| has >= last);
            !has(&self.written) && !has(&self.applied)
        })
        .map(|((domain, server), last)| format!("{domain}-{server}-{last}"))
        .next()
    }
}

/// `0-1-100,1-2-5`. What is no GTID is left out.
fn parse(text: &str) -> Last {
    let gtid = |part: &str| {
        let mut numbers = part.trim().splitn(3, '-');
        let domain = numbers.next()?.parse().ok()?;
        let server = numbers.next()?.parse().ok()?;
        Some(((domain, server), numbers.next()?.parse().ok()?))
    };
    text.split(',').filter_map(gtid).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_change_that_only_the_standby_has_made_is_named() {
        let primary = Changes::read("1", "0-1-100,0-2-40", "");
        assert_eq!(primary.lacks(&Changes::read("2", "0-2-40,0-1-100", "0-1-100")), None);
        let own = primary.lacks(&Changes::read("2", "0-2-101,0-1-100", "0-1-100"));
        assert_eq!(own.as_deref(), Some("0-2-101"));
        let own = primary.lacks(&Changes::read("2", "0-2-40,7-2-1", "0-1-100"));
        assert_eq!(own.as_deref(), Some("7-2-1"), "in a domain of its own");
    }

    #[test]
    fn what_the_primary_has_received_and_not_written_down_it_has() {
        let primary = Changes::read("1", "0-1-100", "0-2-40");
        assert_eq!(primary.lacks(&Changes::read("2", "0-2-40", "0-1-100")), None);
        assert!(primary.lacks(&Changes::read("2", "0-2-41", "0-1-100")).is_some());
    }

    #[test]
    fn changes_of_others_that_have_just_arrived_are_nobodys_own() {
        let primary = Changes::read("1", "0-1-100", "");
        assert_eq!(primary.lacks(&Changes::read("2", "0-1-105", "0-1-105")), None);
        // Not known, or the one that was the primary itself.
        assert_eq!(Changes::default().lacks(&Changes::read("2", "0-2-9", "")), None);
        assert_eq!(primary.lacks(&Changes::read("", "0-2-9", "x")), None);
        assert_eq!(primary.lacks(&Changes::read("1", "0-1-105", "")), None);
    }
}
