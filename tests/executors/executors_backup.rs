//! restic and borg themselves: the newest snapshot that a test restore has proven comes back, and no other one.

use std::path::{Path, PathBuf};
use std::process::Command;
use std::time::Duration;

use jurymast::act::runner::{Applied, Effect};
use jurymast::client::backup::Tests;
use jurymast::ingest::Source;
use jurymast::ingest::backup::{BackupSettings, BackupSource};
use jurymast::model::PlanKind::Failover;
use serde_json::{Value, json};

use crate::harness::deed::Deeds;
use crate::harness::feed::feed;
use crate::harness::play::{Front, Play};
use crate::harness::{free_port, get, run, skipped, stand_in};

/// A repository with two snapshots of `app`: the first says 1, the second says 2.
struct Repository {
    dir: tempfile::TempDir,
    kind: &'static str,
}

impl Repository {
    fn new(kind: &'static str) -> Self {
        let dir = tempfile::tempdir().unwrap();
        std::fs::write(dir.path().join("password"), "s3cret\n").unwrap();
        std::fs::create_dir(dir.path().join("app")).unwrap();
        let repository = Self { dir, kind };
        match kind {
            "restic" => repository.tool(&["init"]),
            _ => repository.tool(&["init", "-e", "repokey", "repo"]),
        }
        for says in ["1", "2"] {
            repository.back_up(says);
        }
        repository
    }

    fn path(&self, name: &str) -> String {
        self.dir.path().join(name).display().to_string()
    }

    fn tool(&self, words: &[&str]) {
        let dir = self.dir.path();
        let (password, cache) = (self.path("password"), self.path("cache"));
        if self.kind == "restic" {
            let mut all = vec!["-q", "-r", "repo", "--password-file", &password];
            all.extend(words);
            run("restic", &all, &[("HOME", &cache)], dir);
        } else {
            let command = format!("cat {password}");
            run("borg", words, &[("BORG_PASSCOMMAND", &command), ("HOME", &cache)], dir);
        }
    }

    fn back_up(&self, says: &str) {
        std::fs::write(self.dir.path().join("app/says"), says).unwrap();
        match self.kind {
            "restic" => self.tool(&["backup", &self.path("app")]),
            _ => self.tool(&["create", &format!("repo::{says}"), "app"]),
        }
        // Snapshots are told apart by their second.
        std::thread::sleep(Duration::from_millis(1100));
    }

    /// restic keeps whole paths, borg those that it was given.
    fn inside(&self) -> String {
        if self.kind == "restic" {
            self.path("app")
        } else {
            "app".into()
        }
    }

    fn with(&self, more: &Value) -> Value {
        let mut with = json!({
            "do": "restore", "repository": self.path("repo"), "password_file": self.path("password"),
            "tests": self.path("tests.json"), "path": self.inside(), "target": self.path("restored"),
        });
        with.as_object_mut().unwrap().extend(more.as_object().unwrap().clone());
        with
    }

    fn settings(&self, check: &str) -> BackupSettings {
        let yaml = format!(
            "{{name: b, kind: {}, repository: '{}', password_file: '{}', entities: [cold], interval: 200ms, tests: '{}', \
             test: {{every: 1ms, into: '{}', check: [sh, -c, {check}]}}}}",
            self.kind,
            self.path("repo"),
            self.path("password"),
            self.path("tests.json"),
            self.path("scratch"),
        );
        let settings: BackupSettings = serde_saphyr::from_str(&yaml).unwrap();
        settings.check().unwrap();
        settings
    }
}

/// The source at work until it has tested the newest snapshot.
async fn tested(repository: &Repository, check: &str, tests: usize) -> Vec<String> {
    let (feed, mut inbox) = feed(64);
    let (catalog, stop) = (feed.catalog.clone(), feed.stop.clone());
    let task = tokio::spawn(Box::new(BackupSource::new(repository.settings(check))).run(feed));
    let file = PathBuf::from(repository.path("tests.json"));
    let mut signals = Vec::new();
    let begin = std::time::Instant::now();
    // One more round after the test, so that its signals are heard.
    let mut rounds = 0;
    while rounds < 2 {
        assert!(
            begin.elapsed() < Duration::from_secs(60),
            "waited in vain for a test restore"
        );
        let Some(jurymast::engine::Input::Batch(batch)) = inbox.recv().await else {
            break;
        };
        signals = batch
            .samples
            .iter()
            .map(|sample| {
                let (entity, signal) = catalog.parts(sample.series).unwrap();
                format!("{} {}", catalog.entity_name(entity), catalog.signal_name(signal))
            })
            .collect();
        if Tests::read(&file).unwrap().0.len() >= tests {
            rounds += 1;
        }
    }
    stop.cancel();
    let _ = task.await;
    assert!(!Path::new(&repository.path("scratch")).join("jurymast-test").exists());
    signals
}

