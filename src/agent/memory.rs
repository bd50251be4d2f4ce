//! Is what the agent remembers whole? A journal that had to be made anew from the audit log, an audit log whose chain of hashes is broken, what stood behind
//! the journal's last whole record: people are told, from the start on.

use std::path::PathBuf;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use tokio_util::sync::CancellationToken;

use crate::act::Recovered;
use crate::act::journal::{AuditError, Chain};
use crate::api::Snapshot;
use crate::clock::wall_clock;
use crate::engine::{Notification, NotificationKind, OperatorCommand, Record};
use crate::model::Timestamp;

/// The chain is followed this often, first at the start.
const FOLLOWED: Duration = Duration::from_secs(600);

/// See the module. Of an agent that only watches there is nothing to be told.
#[derive(Default)]
pub struct Memory {
    /// What the journal lacked, until a person has released the hold.
    lost: Option<(Timestamp, String)>,
    torn: u64,
    /// Where the chain is broken, by the latest look.
    chain: Arc<Mutex<Option<String>>>,
    /// What people were told stands.
    told: [Option<(Timestamp, String)>; 2],
}

impl Memory {
    /// Of that journal; looks at the audit log beside it until `stop`.
    pub fn of(recovered: &Recovered, dir: PathBuf, stop: CancellationToken) -> Self {
        if recovered.torn > 0 {
            tracing::warn!(
                bytes = recovered.torn,
                "what stood behind the journal's last whole record is put aside into journal.torn: {}",
                if recovered.garbage {
                    "no crash leaves that; something has written into the file, or the disk is ill"
                } else {
                    "a record that a crash has cut off"
                }
            );
        }
        let chain: Arc<Mutex<Option<String>>> = Arc::default();
        let found = Arc::clone(&chain);
        tokio::spawn(async move {
            let mut known = Chain::default();
            loop {
                let dir = dir.clone();
                let looked = tokio::task::spawn_blocking(move || {
                    let broken = follow(&mut known, &dir);
                    (known, broken)
                });
                let Ok((then, broken)) = looked.await else { return };
                known = then;
                *found.lock().unwrap_or_else(PoisonError::into_inner) = broken;
                tokio::select! {
                    () = stop.cancelled() => return,
                    () = tokio::time::sleep(FOLLOWED) => {}
                }
            }
        });
        Self {
            lost: recovered.state.lost().map(|(at, why)| (at, why.to_owned())),
            torn: recovered.torn,
            chain,
            told: [None, None],
        }
    }

    /// Heeds a line of the decision log: a person may have looked.
    pub fn heed(&mut self, record: &Record) {
        if let Record::Operator {
            operator: OperatorCommand::Hold { on: false, .. },
            ..
        } = record
        {
            self.lost = None;
        }
    }

    fn broken(&self) -> Option<String> {
        self.chain.lock().unwrap_or_else(PoisonError::into_inner).clone()
    }

    /// What people are to be told, as far as it is news.
    pub fn look(&mut self) -> Vec<Notification> {
        let lost = self.lost.clone().map(|(at, why)| {
            let text = format!(
                "the journal lacked what the audit log holds, and was made anew from it: {why}. Nothing is acted upon until you have looked where each service runs and say `jurymast hold --off`"
            );
            (at, text)
        });
        let broken = self.broken().map(|why| (wall_clock(), format!("the audit log: {why}")));
        let stands = [
            (
                NotificationKind::Lost,
                lost,
                "somebody has looked after the journal was lost",
            ),
            (NotificationKind::Audit, broken, "the audit log is whole"),
        ];
        let mut news = Vec::new();
        for ((kind, now, over), told) in stands.into_iter().zip(&mut self.told) {
            let (text, since, firing) = match (&now, &told) {
                (Some((since, text)), None) => (text.clone(), *since, true),
                (None, Some((since, _))) => (over.to_owned(), *since, false),
                _ => continue,
            };
            news.push(Notification::critical(kind, None, text, since, firing));
            *told = now;
        }
        news
    }

    /// The same in the picture.
    pub fn show(&self, picture: &mut Snapshot) {
        picture.journal_lost = self.lost.as_ref().map(|(_, why)| why.clone());
        picture.audit_broken = self.broken();
        picture.journal_torn = self.torn;
    }
}

/// Where it is broken. What is just being taken out again may look so: it is looked at twice.
fn follow(known: &mut Chain, dir: &std::path::Path) -> Option<String> {
    let broken = |chain: &mut Chain| match chain.look(dir) {
        Err(error @ AuditError::Broken { .. }) => Some(error.to_string()),
        Err(error) => {
            tracing::warn!(%error, "the audit log cannot be looked at");
            None
        }
        Ok(_) => None,
    };
    broken(known)?;
    *known = Chain::default();
    broken(known)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_not_whole_is_told_once_and_so_is_its_end() {
        let mut memory = Memory {
            lost: Some((Timestamp::from_secs(5), "it was emptied".into())),
            ..Memory::default()
        };
        let told = |memory: &mut Memory| -> Vec<(NotificationKind, bool)> {
            memory.look().iter().map(|told| (told.kind, told.firing)).collect()
        };
        assert_eq!(told(&mut memory), [(NotificationKind::Lost, true)]);
        *memory.chain.lock().unwrap() = Some("line 7".into());
        assert_eq!(told(&mut memory), [(NotificationKind::Audit, true)]);
        assert_eq!(told(&mut memory), []);
        let hold = |on| Record::Operator {
            at: Timestamp::EPOCH,
            operator: OperatorCommand::Hold { on, by: "cli".into() },
        };
        memory.heed(&hold(true));
        assert_eq!(told(&mut memory), []);
        memory.heed(&hold(false));
        *memory.chain.lock().unwrap() = None;
        assert_eq!(
            told(&mut memory),
            [(NotificationKind::Lost, false), (NotificationKind::Audit, false)]
        );
    }
}
