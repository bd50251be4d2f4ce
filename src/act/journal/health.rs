//! Can the journal be written? What the last record met, and a small trial that finds a full disk before a record does.

use std::fs::OpenOptions;
use std::io::{self, Write};
use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::{Duration, Instant};

const TRIAL: &str = "journal.trial";

/// A record that takes longer than this is written too late to act on what the gates said before.
pub const LATE: Duration = Duration::from_secs(2);

/// As much as a large plan's records take: where there is less room, the next plan would get stuck in its middle.
const TRIAL_BYTES: usize = 64 << 10;

/// What keeps the journal from being written, if anything. Cloning shares it; asking never waits for the disk.
#[derive(Debug, Clone)]
pub struct Health {
    dir: PathBuf,
    trouble: Arc<Mutex<Option<String>>>,
}

impl Health {
    pub(super) fn of(dir: &Path) -> Self {
        Self {
            dir: dir.to_owned(),
            trouble: Arc::default(),
        }
    }

    /// What is wrong, if anything.
    pub fn trouble(&self) -> Option<String> {
        self.trouble.lock().unwrap_or_else(PoisonError::into_inner).clone()
    }

    /// A trial has gone through, and nothing is left to be written.
    pub fn well(&self) {
        *self.trouble.lock().unwrap_or_else(PoisonError::into_inner) = None;
    }

    pub(super) fn met(&self, trouble: String) {
        *self.trouble.lock().unwrap_or_else(PoisonError::into_inner) = Some(trouble);
    }

    /// Writes a little beside the journal and takes it away again, in time for a plan. Waits for the disk.
    pub fn try_disk(&self) -> io::Result<()> {
        let path = self.dir.join(TRIAL);
        let began = Instant::now();
        let written = OpenOptions::new()
            .create(true)
            .truncate(true)
            .write(true)
            .open(&path)
            .and_then(|mut file| file.write_all(&vec![b'-'; TRIAL_BYTES]).and_then(|()| file.sync_data()));
        // What is left of it would take the room that it looked for.
        let removed = std::fs::remove_file(&path);
        let tried = written.and_then(|()| in_time(began.elapsed())).and(removed);
        if let Err(error) = &tried {
            self.met(format!("{}: {error}", path.display()));
        }
        tried
    }
}

/// A disk that takes so long for a little is too slow for a plan.
fn in_time(took: Duration) -> io::Result<()> {
    if took <= LATE {
        return Ok(());
    }
    let why = format!(
        "the disk took {:.1} s for a little, and a plan is given up after {} s: relieve it, or move agent.data_dir to a faster one",
        took.as_secs_f64(),
        LATE.as_secs()
    );
    Err(io::Error::new(io::ErrorKind::TimedOut, why))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_trial_finds_what_is_wrong_and_leaves_nothing_behind() {
        let dir = tempfile::tempdir().unwrap();
        let health = Health::of(dir.path());
        health.try_disk().unwrap();
        assert_eq!(health.trouble(), None);
        assert_eq!(std::fs::read_dir(dir.path()).unwrap().count(), 0);
        // Nothing can be written there.
        std::fs::create_dir(dir.path().join(TRIAL)).unwrap();
        health.try_disk().unwrap_err();
        assert!(health.trouble().unwrap().contains(TRIAL));
    }

    #[test]
    fn a_disk_that_is_too_slow_for_a_plan_counts_as_one_that_cannot_be_written() {
        assert!(in_time(LATE).is_ok());
        let error = in_time(LATE + Duration::from_secs(1)).unwrap_err();
        assert!(error.to_string().starts_with("the disk took 3.0 s"), "{error}");
    }
}
