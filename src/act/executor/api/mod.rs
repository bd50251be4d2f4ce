//! Executors that work by the HTTP interface of whoever owns the service: Kubernetes, Nomad, Velero (through Kubernetes), Patroni.

mod client;
mod kubernetes;
mod nomad;
mod patroni;
mod velero;

use std::time::Duration;

use tokio::time::Instant;

use super::Executor;
use crate::act::runner::Applied;

/// Looks every `pause` until a look tells what came of an order, and for the last time when `until` is over; `late` says what is not so by then.
/// Each look is told how long it may take.
async fn watched<F>(until: Instant, pause: Duration, late: &str, look: impl Fn(Duration) -> F) -> Applied
where
    F: Future<Output = Option<Applied>>,
{
    loop {
        let left = until.saturating_duration_since(Instant::now()).max(pause);
        match look(left).await {
            Some(applied) => return applied,
            None if Instant::now() >= until => return Applied::Unknown(late.to_owned()),
            None => tokio::time::sleep(pause).await,
        }
    }
}

/// All executors of this sort.
pub(super) fn all() -> Vec<Box<dyn Executor>> {
    vec![
        Box::new(kubernetes::Kubernetes),
        Box::new(nomad::Nomad),
        Box::new(patroni::Patroni),
        Box::new(velero::Velero),
    ]
}
