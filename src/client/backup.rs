//! Repositories of backups, by `restic` and `borg`: what snapshots there are, the commands that restore one, and which of them a test restore has
//! proven.
//!
//! A backup that nobody has ever restored is a hope. So a snapshot counts as verified once it was restored into a folder of its own and a check said that
//! what came out is good; which those are is kept in a file of ours.

use std::collections::BTreeMap;
use std::io::Write;
use std::path::Path;

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};
use serde_json::Value;

use super::program::argv;
use crate::model::Timestamp;

/// So many tests are remembered.
const TESTS_MAX: usize = 64;

/// What a repository is written by.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
pub enum Kind {
    /// `restic`.
    Restic,
    /// `borg`.
    Borg,
}

/// A repository.
#[derive(Debug, Clone)]
pub struct Repository<'a> {
    /// What it is written by.
    pub kind: Kind,
    /// Where it is, as `restic -r` or `borg` take it.
    pub at: &'a str,
    /// The file of its password.
    pub password_file: &'a str,
    /// Only snapshots that hold this path count; all if empty. `restic` only.
    pub path: &'a str,
}

/// A snapshot.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Snapshot {
    /// Its id (`restic`) or name (`borg`).
    pub id: String,
    /// When it was made.
    pub made: Timestamp,
}

impl Repository<'_> {
    fn tool(&self, words: &[&str]) -> Vec<String> {
        let mut command = match self.kind {
            Kind::Restic => {
                let mut command = argv(["restic", "-r", self.at]);
                if !self.password_file.is_empty() {
                    command.extend(argv(["--password-file", self.password_file]));
                }
                command
            }
            Kind::Borg => {
                // Borg tells times in the zone that it is in.
                let mut command = argv(["env", "TZ=UTC", "BORG_RELOCATED_REPO_ACCESS_IS_OK=yes"]);
                if !self.password_file.is_empty() {
                    command.push(format!("BORG_PASSCOMMAND=cat {}", self.password_file));
                }
                command.push("borg".into());
                command
            }
        };
        command.extend(words.iter().map(ToString::to_string));
        command
    }

    /// Finds what cannot be followed.
    pub fn check(&self) -> Result<(), String> {
        if self.at.is_empty() || self.at.starts_with('-') {
            return Err(format!("repository '{}' is none", self.at));
        }
        // It stands in a command that borg splits into words by itself.
        if self
            .password_file
            .contains(|c: char| c.is_whitespace() || "'\"\\$".contains(c))
        {
            return Err(format!(
                "password_file '{}' has blanks or quotes in it",
                self.password_file
            ));
        }
        Ok(())
    }

    /// Lists the snapshots.
    pub fn list(&self) -> Vec<String> {
        match self.kind {
            Kind::Restic => {
                let mut command = self.tool(&["--no-lock", "snapshots", "--json"]);
                if !self.path.is_empty() {
                    command.extend(argv(["--path", self.path]));
                }
                command
            }
            Kind::Borg => self.tool(&["list", "--json", self.at]),
        }
    }

    /// Tells how much a restore of that snapshot brings.
    pub fn size(&self, id: &str) -> Vec<String> {
        match self.kind {
            Kind::Restic => self.tool(&["--no-lock", "stats", "--json", "--mode", "restore-size", id]),
            Kind::Borg => self.tool(&["info", "--json", &format!("{}::{id}", self.at)]),
        }
    }

    /// Restores that snapshot into that folder, which must be there.
    pub fn restore(&self, id: &str, into: &str) -> Vec<String> {
        match self.kind {
            Kind::Restic => self.tool(&["--no-lock", "restore", id, "--target", into]),
            Kind::Borg => {
                let mut command = argv(["env", "-C", into]);
                command.extend(self.tool(&["extract", &format!("{}::{id}", self.at)]));
                command
            }
        }
    }

    /// Lists what a snapshot holds at that path, given without slashes around it.
    pub fn inside(&self, id: &str, path: &str) -> Vec<String> {
        match self.kind {
            Kind::Restic => self.tool(&["--no-lock", "ls", id, &format!("/{path}")]),
            Kind::Borg => self.tool(&["list", "--short", &format!("{}::{id}", self.at), path]),
        }
    }

    /// Whether what `inside` has answered holds that path, or anything below it.
    pub fn read_inside(&self, answer: &str, path: &str) -> bool {
        answer.lines().any(|line| {
            let rest = line.trim_start_matches('/').strip_prefix(path);
            rest.is_some_and(|rest| rest.is_empty() || rest.starts_with('/'))
        })
    }

    /// What `list` has answered, the oldest first.
    pub fn read_list(&self, answer: &str) -> Result<Vec<Snapshot>, String> {
        let json: Value = serde_json::from_str(answer).map_err(|error| format!("not a list of snapshots: {error}"))?;
        let (list, id, time) = match self.kind {
            Kind::Restic => (json.as_array(), "id", "time"),
            Kind::Borg => (json.get("archives").and_then(Value::as_array), "name", "time"),
        };
        let mut snapshots = Vec::new();
        for one in list.ok_or("not a list of snapshots")? {
            let word = |name: &str| one.get(name).and_then(Value::as_str).unwrap_or_default();
            let made = match self.kind {
                Kind::Restic => word(time).to_owned(),
                Kind::Borg => format!("{}Z", word(time)),
            };
            snapshots.push(Snapshot {
                id: word(id).to_owned(),
                made: made.parse().map_err(|error| format!("{error}"))?,
            });
        }
        snapshots.sort_by(|a, b| (a.made, &a.id).cmp(&(b.made, &b.id)));
        Ok(snapshots)
    }

    /// What `size` has answered.
    pub fn read_size(&self, answer: &str) -> Option<u64> {
        let json: Value = serde_json::from_str(answer).ok()?;
        let pointer = match self.kind {
            Kind::Restic => "/total_size",
            Kind::Borg => "/archives/0/stats/original_size",
        };
        json.pointer(pointer)?.as_u64()
    }
}

