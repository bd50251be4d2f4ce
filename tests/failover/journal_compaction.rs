//! A process that writes its journal is killed at any moment, while it makes the journal smaller as well: what it was told to be on disk is on disk.

use std::io::{BufRead, BufReader};
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};
use std::time::Duration;

use jurymast::act::Journal;
use jurymast::act::journal::{Record, ServiceRecord};
use jurymast::model::Timestamp;

/// Where the writer finds its folder.
const DIR: &str = "JURYMAST_TEST_JOURNAL";

/// Far smaller than in an agent, so that every few records are a rewrite.
const COMPACT_BEYOND: u64 = 600;

/// More than one service's record has, and what is left of all services is never more than half of the limit.
const SLACK: u64 = 400;

/// The writer: not a test by itself, but what the test below starts. Says each record's number once it is on disk.
#[test]
#[ignore = "started by the test below as a process of its own"]
fn writer() {
    let Some(dir) = std::env::var_os(DIR).map(PathBuf::from) else {
        return;
    };
    let opened = Journal::open(&dir, Timestamp::EPOCH).unwrap();
    let first = opened.state.epoch + 1;
    let mut journal = opened.journal.compact_beyond(COMPACT_BEYOND);
    for epoch in first.. {
        let service = Record::Service(ServiceRecord {
            service: format!("svc-{}", epoch % 3).as_str().into(),
            active: Some(format!("node-{epoch}").as_str().into()),
            moved: None,
            named: [format!("node-{epoch}").as_str().into()].into(),
            took: [].into(),
            taken_back: None,
            handed_over: None,
            begun: Vec::new(),
        });
        journal.append(&service).unwrap();
        journal.append(&Record::Epoch { epoch }).unwrap();
        println!("on disk {epoch}");
    }
}

/// Lets the writer write so many numbers and a moment longer, and kills it. The last number that it said.
fn killed_after(dir: &Path, numbers: usize, moment: Duration) -> u64 {
    let mut child = Command::new(std::env::current_exe().unwrap())
        .args(["--exact", "journal_compaction::writer", "--ignored", "--nocapture"])
        .env(DIR, dir)
        .stdout(Stdio::piped())
        .stderr(Stdio::null())
        .spawn()
        .unwrap();
    let lines = BufReader::new(child.stdout.take().unwrap()).lines();
    let said = |line: String| line.split_once("on disk ").and_then(|(_, n)| n.parse().ok());
    let mut said = lines.map_while(Result::ok).filter_map(said);
    let before: Option<u64> = said.by_ref().take(numbers).last();
    std::thread::sleep(moment);
    child.kill().unwrap();
    child.wait().unwrap();
    said.last().or(before).unwrap()
}

#[test]
fn killed_at_any_moment_a_journal_that_is_made_smaller_keeps_what_is_on_disk() {
    let dir = tempfile::tempdir().unwrap();
    let mut epochs = 0;
    for round in 0..40u64 {
        let moment = Duration::from_micros(37 * round);
        let said = killed_after(dir.path(), 3 + round as usize % 4, moment);
        let opened = Journal::open(dir.path(), Timestamp::EPOCH).unwrap();
        let state = opened.state;
        // What was on disk and had not been said yet is more, never less.
        assert!(
            state.epoch >= said,
            "round {round}: {said} were on disk, {} are left",
            state.epoch
        );
        assert!(state.epoch <= said + 1, "round {round}: only one was under way");
        let newest = state.services.values().filter_map(|service| service.active.as_ref());
        let newest = newest.filter_map(|node| node.as_str().trim_start_matches("node-").parse::<u64>().ok());
        assert!(newest.max().unwrap() >= said, "round {round}");
        let length = opened.journal.len();
        assert!(length <= COMPACT_BEYOND * 2 + SLACK, "round {round}: {length} bytes");
        epochs = state.epoch;
    }
    // Each is two records, two hundred bytes together: the file was rewritten again and again.
    assert!(epochs >= 120, "only {epochs} were written");
}
