//! What a person on duty may ask of the agent beside the engine: a dry drill, and the audit log.

use std::sync::{Arc, Mutex, PoisonError};

use arc_swap::ArcSwap;
use serde_json::json;

use super::drill::drill;
use crate::act::journal::{AuditError, Chain, page};
use crate::api::{AuditPages, Drills, NoPage, Picture};
use crate::config::Loaded;
use crate::model::Service;

/// See the module.
pub struct Duty {
    /// The config that runs.
    pub config: Arc<ArcSwap<Loaded>>,
    /// Where services run.
    pub picture: Picture,
    /// This agent acts, so it has a journal.
    pub acts: bool,
}

impl Duty {
    /// Looks at every service from where it runs now.
    pub fn drills(&self) -> Drills {
        let (config, picture) = (Arc::clone(&self.config), self.picture.clone());
        Drills::new(move || {
            let (loaded, picture) = (config.load_full(), picture.latest());
            Box::pin(async move {
                let views = picture.services.iter();
                let active = views
                    .map(|view| (view.name.clone(), view.state.active.clone()))
                    .collect();
                let services: Vec<&Service> = loaded.config.services.iter().collect();
                json!(drill(&loaded, &services, &active).await)
            })
        })
    }

    /// A page of records, and whether the chain is whole.
    pub fn audit(&self) -> AuditPages {
        let (dir, acts) = (self.config.load().config.agent.data_dir.clone(), self.acts);
        let chain = Mutex::new(Chain::default());
        Box::new(move |asked| {
            if !acts {
                return Err(NoPage::None("this agent only watches: it has no journal".into()));
            }
            let before = asked.before.as_deref().map(str::parse).transpose()?;
            let page = page(&dir, before, asked.limit)?;
            let looked = chain.lock().unwrap_or_else(PoisonError::into_inner).look(&dir);
            let chain = match looked {
                Ok(told) => json!({"whole": true, "records": told.records, "files": told.files, "last": told.last}),
                Err(error @ AuditError::Broken { .. }) => json!({"whole": false, "why": error.to_string()}),
                Err(error) => return Err(error.into()),
            };
            Ok(json!({"chain": chain, "records": page.records, "before": page.before}))
        })
    }
}

impl From<AuditError> for NoPage {
    fn from(error: AuditError) -> Self {
        match error {
            AuditError::Place(_) => Self::Bad(error.to_string()),
            _ => Self::None(error.to_string()),
        }
    }
}
