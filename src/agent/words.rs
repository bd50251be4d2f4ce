//! What operators say to one agent and all have to know: hold, maintenance, drills. The newest word of each name counts, whoever hears which one first.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::{Arc, Mutex, PoisonError, mpsc};
use std::time::{Duration, Instant};

use serde::{Deserialize, Serialize};

use crate::clock::wall_clock;
use crate::coordinate::Store;
use crate::engine::OperatorCommand;
use crate::model::{ServiceName, Timestamp};

/// What could not be told is told again after so long.
const AGAIN: Duration = Duration::from_secs(1);

/// Whoever says it waits so long for the others to know it.
const PATIENCE: Duration = Duration::from_secs(3);

/// An operator's word in the store.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
struct Word {
    word: OperatorCommand,
    /// When it was said, by the clock of whom it was said to.
    at: Timestamp,
}

/// Under which name a word that outlives the agent stands in the store.
pub fn name(word: &OperatorCommand) -> Option<String> {
    Some(match word {
        OperatorCommand::Hold { .. } => "word/hold".to_owned(),
        OperatorCommand::Maintenance { service, .. } => {
            let service = service.as_ref().map_or("", ServiceName::as_str);
            format!("word/maintenance/{}", service.replace('/', "%2F"))
        }
        OperatorCommand::Drilled { drill } => {
            let service = drill.service.as_str().replace('/', "%2F");
            format!("word/drill/{}/{service}", drill.kind.word())
        }
        _ => return None,
    })
}

/// What another agent has said is to this one.
pub enum Heard {
    /// Nobody can read it.
    Nothing,
    /// Older than what this agent knows, which is told once more.
    Old,
    /// It counts, and was said then.
    Counts(OperatorCommand, Timestamp),
}

/// The words of this agent and those that it has heard. Cloning shares them.
#[derive(Clone)]
pub struct Words {
    store: Arc<dyn Store>,
    /// The newest of each name: as many as there are services and kinds of words.
    newest: Arc<Mutex<BTreeMap<String, Word>>>,
}

impl Words {
    /// Known are those of an earlier run of this agent, with when they were said.
    pub fn new(store: Arc<dyn Store>, before: &[(Timestamp, OperatorCommand)]) -> Self {
        let word = |(at, word): &(Timestamp, OperatorCommand)| {
            let (at, word) = (*at, word.clone());
            Some((name(&word)?, Word { word, at }))
        };
        Self {
            store,
            newest: Arc::new(Mutex::new(before.iter().filter_map(word).collect())),
        }
    }

    /// All that stands in the store was heard once, under those names. What still counts of an earlier run and is not among it was said to this agent when it was
    /// cut off, and the others were never told.
    pub fn tell_again(&self, heard: &BTreeSet<String>, counts: &[(Timestamp, OperatorCommand)]) {
        for (at, word) in counts {
            let (at, word) = (*at, word.clone());
            let Some(name) = name(&word).filter(|name| !heard.contains(name)) else {
                continue;
            };
            let word = Word { word, at };
            if self.known().get(&name) == Some(&word) {
                drop(self.spread(name, word));
            }
        }
    }

    /// Tells the others of a word, again and again until they know it or a newer one is known here. What is sent to the one who waits is how each try went.
    pub fn tell(&self, name: String, word: OperatorCommand) -> mpsc::Receiver<Result<(), String>> {
        let word = Word { word, at: wall_clock() };
        self.known().insert(name.clone(), word.clone());
        self.spread(name, word)
    }

    fn spread(&self, name: String, word: Word) -> mpsc::Receiver<Result<(), String>> {
        let (how, waits) = mpsc::channel();
        let words = self.clone();
        tokio::spawn(async move {
            let Ok(value) = serde_json::to_vec(&word) else { return };
            let mut said = false;
            while words.known().get(&name) == Some(&word) {
                let told = words.store.tell(&name, &value, false).await;
                // Whoever waited may be gone.
                let _ = how.send(told.clone());
                match told {
                    Ok(()) => return,
                    Err(error) if !said => {
                        tracing::warn!(name, %error, "the other agents do not know yet of an operator's word; it is told to them until they do");
                    }
                    Err(_) => {}
                }
                said = true;
                tokio::time::sleep(AGAIN).await;
            }
        });
        waits
    }

