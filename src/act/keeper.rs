//! The keeper of tokens on a target host: the highest token that a service's commands have carried, and which of them have been done.
//!
//! One file for each service, written anew and synced before a command begins, locked for as long as it runs. A token that is lower than the
//! highest is refused; so is, at a node that was sealed, everything but another seal up to that token; a command that was done is not done again.
//! A command that was begun and of which nobody knows how it ended is never repeated by itself.

use std::fs::{File, OpenOptions};
use std::io::Write;
use std::path::{Path, PathBuf};

use serde::{Deserialize, Serialize};

use crate::model::Token;

/// Commands of one token that are remembered; a plan has some ten steps.
const KEYS_MAX: usize = 1000;

/// What is kept.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Kept {
    /// The highest token.
    pub highest: Token,
    /// Up to this one nothing but a seal is obeyed.
    pub sealed: Token,
    /// The key of a command that was begun and has not been seen to end.
    pub begun: Option<String>,
    /// Keys of the highest token's commands that were done.
    pub done: Vec<String>,
}

/// A command, as it asks to be obeyed.
#[derive(Debug, Clone, Copy)]
pub struct Command<'a> {
    /// Who says so.
    pub token: Token,
    /// The same for each try.
    pub key: &'a str,
    /// It makes this node refuse whatever else carries a token up to this one.
    pub seals: Sealing,
    /// May it be repeated when nobody knows how it ended?
    pub repeats: Repeating,
}

/// Whether a command seals.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Sealing {
    /// It does.
    Seals,
    /// It is an ordinary one.
    Ordinary,
}

/// Whether a command may be repeated when nobody knows how it ended.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Repeating {
    /// Doing it twice is as good as once.
    Harmless,
    /// It is left to a look, or to a person.
    Never,
}

/// What is to be done with a command.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Answer {
    /// It is on disk that it begins: run it.
    Run,
    /// It was done before.
    Done,
    /// It is refused, and nothing was done.
    Refused(String),
    /// It was begun before, and nobody knows how it ended.
    Unknown,
}

/// A file that cannot be used. Nothing is run then.
#[derive(Debug, thiserror::Error)]
#[error("{path}: {error}; nothing was done")]
pub struct KeeperError {
    path: PathBuf,
    error: std::io::Error,
}

/// See the module. Holds the file's lock.
#[derive(Debug)]
pub struct Keeper {
    path: PathBuf,
    lock: File,
    kept: Kept,
}

impl Keeper {
    /// Waits for the lock of that service's file in `dir`, and reads it.
    pub fn open(dir: &Path, service: &str) -> Result<Self, KeeperError> {
        let name: String = service
            .chars()
            .map(|c| if c.is_ascii_alphanumeric() || c == '-' { c } else { '_' })
            .collect();
        // Two names may look alike once they are file names.
        let path = dir.join(format!("{name}-{:08x}.json", crc32fast::hash(service.as_bytes())));
        let wrong = |error| KeeperError {
            path: path.clone(),
            error,
        };
        std::fs::create_dir_all(dir).map_err(wrong)?;
        let lock = OpenOptions::new()
            .create(true)
            .truncate(false)
            .write(true)
            .open(path.with_extension("lock"))
            .map_err(wrong)?;
        lock.lock().map_err(wrong)?;
        let kept = match std::fs::read(&path) {
            Ok(bytes) => serde_json::from_slice(&bytes).map_err(|error| wrong(std::io::Error::other(error)))?,
            Err(error) if error.kind() == std::io::ErrorKind::NotFound => Kept::default(),
            Err(error) => return Err(wrong(error)),
        };
        Ok(Self { path, lock, kept })
    }

    /// For the stdin of the command's program: while anybody has it open the lock is held, so that no other command begins before a program has
    /// ended whose keeper was killed.
    pub fn handle(&self) -> std::io::Result<File> {
        self.lock.try_clone()
    }

    /// What is kept.
    pub const fn kept(&self) -> &Kept {
        &self.kept
    }

    /// Asks to begin. After [`Answer::Run`] the disk knows of it.
    pub fn begin(&mut self, command: Command<'_>) -> Result<Answer, KeeperError> {
        let Kept { highest, sealed, .. } = self.kept;
        let token = command.token;
        if token < highest {
            return Ok(Answer::Refused(format!(
                "token {token} is lower than {highest}, which was seen before"
            )));
        }
        if self.kept.done.iter().any(|key| key == command.key) {
            return Ok(Answer::Done);
        }
        if command.seals == Sealing::Ordinary && sealed != Token::default() && token <= sealed {
            return Ok(Answer::Refused(format!(
                "it was sealed at {sealed}, and this comes with {token}"
            )));
        }
        let unknown = self.kept.begun.as_deref() == Some(command.key);
        if unknown && command.repeats == Repeating::Never {
            return Ok(Answer::Unknown);
        }
        let mut next = self.kept.clone();
        if token > highest {
            next.done.clear();
        }
        next.highest = token;
        if command.seals == Sealing::Seals {
            next.sealed = next.sealed.max(token);
        }
        next.begun = Some(command.key.to_owned());
        self.keep(next)?;
        Ok(Answer::Run)
    }

