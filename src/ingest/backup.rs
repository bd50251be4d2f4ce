//! Backups: how old the newest one is, and how old the newest one that a test restore has proven.
//!
//! Signals of the entities that are named: `backup_age_seconds`, `backup_verified_age_seconds`, `backup_test_age_seconds`, `backup_test_good` (1 or 0),
//! `backup_restore_seconds` (what the last test restore took) and `backup_count`. Test restores are made here, on schedule, into a folder of their own that is removed
//! afterwards.

use std::future::Future;
use std::path::PathBuf;
use std::pin::Pin;
use std::time::{Duration, Instant};

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use super::{Feed, Source};
use crate::client::backup::{Kind, Repository, Snapshot, Test, Tests};
use crate::client::program::{Program, Stdin, argv};
use crate::clock::wall_clock;
use crate::engine::Input;
use crate::metrics::{ByReason, BySource};
use crate::model::{Batch, EntityName, Sample, Span, Timestamp};

/// A repository of backups that is watched.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct BackupSettings {
    /// Its name.
    pub name: String,
    /// What it is written by.
    pub kind: Kind,
    /// Where it is, as `restic -r` or `borg` take it.
    pub repository: String,
    /// The file of its password.
    #[serde(default)]
    pub password_file: String,
    /// `restic`: only snapshots of this path count; all if left out.
    #[serde(default)]
    pub path: String,
    /// Whose data it is: those that could be restored from it.
    pub entities: Vec<EntityName>,
    /// How often it is asked for what there is.
    #[serde(default = "default_interval")]
    pub interval: Span,
    /// How long an answer may take.
    #[serde(default = "default_timeout")]
    pub timeout: Span,
    /// Where it is kept which snapshots have proven good.
    pub tests: PathBuf,
    /// Test restores; none if left out.
    #[serde(default)]
    pub test: Option<TestSettings>,
}

/// How a snapshot is proven good.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct TestSettings {
    /// How often the newest snapshot is restored, if it has not been yet.
    #[serde(default = "default_every")]
    pub every: Span,
    /// Where to: a folder of its own is made in it, and removed afterwards.
    pub into: PathBuf,
    /// A command that must end well; `{}` stands for the folder.
    #[serde(default)]
    pub check: Vec<String>,
    /// How long restore and check may take.
    #[serde(default = "default_test_timeout")]
    pub timeout: Span,
}

const fn default_interval() -> Span {
    Span::secs(60)
}
const fn default_timeout() -> Span {
    Span::secs(30)
}
const fn default_every() -> Span {
    Span::secs(24 * 3600)
}
const fn default_test_timeout() -> Span {
    Span::secs(3600)
}

impl BackupSettings {
    fn repository(&self) -> Repository<'_> {
        Repository {
            kind: self.kind,
            at: &self.repository,
            password_file: &self.password_file,
            path: &self.path,
        }
    }

    /// Finds what cannot be followed.
    pub fn check(&self) -> Result<(), String> {
        let problem = match self.repository().check() {
            Err(problem) => problem,
            Ok(()) if self.entities.is_empty() => "entities is empty: whose backups are they?".into(),
            Ok(()) => return Ok(()),
        };
        Err(format!("sources.backup '{}': {problem}", self.name))
    }
}

/// See the module.
pub struct BackupSource {
    settings: BackupSettings,
}

impl BackupSource {
    /// A source of checked settings.
    pub const fn new(settings: BackupSettings) -> Self {
        Self { settings }
    }

    async fn run_program(&self, argv: &[String], limit: Duration) -> Result<String, String> {
        let program = Program {
            argv,
            env: Vec::new(),
            pass: &["RESTIC_", "BORG_", "AWS_", "B2_", "RCLONE_", "SSH_"],
            stdin: Stdin::Nothing,
            limit,
        };
        program.run().await.good()
    }

    async fn list(&self) -> Result<Vec<Snapshot>, String> {
        let repository = self.settings.repository();
        let answer = self.run_program(&repository.list(), self.settings.timeout.0).await?;
        repository.read_list(&answer)
    }

    /// Restores a snapshot and looks at what came out.
    async fn test(&self, how: &TestSettings, snapshot: &Snapshot) -> Test {
        let begin = Instant::now();
        let folder = how.into.join(format!(
            "jurymast-test-{:08x}",
            crc32fast::hash(self.settings.name.as_bytes())
        ));
        let folder_text = folder.display().to_string();
        let limit = how.timeout.0;
        let work = async {
            self.run_program(&argv(["rm", "-rf", "--", &folder_text]), limit)
                .await?;
            self.run_program(&argv(["mkdir", "-p", "--", &folder_text]), limit)
                .await?;
            let repository = self.settings.repository();
            self.run_program(&repository.restore(&snapshot.id, &folder_text), limit)
                .await?;
            let size = self.run_program(&argv(["du", "-sb", &folder_text]), limit).await?;
            let bytes = size
                .split_whitespace()
                .next()
                .and_then(|bytes| bytes.parse().ok())
                .unwrap_or_default();
            if !how.check.is_empty() {
                let check: Vec<String> = how.check.iter().map(|word| word.replace("{}", &folder_text)).collect();
                self.run_program(&check, limit).await?;
            }
            Ok::<u64, String>(bytes)
        };
        let done = work.await;
        let _ = self.run_program(&argv(["rm", "-rf", "--", &folder_text]), limit).await;
        let (bytes, trouble) = match done {
            Ok(bytes) => (bytes, String::new()),
            Err(why) => (0, why),
        };
        Test {
            made: snapshot.made,
            tested: wall_clock(),
            good: trouble.is_empty(),
            seconds: begin.elapsed().as_secs_f64(),
            bytes,
            trouble,
        }
    }

