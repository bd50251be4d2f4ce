//! Executors that work by the HTTP interface of whoever owns the service: Kubernetes, Nomad, Velero (through Kubernetes), Patroni.

mod client;
mod kubernetes;
mod nomad;
mod patroni;
mod velero;

use super::Executor;

/// All executors of this sort.
pub(super) fn all() -> Vec<Box<dyn Executor>> {
    vec![
        Box::new(kubernetes::Kubernetes),
        Box::new(nomad::Nomad),
        Box::new(patroni::Patroni),
        Box::new(velero::Velero),
    ]
}
