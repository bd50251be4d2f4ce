//! Looks at what should stand, and tells the engine when it stands no more, or again.
//!
//! One look may come while somebody is at work at the front: what is gone is told when it is gone at two looks in a row.

use std::collections::HashMap;
use std::sync::{Arc, Mutex, PoisonError};

use tokio::sync::mpsc;

use crate::act::Conductor;
use crate::clock::wall_clock;
use crate::engine::{Input, LookBack, PlanEvent};
use crate::model::ServiceName;

/// Looks in a row at which something is gone before it is told.
const SURE: u32 = 2;

/// What the looks at a service have shown.
#[derive(Debug, Default)]
struct Seen {
    gone: u32,
    told: Option<String>,
}

impl Seen {
    /// What is news in another look.
    fn look(&mut self, gone: Option<String>) -> Option<Option<String>> {
        self.gone = if gone.is_some() { self.gone + 1 } else { 0 };
        if gone == self.told || (gone.is_some() && self.gone < SURE) {
            return None;
        }
        self.told.clone_from(&gone);
        Some(gone)
    }
}

/// See the module.
#[derive(Default)]
pub struct LookingBack {
    seen: Arc<Mutex<HashMap<ServiceName, Seen>>>,
}

impl LookingBack {
    /// Looks, beside everything else.
    pub fn look(&self, request: LookBack, conductor: &Conductor, inbox: &mpsc::Sender<Input>) {
        let (seen, conductor, inbox) = (Arc::clone(&self.seen), conductor.clone(), inbox.clone());
        tokio::spawn(async move {
            let LookBack { service, steps } = request;
            let Ok(gone) = conductor.gone(&steps).await else {
                return;
            };
            let news = {
                let mut seen = seen.lock().unwrap_or_else(PoisonError::into_inner);
                seen.entry(service.clone()).or_default().look(gone)
            };
            if let Some(gone) = news {
                let at = wall_clock();
                super::send(&inbox, Input::Plan(PlanEvent::LookedBack { service, at, gone })).await;
            }
        });
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_gone_twice_is_told_once_and_so_is_its_return() {
        let (mut seen, gone) = (Seen::default(), || Some("put b into web".to_owned()));
        assert_eq!(seen.look(None), None);
        assert_eq!(seen.look(gone()), None, "it may be under way");
        assert_eq!(seen.look(None), None);
        assert_eq!(seen.look(gone()), None);
        assert_eq!(seen.look(gone()), Some(gone()));
        assert_eq!(seen.look(gone()), None);
        assert_eq!(seen.look(None), Some(None));
        assert_eq!(seen.look(None), None);
    }
}
