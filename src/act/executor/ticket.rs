//! Tickets: what a program reads stays locked for as long as it runs.
//!
//! A program outlives an agent that is killed, and may have its effect after the next agent has looked for it. So its stdin is a file that
//! stays locked until it ends: the next agent waits for the lock before it looks. What a program leaves running behind it must not keep its stdin.

use std::fs::{File, OpenOptions, TryLockError};
use std::io::{self, Seek, SeekFrom, Write};
use std::os::unix::fs::OpenOptionsExt;
use std::path::{Path, PathBuf};
use std::time::Duration;

use tokio::time::Instant;

/// How often the lock of a program of an earlier run is tried, and how much longer than the program may take.
const LOCK_ASKS: Duration = Duration::from_millis(20);
const LOCK_GRACE: Duration = Duration::from_secs(1);

/// Where the stdin of running programs is. Without a folder programs run all the same, but nobody can wait for those of an earlier run.
#[derive(Debug, Clone, Default)]
pub struct Tickets {
    dir: Option<PathBuf>,
}

impl Tickets {
    /// In that folder.
    pub const fn new(dir: Option<PathBuf>) -> Self {
        Self { dir }
    }

    /// The file of a key.
    pub fn path(&self, key: &str) -> Option<PathBuf> {
        let name: String = key
            .chars()
            .map(|c| if c.is_ascii_alphanumeric() || c == '.' { c } else { '-' })
            .collect();
        // Two keys may look alike once they are file names.
        let name = format!("{name}-{:08x}", crc32fast::hash(key.as_bytes()));
        Some(self.dir.as_ref()?.join(name))
    }

    /// The stdin for a program of that key; `None` where there is no folder.
    pub fn take(&self, key: &str, text: &str) -> Result<Option<File>, String> {
        self.path(key).map(|path| locked(&path, text)).transpose()
    }

    /// The program of that key has ended.
    pub fn done(&self, key: &str) {
        if let Some(path) = self.path(key) {
            let _ = std::fs::remove_file(path);
        }
    }

    /// Waits until no program of that key runs any more.
    pub async fn settle(&self, key: &str, limit: Duration) -> Result<(), String> {
        let Some(path) = self.path(key) else {
            return Ok(());
        };
        let Ok(file) = File::open(&path) else { return Ok(()) };
        let deadline = Instant::now() + limit + LOCK_GRACE;
        loop {
            match file.try_lock() {
                Ok(()) => break,
                Err(TryLockError::WouldBlock) if Instant::now() < deadline => tokio::time::sleep(LOCK_ASKS).await,
                Err(error) => {
                    return Err(format!(
                        "a program that an earlier run of this agent has started still runs, or left its stdin to \
                         another one ({}: {error})",
                        path.display()
                    ));
                }
            }
        }
        let _ = std::fs::remove_file(&path);
        Ok(())
    }
}

/// A file with that text, to be read from its beginning, locked until the last process that has it open ends.
pub fn locked(path: &Path, text: &str) -> Result<File, String> {
    let error = |error: io::Error| format!("{}: {error}", path.display());
    if let Some(dir) = path.parent() {
        std::fs::create_dir_all(dir).map_err(error)?;
    }
    let mut file = OpenOptions::new()
        .create(true)
        .truncate(false)
        .read(true)
        .write(true)
        // What a program is told may be nobody else's business.
        .mode(0o600)
        .open(path)
        .map_err(error)?;
    match file.try_lock() {
        Ok(()) => {}
        Err(TryLockError::WouldBlock) => return Err("the program of an earlier try still runs".into()),
        Err(TryLockError::Error(e)) => return Err(error(e)),
    }
    file.set_len(0)
        .and_then(|()| file.write_all(text.as_bytes()))
        .and_then(|()| file.seek(SeekFrom::Start(0)))
        .map_err(error)?;
    Ok(file)
}
