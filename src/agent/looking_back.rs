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
    /// Whether what another look shows is news.
    fn look(&mut self, gone: Option<&str>) -> bool {
        self.gone = if gone.is_some() { self.gone + 1 } else { 0 };
        if gone == self.told.as_deref() || (gone.is_some() && self.gone < SURE) {
            return false;
        }
        self.told = gone.map(str::to_owned);
        true
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
                seen.entry(service.clone()).or_default().look(gone.as_deref())
            };
            if news {
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
        let (mut seen, gone) = (Seen::default(), Some("put b into web"));
        let looks = [None, gone, None, gone, gone, gone, None, None];
        let news = looks.map(|look| seen.look(look));
        // Gone once, it may be under way.
        assert_eq!(news, [false, false, false, false, true, false, true, false]);
    }
}
