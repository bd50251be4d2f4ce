//! Whose lag is told, and whose never, as the servers of one database are heard one after the other.

use super::gtid::Changes;
use super::*;

fn standing(primary: bool, position: u64, sync: &[&str]) -> Standing {
    Standing {
        primary,
        fenced: false,
        position,
        log: String::new(),
        changes: Changes::default(),
        attached: !primary,
        halted: false,
        age_s: None,
        sync: sync.iter().map(ToString::to_string).collect(),
    }
}

fn source() -> ReplicationSource {
    let yaml = "{name: pg, kind: postgres, members: [{entity: a, dsn: host=a}, {entity: b, dsn: host=b}]}";
    let settings: ReplicationSettings = serde_saphyr::from_str(yaml).unwrap();
    settings.check().unwrap();
    ReplicationSource::new(settings)
}

fn told(source: &mut ReplicationSource, s: i64, standings: &[Option<Standing>]) -> Vec<(String, f64)> {
    told_of(source, "replication_lag_seconds", s, standings)
}

fn told_of(source: &mut ReplicationSource, wanted: &str, s: i64, standings: &[Option<Standing>]) -> Vec<(String, f64)> {
    let mut told = Vec::new();
    source.samples(
        Timestamp::from_secs(s),
        standings,
        &mut Vec::new(),
        |entity, signal, value| {
            if signal == wanted {
                told.push((entity.to_owned(), value));
            }
        },
    );
    told
}

#[test]
fn a_dead_primary_leaves_what_it_may_have_written_last() {
    let mut source = source();
    let now = [Some(standing(true, 100, &[])), Some(standing(false, 100, &[]))];
    assert_eq!(told(&mut source, 1, &now), [("a".into(), 0.0), ("b".into(), 0.0)]);
    assert_eq!(
        told(&mut source, 3, &[None, Some(standing(false, 100, &[]))]),
        [("b".into(), 2.0)]
    );
    assert_eq!(
        told(&mut source, 9, &[None, Some(standing(false, 100, &[]))]),
        [("b".into(), 2.0)]
    );
}

#[test]
fn a_synchronous_standby_lacks_nothing_that_was_committed() {
    let mut source = source();
    let now = [Some(standing(true, 100, &["b"])), Some(standing(false, 90, &[]))];
    assert_eq!(told(&mut source, 1, &now), [("a".into(), 0.0), ("b".into(), 0.0)]);
    // Without it nothing was committed until the end.
    let dead = [None, Some(standing(false, 100, &[]))];
    assert_eq!(told(&mut source, 2, &dead), [("b".into(), 0.0)]);
    // Once it is the primary itself, that says nothing of the other one any more.
    let turned = [Some(standing(false, 110, &[])), Some(standing(true, 120, &[]))];
    assert_eq!(told(&mut source, 3, &turned), [("b".into(), 0.0)]);
    let both = [Some(standing(false, 120, &[])), Some(standing(true, 130, &[]))];
    assert_eq!(told(&mut source, 5, &both), [("a".into(), 2.0), ("b".into(), 0.0)]);
}

#[test]
fn of_two_primaries_nothing_is_told_before_one_of_them_follows_again() {
    let mut source = source();
    let both = [Some(standing(true, 100, &[])), Some(standing(true, 90, &[]))];
    assert_eq!(told(&mut source, 1, &both), []);
    // They are not silent for that.
    assert_eq!(
        told_of(&mut source, "replication_primary", 1, &both),
        [("a".into(), 1.0), ("b".into(), 1.0)]
    );
    // What the dead one has written is nowhere else: the other one is not up to date for being the only one left.
    assert_eq!(told(&mut source, 2, &[None, Some(standing(true, 90, &[]))]), []);
    let follows = [Some(standing(false, 120, &[])), Some(standing(true, 120, &[]))];
    assert_eq!(told(&mut source, 3, &follows), [("a".into(), 0.0), ("b".into(), 0.0)]);
}

#[test]
fn a_fenced_primary_beside_the_new_one_is_no_second_writer() {
    let mut source = source();
    let mut fenced = standing(true, 100, &[]);
    fenced.fenced = true;
    assert_eq!(
        told(&mut source, 1, &[Some(fenced), Some(standing(true, 100, &[]))]),
        []
    );
    // It died before it could follow. The other one is the primary.
    assert_eq!(
        told(&mut source, 2, &[None, Some(standing(true, 110, &[]))]),
        [("b".into(), 0.0)]
    );
}