async fn the_newest_proven_snapshot_is_restored(kind: &'static str) {
    if skipped(&format!("restore by {kind}"), &[kind]) {
        return;
    }
    let repository = Repository::new(kind);
    let deeds = Deeds::new(repository.dir.path());
    let with = repository.with(&json!({}));
    deeds.refused(kind, &with, (3, 1), "none is verified").await;
    let foreseen = deeds.foresee(kind, &with).await.unwrap_err();
    assert!(foreseen.contains("none is verified"), "{foreseen}");
    let signals = tested(&repository, "\"grep -rq 2 {}\"", 1).await;
    for signal in [
        "backup_age_seconds",
        "backup_verified_age_seconds",
        "backup_test_good",
        "backup_restore_seconds",
    ] {
        assert!(signals.contains(&format!("cold {signal}")), "{signals:?}");
    }
    // A newer one, which the check finds bad: it is none.
    repository.back_up("3");
    tested(&repository, "\"grep -rq 2 {}\"", 2).await;
    std::fs::create_dir(repository.path("restored")).unwrap();
    std::fs::write(repository.path("restored/says"), "old").unwrap();
    let says = || std::fs::read_to_string(repository.path("restored/says")).unwrap();
    let with = repository.with(&json!({"check": ["test", "-e", "{}/says"], "rpo": "1h"}));
    // What is not in the snapshot is told before a move needs it.
    assert_eq!(deeds.foresee(kind, &with).await, Ok(()));
    let elsewhere = repository.with(&json!({"path": "no/such/folder"}));
    let foreseen = deeds.foresee(kind, &elsewhere).await.unwrap_err();
    assert!(foreseen.contains("no 'no/such/folder' in snapshot"), "{foreseen}");
    assert_eq!(deeds.look(kind, &with, (3, 1)).await, Effect::NotThere);
    assert_eq!(deeds.apply(kind, &with, (3, 1)).await, Applied::Done);
    assert_eq!(deeds.look(kind, &with, (3, 1)).await, Effect::There);
    assert_eq!(says(), "2", "the newest that a test restore has proven");
    let note: Value =
        serde_json::from_str(&std::fs::read_to_string(repository.path("restored.jurymast.json")).unwrap()).unwrap();
    assert!(
        note["rpo_seconds"].as_f64().unwrap() > 0.0 && note["bytes"].as_u64().unwrap() > 0,
        "{note}"
    );
    println!("{kind}: restored {} bytes in {} s", note["bytes"], note["seconds"]);
    // A stale agent does not restore over it.
    deeds.refused(kind, &with, (2, 9), "3.1").await;
    let back = json!({"do": "put_back", "target": repository.path("restored")});
    assert_eq!(deeds.apply(kind, &back, (3, 1)).await, Applied::Done);
    assert_eq!(deeds.look(kind, &back, (3, 1)).await, Effect::There);
    assert_eq!(says(), "old", "what was there before is there again");
    // What does not pass is not put in place.
    let bad = repository.with(&json!({"check": ["false"], "snapshot": "latest"}));
    deeds.refused(kind, &bad, (3, 2), "not good").await;
    assert_eq!(says(), "old");
    let late = repository.with(&json!({"rpo": "1ms"}));
    deeds.refused(kind, &late, (3, 3), "the RPO is").await;
    let elsewhere = repository.with(&json!({"path": "no/such/folder"}));
    deeds.refused(kind, &elsewhere, (3, 4), "holds no").await;
    // Half a copy for each try would fill the disk that the next one needs.
    let left: Vec<String> = std::fs::read_dir(repository.dir.path())
        .unwrap()
        .map(|entry| entry.unwrap().file_name().to_string_lossy().into_owned())
        .filter(|name| name.contains(".jurymast-"))
        .collect();
    assert!(left.is_empty(), "{left:?}");
}

#[tokio::test]
async fn restic_restores_the_newest_proven_snapshot() {
    the_newest_proven_snapshot_is_restored("restic").await;
}

#[tokio::test]
async fn borg_restores_the_newest_proven_snapshot() {
    the_newest_proven_snapshot_is_restored("borg").await;
}

/// The playbook as a whole: the cold standby gets the newest proven snapshot, is started, and is put into a real front.
#[tokio::test]
async fn a_cold_standby_is_restored_by_borg_and_gets_the_traffic() {
    if skipped("playbook borg-restore", &["borg", "haproxy", "python3"]) {
        return;
    }
    let repository = Repository::new("borg");
    tested(&repository, "\"grep -rq 2 {}\"", 1).await;
    let (a, b) = (free_port(), free_port());
    let front = Front::start(repository.dir.path(), a, b);
    let serve = format!(
        "python3 -m http.server {b} --bind 127.0.0.1 --directory {} </dev/null >/dev/null 2>&1 & echo $! > $state",
        repository.path("restored")
    );
    let script = format!(
        "case $1 in do) {serve};; undo) kill $(cat $state);; observe) kill -0 $(cat $state 2>/dev/null) 2>/dev/null || exit 1;; esac"
    );
    let start = stand_in(repository.dir.path(), "start", &script);
    let service = format!(
        "{{name: app, active: a, standbys: [{{entity: b, class: cold}}], playbook: borg-restore, probe: {{uses: tcp}}, vars: {{socket: '{}', backend: be, \
         repository: '{}', password_file: '{}', tests: '{}', snapshot_path: app, start_script: '{start}'}}}}",
        front.socket,
        repository.path("repo"),
        repository.path("password"),
        repository.path("tests.json")
    );
    let entities = [("a", a, "gone"), ("b", b, "restored")].map(|(name, port, data)| {
        let data = repository.path(data);
        format!("{{name: {name}, kind: service, attributes: {{address: '127.0.0.1:{port}', data_dir: '{data}'}}}}")
    });
    let played = Play::new(repository.dir.path(), &service, &entities)
        .play(Failover, "a", "b")
        .await;
    let served = get(front.port, "/says");
    let pid = std::fs::read_to_string(repository.path("start.state")).unwrap();
    let _ = Command::new("kill").arg(pid.trim()).status();
    played.all_done("b");
    assert_eq!(
        served.as_deref(),
        Some("2"),
        "the newest that a test restore has proven"
    );
}