    /// Like [`Words::tell`], and waits for a moment. `Err` says why the others do not know it yet. Never to be called where nobody may wait.
    pub fn tell_now(&self, name: String, word: OperatorCommand) -> Result<(), String> {
        let waits = self.tell(name, word);
        let until = Instant::now() + PATIENCE;
        let mut told = Err(format!("the store has not answered within {}s", PATIENCE.as_secs()));
        // A member that stands still for a moment is no reason to say that nobody knows.
        while told.is_err() {
            match waits.recv_timeout(until.saturating_duration_since(Instant::now())) {
                Ok(how) => told = how,
                Err(_) => break,
            }
        }
        told
    }

    /// What stands in the store under a name.
    pub fn hear(&self, name: &str, value: &[u8]) -> Heard {
        let Ok(heard) = serde_json::from_slice::<Word>(value) else {
            return Heard::Nothing;
        };
        let known = self.known().get(name).cloned();
        match known {
            // Said to an agent that could not tell it for a while: what was said since goes before it.
            Some(known) if known.at > heard.at && known.word != heard.word => {
                drop(self.spread(name.to_owned(), known));
                Heard::Old
            }
            _ => {
                self.known().insert(name.to_owned(), heard.clone());
                Heard::Counts(heard.word, heard.at)
            }
        }
    }

    fn known(&self) -> std::sync::MutexGuard<'_, BTreeMap<String, Word>> {
        self.newest.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

#[cfg(test)]
mod tests {
    use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};

    use super::*;
    use crate::coordinate::{Boxed, NotPut, Rights};

    /// A store that may be out of reach.
    #[derive(Default)]
    struct Board {
        cut: AtomicBool,
        tries: AtomicUsize,
        kept: Mutex<BTreeMap<String, Vec<u8>>>,
        rights: Rights,
    }

    impl Store for Board {
        fn put<'a>(
            &'a self,
            _: &'a ServiceName,
            _: &'a str,
            _: Option<(u64, &'a [u8])>,
            _: Option<&'a [u8]>,
        ) -> Boxed<'a, Result<(), NotPut>> {
            Box::pin(async { Ok(()) })
        }

