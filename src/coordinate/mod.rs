//! Coordination: who may act.
//!
//! In: what a store says of the lease. Out: [`Lease`](crate::model::Lease)s. Never: a lease that outlives what was granted.
//!
//! [`solo`] is one agent by itself; with [`etcd`] or [`kubernetes`], behind one [`Coordinator`], several agents share the services, one lease for each connected part of the topology
//! ([`parts`]). Whoever sees badly what another one sees well leaves them to others ([`Aside`]).

mod aside;
pub mod etcd;
pub mod kubernetes;
mod parts;
mod rhythm;
mod settings;
mod shared;
pub mod solo;

pub use aside::{Aside, Change, Lead, PATIENCE, Patience};
pub use parts::{Part, digest, parts};
pub use settings::{EtcdSettings, KubernetesSettings, Settings};
pub use shared::{Boxed, Coordinator, Folder, News, NotPut, Rights, Store, Who};

use std::collections::BTreeMap;
use std::time::Duration;

impl Settings {
    /// Whoever agrees with the others by these settings; `None` for an agent by itself.
    pub fn coordinator(&self, parts: BTreeMap<String, Part>, who: Who) -> Option<Result<Box<dyn Coordinator>, String>> {
        if let Some(etcd) = &self.etcd {
            let made = etcd::Member::new(etcd, parts, who).map_err(|error| error.to_string());
            return Some(made.map(|member| Box::new(member) as _));
        }
        let kubernetes = self.kubernetes.as_ref()?;
        let made = kubernetes::Member::new(kubernetes, parts, who).map_err(|error| error.to_string());
        Some(made.map(|member| Box::new(member) as _))
    }

    /// Tries to reach the API server of Kubernetes, if agents agree through it: what it is, and what it says.
    pub async fn reach(&self) -> Option<(String, Result<String, String>)> {
        const PATIENCE: Duration = Duration::from_secs(3);
        let settings = self.kubernetes.as_ref()?;
        let said = async {
            let api = kubernetes::Api::new(settings, PATIENCE)?;
            let leases = api.list().await?;
            api.may_write().await?;
            Ok(format!(
                "{} leases of {}, and one may be written",
                leases.len(),
                settings.prefix
            ))
        };
        let said: Result<String, kubernetes::CallError> = said.await;
        Some(("kubernetes leases".into(), said.map_err(|error| error.to_string())))
    }
}
