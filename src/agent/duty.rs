//! What a person on duty may ask of the agent beside the engine: a dry drill, and the audit log.

use std::sync::Arc;

use arc_swap::ArcSwap;
use serde_json::{Value, json};

use super::drill::drill;
use crate::act::journal;
use crate::api::{Drills, Picture};
use crate::config::Loaded;
use crate::model::Service;

/// Records of the audit log that are shown.
const SHOWN: usize = 100;

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

    /// The latest records, and whether the chain is whole.
    pub fn audit(&self) -> Box<dyn Fn() -> Result<Value, String> + Send + Sync> {
        let (dir, acts) = (self.config.load().config.agent.data_dir.clone(), self.acts);
        Box::new(move || {
            if !acts {
                return Err("this agent only watches: it has no journal".into());
            }
            let chain = match journal::verify(&dir, None) {
                Ok(told) => json!({"whole": true, "records": told.records, "files": told.files, "last": told.last}),
                Err(error @ journal::AuditError::Broken { .. }) => json!({"whole": false, "why": error.to_string()}),
                Err(error) => return Err(error.to_string()),
            };
            let records = journal::latest(&dir, SHOWN).map_err(|error| error.to_string())?;
            let records = records
                .iter()
                .map(|(at, record)| json!({"written": at, "record": record}));
            Ok(json!({"chain": chain, "records": records.collect::<Vec<_>>()}))
        })
    }
}