/// A test restore.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Test {
    /// When the snapshot was made.
    pub made: Timestamp,
    /// When it was restored.
    pub tested: Timestamp,
    /// What came out is good.
    pub good: bool,
    /// How long it took, in seconds.
    pub seconds: f64,
    /// What was restored.
    pub bytes: u64,
    /// What was wrong.
    #[serde(default, skip_serializing_if = "String::is_empty")]
    pub trouble: String,
}

/// Test restores by snapshot.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize)]
#[serde(transparent)]
pub struct Tests(pub BTreeMap<String, Test>);

impl Tests {
    /// Those of a file; none if there is no file.
    pub fn read(file: &Path) -> Result<Self, String> {
        match std::fs::read(file) {
            Ok(bytes) => serde_json::from_slice(&bytes).map_err(|error| format!("{}: {error}", file.display())),
            Err(error) if error.kind() == std::io::ErrorKind::NotFound => Ok(Self::default()),
            Err(error) => Err(format!("{}: {error}", file.display())),
        }
    }

    /// Adds one and puts all on disk.
    pub fn add(file: &Path, id: &str, test: Test) -> Result<Self, String> {
        let mut tests = Self::read(file)?;
        tests.0.insert(id.to_owned(), test);
        while tests.0.len() > TESTS_MAX {
            let oldest = tests
                .0
                .iter()
                .min_by_key(|(_, test)| test.made)
                .map(|(id, _)| id.clone());
            tests.0.remove(&oldest.unwrap_or_default());
        }
        let write = || {
            if let Some(dir) = file.parent() {
                std::fs::create_dir_all(dir)?;
            }
            // Whoever reads it meanwhile reads the old one or the new one.
            let new = file.with_extension("new");
            let mut into = std::fs::File::create(&new)?;
            into.write_all(&serde_json::to_vec_pretty(&tests)?)?;
            into.sync_all()?;
            std::fs::rename(&new, file)
        };
        write().map_err(|error: std::io::Error| format!("{}: {error}", file.display()))?;
        Ok(tests)
    }

    /// The newest of these snapshots whose test was good.
    pub fn newest<'a>(&self, snapshots: &'a [Snapshot]) -> Option<&'a Snapshot> {
        let good = |snapshot: &&Snapshot| self.0.get(&snapshot.id).is_some_and(|test| test.good);
        snapshots.iter().rev().find(good)
    }

    /// The test that was made last.
    pub fn last(&self) -> Option<&Test> {
        self.0.values().max_by_key(|test| test.tested)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn repository(kind: Kind) -> Repository<'static> {
        Repository {
            kind,
            at: "/r",
            password_file: "/p",
            path: "",
        }
    }

    #[test]
    fn lists_of_both_are_read_the_oldest_first() {
        let restic =
            r#"[{"time":"2026-11-21T17:12:23.136027947Z","id":"b"},{"time":"2026-11-20T19:00:00+02:00","id":"a"}]"#;
        let ids = |snapshots: Vec<Snapshot>| snapshots.into_iter().map(|s| s.id).collect::<Vec<_>>();
        assert_eq!(ids(repository(Kind::Restic).read_list(restic).unwrap()), ["a", "b"]);
        let borg = r#"{"archives": [{"name": "one", "time": "2026-11-21T17:12:26.000000"}]}"#;
        let snapshots = repository(Kind::Borg).read_list(borg).unwrap();
        assert_eq!(snapshots[0].made.to_string(), "2026-11-21T17:12:26.000000000Z");
        assert!(repository(Kind::Borg).read_list("[]").is_err());
        assert_eq!(repository(Kind::Restic).read_size(r#"{"total_size":6}"#), Some(6));
        assert_eq!(
            repository(Kind::Borg).read_size(r#"{"archives":[{"stats":{"original_size":7}}]}"#),
            Some(7)
        );
    }

    #[test]
    fn only_what_a_test_restore_has_proven_is_verified() {
        let dir = tempfile::tempdir().unwrap();
        let file = dir.path().join("x/tests.json");
        assert_eq!(Tests::read(&file), Ok(Tests::default()));
        let test = |good| Test {
            made: Timestamp::from_secs(1),
            tested: Timestamp::from_secs(2),
            good,
            seconds: 1.0,
            bytes: 1,
            trouble: String::new(),
        };
        Tests::add(&file, "a", test(true)).unwrap();
        let tests = Tests::add(&file, "b", test(false)).unwrap();
        assert_eq!(Tests::read(&file), Ok(tests.clone()));
        let snapshot = |id: &str, s| Snapshot {
            id: id.into(),
            made: Timestamp::from_secs(s),
        };
        let snapshots = [snapshot("a", 1), snapshot("b", 2), snapshot("c", 3)];
        assert_eq!(tests.newest(&snapshots).map(|s| s.id.as_str()), Some("a"));
        assert_eq!(tests.newest(&snapshots[1..]), None);
    }
}
