//! The alerts of Prometheus rules that stand, kept in the agent's `data_dir`: what is pending or firing goes on after a restart where it stood.

use std::path::{Path, PathBuf};
use std::time::{Duration, Instant};

use crate::engine::RuleDesk;
use crate::promql::rules::Stood;

/// The file in the agent's `data_dir`.
const FILE: &str = "alerts.json";

/// How often it is written while anything stands.
const EVERY: Duration = Duration::from_secs(15);

/// See the module.
pub struct Standing {
    path: PathBuf,
    written: Instant,
    /// The file holds something: it must be written once more when nothing stands any longer.
    holds: bool,
}

impl Standing {
    /// In that folder, with what an earlier run has left there.
    pub fn of(data_dir: &Path) -> (Self, Option<Stood>) {
        let path = data_dir.join(FILE);
        let stood = match std::fs::read(&path) {
            Ok(text) => serde_json::from_slice(&text)
                .map_err(|error| error.to_string())
                .map(Some),
            Err(error) if error.kind() == std::io::ErrorKind::NotFound => Ok(None),
            Err(error) => Err(error.to_string()),
        };
        let stood = stood.unwrap_or_else(|error| {
            tracing::warn!(path = %path.display(), %error, "what alerts stood before cannot be read: they begin anew");
            None
        });
        let holds = path.exists();
        let written = Instant::now();
        (Self { path, written, holds }, stood)
    }

    /// Writes down what stands, if it is time for it. The disk is waited for elsewhere.
    pub fn keep(&mut self, rules: &RuleDesk) {
        if self.written.elapsed() < EVERY {
            return;
        }
        self.written = Instant::now();
        if let Some(text) = self.due(rules) {
            let path = self.path.clone();
            tokio::task::spawn_blocking(move || write(&path, "new", &text));
        }
    }

    /// The last word of this run.
    pub fn finish(&mut self, rules: &RuleDesk) {
        if let Some(text) = self.due(rules) {
            write(&self.path, "last", &text);
        }
    }

    fn due(&mut self, rules: &RuleDesk) -> Option<String> {
        let book = rules.read();
        let book = book.as_ref()?;
        let stood = book.groups.standing(book.now);
        let holds = !stood.alerts.is_empty();
        if !std::mem::replace(&mut self.holds, holds) && !holds {
            return None;
        }
        serde_json::to_string(&stood).ok()
    }
}

fn write(path: &Path, ending: &str, text: &str) {
    let whole = || -> std::io::Result<()> {
        if let Some(dir) = path.parent() {
            std::fs::create_dir_all(dir)?;
        }
        let new = path.with_extension(ending);
        let mut file = std::fs::File::create(&new)?;
        std::io::Write::write_all(&mut file, text.as_bytes())?;
        file.sync_data()?;
        std::fs::rename(&new, path)
    };
    if let Err(error) = whole() {
        tracing::warn!(path = %path.display(), %error, "what alerts stand cannot be kept: after a restart they begin anew");
    }
}
