//! What outlives the agent: that two servers have taken writes at the same time.

use std::io::{self, ErrorKind, Write};
use std::path::{Path, PathBuf};

use super::split::Split;
use crate::model::EntityName;

/// The file of one database; none where nothing is kept.
#[derive(Debug, Clone, Default)]
pub struct Kept {
    path: Option<PathBuf>,
}

impl Kept {
    /// In that folder.
    pub fn of(data_dir: &Path, source: &str) -> Self {
        let plain = |c: char| {
            if c.is_ascii_alphanumeric() || "-_.".contains(c) {
                c
            } else {
                '_'
            }
        };
        let name: String = source.chars().map(plain).collect();
        // Two names may look the same so.
        let digest = crc32fast::hash(source.as_bytes());
        Self {
            path: Some(data_dir.join(format!("split-{name}-{digest:08x}.json"))),
        }
    }

    /// As an earlier run has left it.
    pub fn read(&self, is_member: impl Fn(&EntityName) -> bool) -> Split {
        let Some(path) = &self.path else {
            return Split::default();
        };
        let read =
            std::fs::read(path).and_then(|bytes| serde_json::from_slice::<Split>(&bytes).map_err(io::Error::from));
        match read {
            Ok(split) => split.found(is_member),
            Err(error) => {
                if error.kind() != ErrorKind::NotFound {
                    tracing::error!(path = %path.display(), %error, "whether two servers took writes at the same time cannot be read: look at each of them before you trust its lag");
                }
                Split::default()
            }
        }
    }

    /// Puts it on disk; what is over leaves nothing.
    pub fn write(&self, split: &Split) -> io::Result<()> {
        let Some(path) = &self.path else {
            return Ok(());
        };
        if !split.stands() {
            return match std::fs::remove_file(path) {
                Err(error) if error.kind() != ErrorKind::NotFound => Err(error),
                _ => Ok(()),
            };
        }
        if let Some(dir) = path.parent() {
            std::fs::create_dir_all(dir)?;
        }
        let next = path.with_extension("next");
        let mut file = std::fs::File::create(&next)?;
        file.write_all(&serde_json::to_vec(split)?)?;
        file.sync_data()?;
        std::fs::rename(&next, path)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::model::Timestamp;

    #[test]
    fn it_is_found_again_until_it_is_over() {
        let dir = tempfile::tempdir().unwrap();
        let kept = Kept::of(dir.path(), "pg/main");
        assert!(!kept.read(|_| true).stands());
        let mut split = Split::default();
        let (a, b) = (EntityName::from("a"), EntityName::from("b"));
        split.hears(Timestamp::EPOCH, &[(&a, true), (&b, true)], &mut Vec::new());
        kept.write(&split).unwrap();
        assert!(kept.read(|_| true).stands());
        assert!(
            !Kept::of(dir.path(), "pg_main").read(|_| true).stands(),
            "another database"
        );
        split.hears(Timestamp::EPOCH, &[(&a, true), (&b, false)], &mut Vec::new());
        kept.write(&split).unwrap();
        assert!(!kept.read(|_| true).stands());
        assert_eq!(std::fs::read_dir(dir.path()).unwrap().count(), 0);
    }
}