/// Two idle servers: the replica has never received anything.
#[test]
fn a_standby_of_another_log_is_never_up_to_date() {
    let mut source = source();
    let of = |log: &str, mut standing: Standing| {
        standing.log = log.to_owned();
        Some(standing)
    };
    let now = [of("x", standing(true, 0, &[])), of("y", standing(false, 0, &[]))];
    assert_eq!(told(&mut source, 1, &now), [("a".into(), 0.0)]);
    assert_eq!(told(&mut source, 2, &[None, of("y", standing(false, 0, &[]))]), []);
    let follows = [of("x", standing(true, 0, &[])), of("x", standing(false, 0, &[]))];
    assert_eq!(told(&mut source, 3, &follows), [("a".into(), 0.0), ("b".into(), 0.0)]);
}

#[test]
fn a_standby_that_is_ahead_without_receiving_has_changes_of_its_own() {
    let mut source = source();
    let mut alone = standing(false, 150, &[]);
    alone.attached = false;
    let now = [Some(standing(true, 100, &[])), Some(alone.clone())];
    assert_eq!(told(&mut source, 1, &now), [("a".into(), 0.0)]);
    // The primary overtakes it, and dies: that heals nothing.
    let now = [Some(standing(true, 200, &[])), Some(alone.clone())];
    assert_eq!(told(&mut source, 2, &now), [("a".into(), 0.0)]);
    assert_eq!(told(&mut source, 3, &[None, Some(alone)]), []);
    let now = [Some(standing(true, 200, &[])), Some(standing(false, 200, &[]))];
    assert_eq!(told(&mut source, 4, &now), [("a".into(), 0.0), ("b".into(), 0.0)]);
}

/// It was read a moment after the primary, and the primary died in that moment.
#[test]
fn a_standby_that_has_the_last_word_of_a_primary_is_not_apart() {
    let mut source = source();
    let now = [Some(standing(true, 100, &[])), Some(standing(false, 100, &[]))];
    assert_eq!(told(&mut source, 1, &now), [("a".into(), 0.0), ("b".into(), 0.0)]);
    let mut alone = standing(false, 150, &[]);
    alone.attached = false;
    let now = [Some(standing(true, 120, &[])), Some(alone.clone())];
    assert_eq!(told(&mut source, 2, &now), [("a".into(), 0.0), ("b".into(), 0.0)]);
    assert_eq!(told(&mut source, 3, &[None, Some(alone)]), [("b".into(), 1.0)]);
}

#[test]
fn a_standby_that_does_not_apply_what_it_receives_is_as_old_as_what_it_has_applied() {
    let mut source = source();
    let round = |source: &mut ReplicationSource, s, primary, applied| {
        let halted = Standing {
            halted: true,
            ..standing(false, applied, &[])
        };
        told(source, s, &[Some(standing(true, primary, &["b"])), Some(halted)])
    };
    round(&mut source, 1, 100, 100);
    // The primary waits until it has received everything, which says nothing of what is left after a promotion.
    let lags = round(&mut source, 9, 200, 100);
    assert_eq!(lags, [("a".to_owned(), 0.0), ("b".to_owned(), 8.0)]);
}

/// It streams, so that its position says nothing of what somebody has written into it beside.
#[test]
fn a_standby_with_changes_of_its_own_is_never_up_to_date() {
    let mut source = source();
    let with = |changes: &str, server: &str, mut standing: Standing| {
        standing.changes = Changes::read(server, changes, "");
        Some(standing)
    };
    let primary = || with("0-1-100", "1", standing(true, 100, &[]));
    let own = || with("0-2-101,0-1-100", "2", standing(false, 100, &[]));
    assert_eq!(told(&mut source, 1, &[primary(), own()]), [("a".into(), 0.0)]);
    // The death of the primary, which never had it, changes nothing about that.
    assert_eq!(told(&mut source, 2, &[None, own()]), []);
    let copied = with("0-1-100", "2", standing(false, 100, &[]));
    assert_eq!(
        told(&mut source, 3, &[primary(), copied]),
        [("a".into(), 0.0), ("b".into(), 0.0)]
    );
    // A primary that is being left is no standby of what it itself last said.
    let left = with("0-1-105", "1", standing(false, 105, &[]));
    assert_eq!(told(&mut source, 4, &[left, None]), [("a".into(), 1.0)]);
}
