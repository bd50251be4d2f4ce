//! Confirmed incidents, kept for `jurymast learn`: one line each, as the decision log has it.

use std::io::Write;
use std::path::{Path, PathBuf};

use crate::engine::Record;

/// The file in the agent's `data_dir`.
pub const FILE: &str = "confirmed.jsonl";

/// See the module.
pub struct Confirmations {
    path: PathBuf,
}

impl Confirmations {
    /// In that folder.
    pub fn of(data_dir: &Path) -> Self {
        Self {
            path: data_dir.join(FILE),
        }
    }

    /// Keeps a record if it is one of a confirmed incident. One that cannot be kept is told in the log and lost to learning, to nothing else.
    pub fn keep(&self, record: &Record) {
        if !matches!(record, Record::Confirmed { .. }) {
            return;
        }
        let append = || -> std::io::Result<()> {
            if let Some(dir) = self.path.parent() {
                std::fs::create_dir_all(dir)?;
            }
            let mut file = std::fs::OpenOptions::new().create(true).append(true).open(&self.path)?;
            let mut line = serde_json::to_string(record)?;
            line.push('\n');
            file.write_all(line.as_bytes())?;
            file.sync_data()
        };
        if let Err(error) = append() {
            tracing::error!(path = %self.path.display(), %error, "a confirmed incident cannot be kept");
        }
    }
}
