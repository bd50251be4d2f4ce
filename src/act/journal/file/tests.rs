//! The journal's file, cut off, damaged, replaced, rewritten.

use super::super::verify;
use super::*;
use crate::engine::OperatorCommand;

fn epoch(epoch: u64) -> Record {
    Record::Epoch { epoch }
}

fn filled(dir: &Path, epochs: u64) -> Vec<u8> {
    let mut journal = Journal::open(dir, Timestamp::EPOCH).unwrap().journal;
    for n in 1..=epochs {
        journal.append(&epoch(n)).unwrap();
    }
    std::fs::read(dir.join(NAME)).unwrap()
}

#[test]
fn what_was_appended_is_read_again() {
    let dir = tempfile::tempdir().unwrap();
    filled(dir.path(), 3);
    let opened = Journal::open(dir.path(), Timestamp::EPOCH).unwrap();
    assert_eq!((opened.state.epoch, opened.torn), (3, 0));
}

#[test]
fn a_file_cut_off_at_any_byte_keeps_every_whole_record() {
    let dir = tempfile::tempdir().unwrap();
    let bytes = filled(dir.path(), 3);
    for cut in 0..bytes.len() {
        std::fs::write(dir.path().join(NAME), &bytes[..cut]).unwrap();
        std::fs::write(dir.path().join("audit"), "").unwrap();
        let mut opened = Journal::open(dir.path(), Timestamp::EPOCH).unwrap();
        let whole = (cut * 3 / bytes.len()) as u64;
        assert_eq!(opened.state.epoch, whole, "cut at {cut}");
        opened.journal.append(&epoch(9)).unwrap();
        drop(opened);
        assert_eq!(
            Journal::open(dir.path(), Timestamp::EPOCH).unwrap().state.epoch,
            9,
            "cut at {cut}"
        );
    }
}

#[test]
fn damage_in_the_middle_is_refused_with_its_place() {
    let dir = tempfile::tempdir().unwrap();
    let mut bytes = filled(dir.path(), 3);
    bytes[16] ^= 1;
    std::fs::write(dir.path().join(NAME), &bytes).unwrap();
    let error = Journal::open(dir.path(), Timestamp::EPOCH).unwrap_err().to_string();
    assert!(error.contains("record 0 at byte 0 is damaged"), "{error}");
}

#[test]
fn a_damaged_length_does_not_pass_for_a_torn_end() {
    let dir = tempfile::tempdir().unwrap();
    let mut bytes = filled(dir.path(), 3);
    bytes[1] ^= 1;
    std::fs::write(dir.path().join(NAME), &bytes).unwrap();
    assert!(matches!(
        Journal::open(dir.path(), Timestamp::EPOCH),
        Err(JournalError::Damaged { .. })
    ));
}

#[test]
fn two_agents_cannot_hold_one_journal() {
    let dir = tempfile::tempdir().unwrap();
    let _held = Journal::open(dir.path(), Timestamp::EPOCH).unwrap();
    assert!(matches!(
        Journal::open(dir.path(), Timestamp::EPOCH),
        Err(JournalError::Locked { .. })
    ));
}

#[test]
fn a_journal_stays_small_while_it_runs_and_tells_the_same() {
    let dir = tempfile::tempdir().unwrap();
    let opened = Journal::open(dir.path(), Timestamp::EPOCH).unwrap();
    let mut journal = opened.journal.compact_beyond(300);
    for n in 1..=200 {
        journal.append(&epoch(n)).unwrap();
        assert!(journal.len() <= 400, "{} bytes after {n}", journal.len());
    }
    drop(journal);
    assert_eq!(Journal::open(dir.path(), Timestamp::EPOCH).unwrap().state.epoch, 200);
}

#[test]
fn a_rewrite_that_was_cut_off_at_any_byte_changes_nothing() {
    let dir = tempfile::tempdir().unwrap();
    let bytes = filled(dir.path(), 3);
    for cut in 0..bytes.len() {
        std::fs::write(dir.path().join(NEXT), &bytes[..cut]).unwrap();
        let opened = Journal::open(dir.path(), Timestamp::EPOCH).unwrap();
        assert_eq!(opened.state.epoch, 3, "cut at {cut}");
        let mut journal = opened.journal.compact_beyond(1);
        journal.append(&epoch(3)).unwrap();
    }
    assert_eq!(Journal::open(dir.path(), Timestamp::EPOCH).unwrap().state.epoch, 3);
}

#[test]
fn a_rewrite_that_fails_costs_no_record() {
    let dir = tempfile::tempdir().unwrap();
    let opened = Journal::open(dir.path(), Timestamp::EPOCH).unwrap();
    let mut journal = opened.journal.compact_beyond(100);
    std::fs::create_dir(dir.path().join(NEXT)).unwrap();
    for n in 1..=20 {
        journal.append(&epoch(n)).unwrap();
    }
    assert!(journal.len() > 100, "nothing could be left out");
    std::fs::remove_dir(dir.path().join(NEXT)).unwrap();
    for n in 21..=30 {
        journal.append(&epoch(n)).unwrap();
    }
    assert!(journal.len() < 400, "{} bytes", journal.len());
    drop(journal);
    assert_eq!(Journal::open(dir.path(), Timestamp::EPOCH).unwrap().state.epoch, 30);
}

fn hold(journal: &State) -> Option<String> {
    journal.lost().map(|(_, why)| why.to_owned())
}