    /// The newest snapshot is tested if it has not been, and if it is time.
    async fn test_if_due(&self, snapshots: &[Snapshot]) -> Result<(), String> {
        let (Some(how), Some(newest)) = (&self.settings.test, snapshots.last()) else {
            return Ok(());
        };
        let tests = Tests::read(&self.settings.tests)?;
        let early = tests
            .last()
            .is_some_and(|test| wall_clock().since(test.tested) < how.every.0);
        if early || tests.0.contains_key(&newest.id) {
            return Ok(());
        }
        let test = self.test(how, newest).await;
        if test.good {
            tracing::info!(source = %self.settings.name, snapshot = newest.id, seconds = test.seconds, bytes = test.bytes, "a test restore was good");
        } else {
            tracing::error!(source = %self.settings.name, snapshot = newest.id, trouble = test.trouble, "a test restore has failed: this backup is none");
        }
        Tests::add(&self.settings.tests, &newest.id, test).map(|_| ())
    }
}

/// What there is to tell.
fn signals(snapshots: &[Snapshot], tests: &Tests, now: Timestamp) -> Vec<(&'static str, f64)> {
    let age = |at: Timestamp| now.since(at).as_secs_f64();
    let mut told = vec![("backup_count", snapshots.len() as f64)];
    told.extend(snapshots.last().map(|newest| ("backup_age_seconds", age(newest.made))));
    told.extend(
        tests
            .newest(snapshots)
            .map(|newest| ("backup_verified_age_seconds", age(newest.made))),
    );
    if let Some(last) = tests.last() {
        told.push(("backup_test_age_seconds", age(last.tested)));
        told.push(("backup_test_good", f64::from(u8::from(last.good))));
        told.push(("backup_restore_seconds", last.seconds));
    }
    told
}

impl Source for BackupSource {
    fn name(&self) -> &str {
        &self.settings.name
    }

    fn run(self: Box<Self>, feed: Feed) -> Pin<Box<dyn Future<Output = ()> + Send>> {
        Box::pin(async move {
            let mut due = tokio::time::interval(self.settings.interval.0.max(Duration::from_millis(100)));
            due.set_missed_tick_behavior(tokio::time::MissedTickBehavior::Skip);
            let label = BySource {
                source: self.settings.name.clone(),
            };
            let mut trouble = String::new();
            loop {
                tokio::select! {
                    () = feed.stop.cancelled() => return,
                    _ = due.tick() => {}
                }
                let round = async {
                    let snapshots = self.list().await?;
                    let tests = Tests::read(&self.settings.tests)?;
                    Ok::<_, String>((snapshots, tests))
                };
                let found = tokio::select! {
                    () = feed.stop.cancelled() => return,
                    found = round => found,
                };
                feed.metrics.messages.get_or_create(&label).inc();
                feed.metrics
                    .source_up
                    .get_or_create(&label)
                    .set(i64::from(found.is_ok()));
                match found {
                    Ok((snapshots, tests)) => {
                        trouble.clear();
                        let at = wall_clock();
                        let mut batch = Batch::default();
                        for (entity, (signal, value)) in self.settings.entities.iter().flat_map(|entity| {
                            signals(&snapshots, &tests, at)
                                .into_iter()
                                .map(move |told| (entity, told))
                        }) {
                            batch.samples.push(Sample {
                                series: feed.catalog.series(entity.as_str(), signal),
                                retained: false,
                                at,
                                seen: at,
                                value,
                            });
                        }
                        feed.metrics
                            .samples
                            .get_or_create(&label)
                            .inc_by(batch.samples.len() as u64);
                        let _ = feed.inbox.send(Input::Batch(batch)).await;
                        let tested = tokio::select! {
                            () = feed.stop.cancelled() => return,
                            tested = self.test_if_due(&snapshots) => tested,
                        };
                        if let Err(error) = tested {
                            tracing::error!(source = %self.settings.name, %error, "test restores cannot be kept");
                        }
                    }
                    Err(error) => {
                        let reason = ByReason {
                            source: self.settings.name.clone(),
                            reason: "no_answer",
                        };
                        feed.metrics.bad_input.get_or_create(&reason).inc();
                        if trouble != error {
                            tracing::warn!(source = %self.settings.name, %error, "the repository does not tell what it holds");
                            trouble = error;
                        }
                    }
                }
            }
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_age_that_counts_is_that_of_the_newest_proven_one() {
        let snapshot = |id: &str, s| Snapshot {
            id: id.into(),
            made: Timestamp::from_secs(s),
        };
        let test = |good| Test {
            made: Timestamp::from_secs(100),
            tested: Timestamp::from_secs(900),
            good,
            seconds: 4.0,
            bytes: 1,
            trouble: String::new(),
        };
        let tests = Tests([("a".to_owned(), test(true))].into());
        let told = signals(
            &[snapshot("a", 100), snapshot("b", 800)],
            &tests,
            Timestamp::from_secs(1000),
        );
        assert!(
            told.contains(&("backup_age_seconds", 200.0)) && told.contains(&("backup_verified_age_seconds", 900.0))
        );
        assert!(told.contains(&("backup_test_good", 1.0)) && told.contains(&("backup_test_age_seconds", 100.0)));
        let unproven = signals(&[snapshot("b", 800)], &Tests::default(), Timestamp::from_secs(1000));
        assert!(unproven.iter().all(|(name, _)| *name != "backup_verified_age_seconds"));
    }
}
