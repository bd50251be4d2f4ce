//! Solo: one agent by itself. The journal's lock is the lease, a counter in the journal is the epoch.
//!
//! The lease is still one that ends: a process that was stopped, or a machine that was suspended, and goes on later must not act on what it knew
//! then. So the end is kept by the clock that goes on while the machine sleeps and that nobody can set, counted from before the renewal
//! was begun, and asked again right before each effect ([`Right::check`]). The engine gets the same end by its own clock.

use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

use tokio::sync::mpsc;
use tokio_util::sync::CancellationToken;

use crate::clock::{boot_clock, wall_clock, wall_seconds};
use crate::engine::Input;
use crate::model::{Lease, Span};

/// How long a lease lasts, and how often it is renewed.
const LASTS: Duration = Duration::from_secs(6);
const RENEWED: Duration = Duration::from_secs(1);

/// Acting ends before the lease does: a command that was sent at the last moment has the rest of the time to arrive.
const ACTS: Duration = Duration::from_secs(4);

/// The epoch after that one. Without any the clock gives the first: a journal that was lost must not make epochs begin anew, because whoever
/// has seen higher ones would refuse them all.
pub fn next_epoch(known: u64) -> u64 {
    if known > 0 {
        return known + 1;
    }
    wall_seconds().max(1)
}

/// Whether this process may act, at this very moment. Cloning shares it.
#[derive(Debug, Clone, Default)]
pub struct Right {
    /// By the boot clock, in nanoseconds; 0 before the first renewal.
    until: Arc<AtomicU64>,
}

impl Right {
    /// `Err` says since when it may not.
    pub fn check(&self) -> Result<(), String> {
        self.check_at(boot_clock())
    }

    fn check_at(&self, now: Duration) -> Result<(), String> {
        match self.until.load(Ordering::SeqCst) {
            0 => Err("this agent holds no lease yet".into()),
            until => match now.checked_sub(Duration::from_nanos(until)) {
                None => Ok(()),
                Some(late) => Err(format!(
                    "the lease was not renewed in time; acting ended {} ago",
                    Span(late)
                )),
            },
        }
    }

    fn renew(&self, sent: Duration) {
        self.renew_for(sent, ACTS);
    }

    /// Acting goes on for so long after a renewal was sent.
    pub(super) fn renew_for(&self, sent: Duration, acts: Duration) {
        let until = u64::try_from((sent + acts).as_nanos()).unwrap_or(u64::MAX);
        self.until.store(until, Ordering::SeqCst);
    }
}

/// Holds the lease of one epoch.
pub struct Holder<F> {
    /// Which.
    pub epoch: u64,
    /// What is renewed with it.
    pub right: Right,
    /// Finds the lock still held, or says why it is not.
    pub ours: F,
    /// Where the engine hears of it.
    pub inbox: mpsc::Sender<Input>,
}

impl<F: Fn() -> Result<(), String> + Send> Holder<F> {
    /// Renews the lease, if the lock is still held. Done once before plans of an earlier run are gone on with: they ask for it at once.
    /// False if nobody listens any more.
    pub async fn renew(&self) -> bool {
        const { assert!(ACTS.as_nanos() * 3 <= LASTS.as_nanos() * 2) };
        let (sent, until) = (boot_clock(), wall_clock() + ACTS);
        if let Err(why) = (self.ours)() {
            tracing::error!("the lease is not renewed and nothing is acted upon: {why}");
            return true;
        }
        self.right.renew(sent);
        let (epoch, seq) = (self.epoch, 0);
        self.inbox.send(Input::Lease(Lease { epoch, seq, until })).await.is_ok()
    }

    /// Renews it until `stop`.
    pub async fn hold(self, stop: CancellationToken) {
        let mut due = tokio::time::interval(RENEWED);
        due.set_missed_tick_behavior(tokio::time::MissedTickBehavior::Delay);
        loop {
            tokio::select! {
                () = stop.cancelled() => return,
                _ = due.tick() => {}
            }
            if !self.renew().await {
                return;
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_machine_that_slept_wakes_up_without_the_right_to_act() {
        let right = Right::default();
        assert!(right.check().unwrap_err().contains("no lease yet"));
        let sent = boot_clock();
        right.renew(sent);
        assert_eq!(right.check_at(sent + Duration::from_secs(3)), Ok(()));
        assert!(right.check_at(sent + ACTS).is_err());
        let woken = right.check_at(sent + Duration::from_secs(3600)).unwrap_err();
        assert!(woken.contains("59m56s ago"), "{woken}");
        right.renew(sent + Duration::from_secs(3600));
        assert_eq!(right.check_at(sent + Duration::from_secs(3601)), Ok(()));
    }

    #[tokio::test]
    async fn a_lock_that_is_lost_is_not_renewed() {
        let (inbox, mut heard) = mpsc::channel(8);
        let right = Right::default();
        let lost = Holder {
            epoch: 7,
            right: right.clone(),
            ours: || Err("the folder is gone".into()),
            inbox: inbox.clone(),
        };
        assert!(lost.renew().await);
        assert!(heard.try_recv().is_err() && right.check().is_err());
        let held = Holder {
            epoch: 7,
            right: right.clone(),
            ours: || Ok(()),
            inbox,
        };
        let stop = CancellationToken::new();
        let holding = tokio::spawn(held.hold(stop.clone()));
        assert!(matches!(heard.recv().await, Some(Input::Lease(Lease { epoch: 7, .. }))));
        assert_eq!(right.check(), Ok(()));
        stop.cancel();
        holding.await.unwrap();
    }
}
