//! Plans that are left to another agent.

use std::collections::BTreeSet;
use std::sync::{Arc, PoisonError};

use tokio_util::sync::CancellationToken;

use super::Conductor;
use crate::act::journal::Record;
use crate::clock::wall_clock;
use crate::model::{PlanId, ServiceName};

impl Conductor {
    /// Whether a plan of one of these services runs.
    pub fn works_for(&self, services: &BTreeSet<ServiceName>) -> bool {
        let running = self.running();
        running.values().any(|running| services.contains(&running.service))
    }

    /// Drops plans of these services wherever they stand: another agent goes on with them. Returns once nothing of them is under way here.
    pub async fn leave(&self, services: &[ServiceName]) {
        let left: Vec<(PlanId, CancellationToken)> = self
            .running()
            .iter()
            .filter(|(_, running)| services.contains(&running.service))
            .map(|(id, running)| {
                running.leave.cancel();
                (id.clone(), running.over.clone())
            })
            .collect();
        for (plan, over) in left {
            over.cancelled().await;
            tracing::warn!(%plan, "left to whoever leads now");
            let shared = Arc::clone(&self.shared);
            let noted = tokio::task::spawn_blocking(move || {
                let at = wall_clock();
                let mut journal = shared.journal.lock().unwrap_or_else(PoisonError::into_inner);
                journal.append(&Record::Left { at, plan })
            });
            if let Ok(Err(error)) = noted.await {
                tracing::warn!(%error, "that a plan was left could not be written down; the shared store knows");
            }
        }
    }
}