    /// It has ended well.
    pub fn done(&mut self, key: &str) -> Result<(), KeeperError> {
        let mut next = self.kept.clone();
        next.begun = None;
        if next.done.len() >= KEYS_MAX {
            next.done.remove(0);
        }
        next.done.push(key.to_owned());
        self.keep(next)
    }

    /// It has certainly done nothing.
    pub fn undone(&mut self) -> Result<(), KeeperError> {
        let next = Kept {
            begun: None,
            ..self.kept.clone()
        };
        self.keep(next)
    }

    /// At each moment the old file or the new one is whole.
    fn keep(&mut self, next: Kept) -> Result<(), KeeperError> {
        let wrong = |error| KeeperError {
            path: self.path.clone(),
            error,
        };
        let beside = self.path.with_extension("next");
        let bytes = serde_json::to_vec(&next).map_err(|error| wrong(std::io::Error::other(error)))?;
        let mut file = File::create(&beside).map_err(wrong)?;
        file.write_all(&bytes).and_then(|()| file.sync_all()).map_err(wrong)?;
        std::fs::rename(&beside, &self.path).map_err(wrong)?;
        let dir = self.path.parent().unwrap_or(Path::new("."));
        File::open(dir).and_then(|dir| dir.sync_all()).map_err(wrong)?;
        self.kept = next;
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const fn command(epoch: u64, seq: u64, key: &str) -> Command<'_> {
        Command {
            token: Token { epoch, seq },
            key,
            seals: Sealing::Ordinary,
            repeats: Repeating::Never,
        }
    }

    fn begin(dir: &Path, command: Command<'_>) -> Answer {
        Keeper::open(dir, "svc").unwrap().begin(command).unwrap()
    }

    #[test]
    fn tokens_only_grow_and_a_command_is_done_once() {
        let dir = tempfile::tempdir().unwrap();
        let dir = dir.path();
        assert_eq!(begin(dir, command(2, 1, "a")), Answer::Run);
        Keeper::open(dir, "svc").unwrap().done("a").unwrap();
        assert_eq!(begin(dir, command(2, 1, "a")), Answer::Done);
        assert_eq!(begin(dir, command(2, 1, "b")), Answer::Run);
        assert_eq!(begin(dir, command(2, 1, "b")), Answer::Unknown);
        let again = Command {
            repeats: Repeating::Harmless,
            ..command(2, 1, "b")
        };
        assert_eq!(begin(dir, again), Answer::Run);
        assert!(matches!(begin(dir, command(1, 9, "c")), Answer::Refused(why) if why.contains("lower than 2.1")));
        assert_eq!(begin(dir, command(2, 2, "d")), Answer::Run);
        // Another service has tokens of its own.
        assert_eq!(
            Keeper::open(dir, "s/vc").unwrap().begin(command(1, 1, "a")).unwrap(),
            Answer::Run
        );
    }

    #[test]
    fn what_is_sealed_refuses_what_the_same_plan_had_sent_before() {
        let dir = tempfile::tempdir().unwrap();
        let dir = dir.path();
        let seal = Command {
            seals: Sealing::Seals,
            ..command(3, 1, "seal")
        };
        assert_eq!(begin(dir, seal), Answer::Run);
        assert!(matches!(begin(dir, command(3, 1, "promote")), Answer::Refused(why) if why.contains("sealed at 3.1")));
        assert_eq!(begin(dir, command(3, 2, "promote")), Answer::Run);
    }

    #[test]
    fn a_file_that_cannot_be_read_obeys_nobody() {
        let dir = tempfile::tempdir().unwrap();
        begin(dir.path(), command(1, 1, "a"));
        let file = std::fs::read_dir(dir.path())
            .unwrap()
            .map(|entry| entry.unwrap().path());
        let file = file
            .into_iter()
            .find(|path| path.extension().is_some_and(|e| e == "json"))
            .unwrap();
        std::fs::write(file, "{").unwrap();
        assert!(Keeper::open(dir.path(), "svc").is_err());
    }
}
