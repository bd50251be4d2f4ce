//! Solo: one agent by itself. The journal's lock is the lease, a counter in the journal is the epoch.
//!
//! The lease is still one that ends: a process that was stopped and goes on later must not act on what it knew then.

use std::time::Duration;

use tokio::sync::mpsc;
use tokio_util::sync::CancellationToken;

use crate::clock::wall_clock;
use crate::engine::Input;
use crate::model::Lease;

/// How long a lease lasts, and how often it is renewed.
const LASTS: Duration = Duration::from_secs(3);
const RENEWED: Duration = Duration::from_secs(1);

/// Renews the lease of `epoch` until `stop`. `seq` is the last plan number that the journal knows of this epoch.
pub async fn hold(epoch: u64, seq: u64, inbox: mpsc::Sender<Input>, stop: CancellationToken) {
    let mut due = tokio::time::interval(RENEWED);
    loop {
        tokio::select! {
            () = stop.cancelled() => return,
            _ = due.tick() => {}
        }
        let lease = Lease {
            epoch,
            seq,
            until: wall_clock() + LASTS,
        };
        if inbox.send(Input::Lease(lease)).await.is_err() {
            return;
        }
    }
}