#[test]
fn a_journal_that_was_emptied_removed_or_put_back_from_yesterday_is_made_anew_and_waits_for_a_person() {
    let dir = tempfile::tempdir().unwrap();
    let path = dir.path().join(NAME);
    let yesterday = filled(dir.path(), 3);
    let mut journal = Journal::open(dir.path(), Timestamp::EPOCH).unwrap().journal;
    for n in [5, 6, 7] {
        journal.append(&epoch(n)).unwrap();
    }
    drop(journal);
    let audit = std::fs::read(dir.path().join("audit")).unwrap();
    for lost in [None, Some(Vec::new()), Some(yesterday)] {
        match &lost {
            Some(bytes) => std::fs::write(&path, bytes).unwrap(),
            None => std::fs::remove_file(&path).unwrap(),
        }
        std::fs::write(dir.path().join("audit"), &audit).unwrap();
        for life in 0..3 {
            let opened = Journal::open(dir.path(), Timestamp::EPOCH).unwrap();
            let why = hold(&opened.state).unwrap();
            assert!(why.contains("goes up to epoch 6, plan 0"), "{life}: {why}");
            // No token is given twice.
            assert_eq!(opened.state.epoch, 7);
        }
        let mut journal = Journal::open(dir.path(), Timestamp::EPOCH).unwrap().journal;
        let word = OperatorCommand::Hold {
            on: false,
            by: "cli".into(),
        };
        let at = Timestamp::EPOCH;
        journal.append(&Record::Word { at, word }).unwrap();
        drop(journal);
        assert_eq!(hold(&Journal::open(dir.path(), Timestamp::EPOCH).unwrap().state), None);
        let told = verify(dir.path(), None).unwrap();
        assert_eq!(told.missing, Vec::<String>::new());
    }
}

#[test]
fn a_line_of_the_audit_log_that_a_crash_kept_from_the_journal_is_no_loss() {
    let dir = tempfile::tempdir().unwrap();
    let bytes = filled(dir.path(), 3);
    std::fs::write(dir.path().join(NAME), &bytes[..bytes.len() - 1]).unwrap();
    let opened = Journal::open(dir.path(), Timestamp::EPOCH).unwrap();
    assert_eq!((opened.state.epoch, hold(&opened.state)), (2, None));
}

#[test]
fn garbage_at_the_end_is_put_aside_and_what_it_has_taken_with_it_comes_from_the_audit_log() {
    let noise: Vec<u8> = (0..300u32)
        .map(|n| (n.wrapping_mul(2_654_435_761) >> 24) as u8)
        .collect();
    for kept in [3, 2, 1] {
        let dir = tempfile::tempdir().unwrap();
        let bytes = filled(dir.path(), 3);
        let mut damaged = bytes[..bytes.len() / 3 * kept].to_vec();
        damaged.extend(&noise);
        std::fs::write(dir.path().join(NAME), &damaged).unwrap();
        let opened = Journal::open(dir.path(), Timestamp::EPOCH).unwrap();
        assert_eq!((opened.torn, opened.garbage), (300, true), "{kept}");
        assert_eq!(std::fs::read(dir.path().join(TORN)).unwrap(), noise);
        // The very last record may be the one that was being written when the machine went down.
        assert_eq!(hold(&opened.state).is_some(), kept == 1, "{kept}");
        assert_eq!(opened.state.epoch, if kept == 2 { 2 } else { 3 }, "{kept}");
    }
}

#[test]
fn a_folder_that_was_replaced_is_noticed() {
    let parent = tempfile::tempdir().unwrap();
    let dir = parent.path().join("data");
    let journal = Journal::open(&dir, Timestamp::EPOCH).unwrap().journal;
    assert_eq!(journal.lock().still_ours(), Ok(()));
    std::fs::rename(&dir, parent.path().join("gone")).unwrap();
    assert!(journal.lock().still_ours().is_err());
    let _other = Journal::open(&dir, Timestamp::EPOCH).unwrap().journal;
    assert!(journal.lock().still_ours().unwrap_err().contains("another agent"));
}

#[test]
fn a_record_that_the_audit_log_cannot_take_is_not_written() {
    let dir = tempfile::tempdir().unwrap();
    let before = filled(dir.path(), 2);
    let mut journal = Journal::open(dir.path(), Timestamp::EPOCH).unwrap().journal;
    let good = journal.spoil();
    journal.append(&epoch(3)).unwrap_err();
    assert!(journal.health().trouble().unwrap().contains("audit"));
    assert_eq!(std::fs::read(dir.path().join(NAME)).unwrap(), before);
    journal.mend(good);
    journal.append(&epoch(4)).unwrap();
    let told = verify(dir.path(), None).unwrap();
    assert_eq!((told.records, told.missing), (3, Vec::new()));
}

#[test]
fn a_log_that_lacks_what_the_journal_holds_is_told_of_and_mended_at_the_next_start() {
    let dir = tempfile::tempdir().unwrap();
    filled(dir.path(), 4);
    let audit = dir.path().join("audit");
    let whole = std::fs::read_to_string(&audit).unwrap();
    let lines: Vec<&str> = whole.split_inclusive('\n').collect();
    for kept in 0..lines.len() {
        std::fs::write(&audit, lines[..kept].concat()).unwrap();
        let told = verify(dir.path(), None).unwrap();
        let lost: Vec<String> = (kept.max(1)..=4).map(|n| format!("epoch {n}")).collect();
        assert_eq!(told.missing, lost, "{kept} lines are left");
    }
    std::fs::write(&audit, "").unwrap();
    drop(Journal::open(dir.path(), Timestamp::EPOCH).unwrap());
    let told = verify(dir.path(), None).unwrap();
    assert_eq!((told.missing.len(), told.records, told.recovered), (0, 4, 4));
}