        fn tell<'a>(&'a self, name: &'a str, value: &'a [u8], _: bool) -> Boxed<'a, Result<(), String>> {
            Box::pin(async move {
                let cut = self.cut.load(Ordering::SeqCst);
                self.tries.fetch_add(1, Ordering::SeqCst);
                if cut {
                    return Err("no member answers".into());
                }
                self.kept.lock().unwrap().insert(name.to_owned(), value.to_vec());
                Ok(())
            })
        }

        fn rights(&self) -> &Rights {
            &self.rights
        }
    }

    fn hold(on: bool) -> OperatorCommand {
        OperatorCommand::Hold { on, by: "cli".into() }
    }

    async fn until(what: impl Fn() -> bool) {
        while !what() {
            tokio::time::sleep(Duration::from_millis(5)).await;
        }
    }

    #[tokio::test(flavor = "multi_thread")]
    async fn whoever_says_it_to_an_agent_that_is_cut_off_learns_it() {
        let board = Arc::new(Board::default());
        let words = Words::new(Arc::clone(&board) as Arc<dyn Store>, &[]);
        board.cut.store(true, Ordering::SeqCst);
        let told = {
            let words = words.clone();
            tokio::task::spawn_blocking(move || words.tell_now("word/hold".into(), hold(true))).await
        };
        assert_eq!(told.unwrap(), Err("no member answers".into()));
        board.cut.store(false, Ordering::SeqCst);
        until(|| board.kept.lock().unwrap().contains_key("word/hold")).await;
        let told = tokio::task::spawn_blocking(move || words.tell_now("word/hold".into(), hold(false))).await;
        assert_eq!(told.unwrap(), Ok(()));
    }

    #[tokio::test(flavor = "multi_thread")]
    async fn a_store_that_stands_still_for_a_moment_is_waited_for() {
        let board = Arc::new(Board::default());
        let words = Words::new(Arc::clone(&board) as Arc<dyn Store>, &[]);
        board.cut.store(true, Ordering::SeqCst);
        let told = {
            let words = words.clone();
            tokio::task::spawn_blocking(move || words.tell_now("word/hold".into(), hold(true)))
        };
        until(|| board.tries.load(Ordering::SeqCst) > 0).await;
        board.cut.store(false, Ordering::SeqCst);
        assert_eq!(told.await.unwrap(), Ok(()));
    }

    /// A release was said to one that was cut off, and later a hold to another: the cut heals.
    #[tokio::test(flavor = "multi_thread")]
    async fn a_release_that_comes_late_does_not_undo_a_later_hold() {
        let board = Arc::new(Board::default());
        let words = |board: &Arc<Board>| Words::new(Arc::clone(board) as Arc<dyn Store>, &[]);
        let (late, now) = (words(&board), words(&board));
        drop(late.tell("word/hold".into(), hold(false)));
        until(|| board.kept.lock().unwrap().contains_key("word/hold")).await;
        let old = board.kept.lock().unwrap().remove("word/hold").unwrap();
        drop(now.tell("word/hold".into(), hold(true)));
        until(|| board.kept.lock().unwrap().contains_key("word/hold")).await;
        let new = board
            .kept
            .lock()
            .unwrap()
            .insert("word/hold".into(), old.clone())
            .unwrap();
        assert!(matches!(now.hear("word/hold", &old), Heard::Old));
        until(|| board.kept.lock().unwrap().get("word/hold") == Some(&new)).await;
        assert!(matches!(late.hear("word/hold", &new), Heard::Counts(word, _) if word == hold(true)));
    }

    /// It was started anew before the cut healed.
    #[tokio::test(flavor = "multi_thread")]
    async fn what_was_said_to_an_agent_that_was_cut_off_is_told_by_its_next_run() {
        let board = Arc::new(Board::default());
        let at = Timestamp::from_secs;
        let kept = || board.kept.lock().unwrap().get("word/hold").cloned();
        let on_board = |at: i64, word| {
            serde_json::to_vec(&Word {
                word,
                at: Timestamp::from_secs(at),
            })
            .unwrap()
        };
        let before = [(at(100), hold(true))];
        let words = Words::new(Arc::clone(&board) as Arc<dyn Store>, &before);
        // Older words stand there.
        assert!(matches!(
            words.hear("word/hold", &on_board(90, hold(false))),
            Heard::Old
        ));
        until(|| kept() == Some(on_board(100, hold(true)))).await;
        // None stands there.
        board.kept.lock().unwrap().clear();
        let words = Words::new(Arc::clone(&board) as Arc<dyn Store>, &before);
        words.tell_again(&BTreeSet::new(), &before);
        until(|| kept() == Some(on_board(100, hold(true)))).await;
        // A newer one does: what this agent was told is over.
        board.kept.lock().unwrap().clear();
        let words = Words::new(Arc::clone(&board) as Arc<dyn Store>, &before);
        let newer = words.hear("word/hold", &on_board(110, hold(false)));
        assert!(matches!(newer, Heard::Counts(word, _) if word == hold(false)));
        words.tell_again(&BTreeSet::new(), &before);
        tokio::task::yield_now().await;
        assert_eq!(kept(), None);
    }

    #[tokio::test(flavor = "multi_thread")]
    async fn of_two_words_that_wait_the_later_one_counts() {
        let board = Arc::new(Board::default());
        let words = Words::new(Arc::clone(&board) as Arc<dyn Store>, &[]);
        board.cut.store(true, Ordering::SeqCst);
        let first = words.tell("word/hold".into(), hold(false));
        drop(words.tell("word/hold".into(), hold(true)));
        tokio::task::spawn_blocking(move || {
            // Its teller ends without having told it.
            while first.recv().is_ok() {}
        })
        .await
        .unwrap();
        board.cut.store(false, Ordering::SeqCst);
        until(|| board.kept.lock().unwrap().contains_key("word/hold")).await;
        let kept = board.kept.lock().unwrap().get("word/hold").cloned().unwrap();
        assert_eq!(serde_json::from_slice::<Word>(&kept).unwrap().word, hold(true));
    }
}
