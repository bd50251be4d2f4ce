//! Looks at what should stand, and tells the engine when it stands no more, or again.
//!
//! One look may come while somebody is at work at the front: what is gone is told when it is gone at two looks in a row.

use std::collections::HashMap;
use std::sync::{Arc, Mutex, PoisonError};

use tokio::sync::mpsc;

use crate::act::Conductor;
use crate::clock::wall_clock;
use crate::engine::{Gone, Input, LookBack, PlanEvent};
use crate::model::ServiceName;

/// Looks in a row at which something is gone before it is told.
const SURE: u32 = 2;

/// Looks in a row at which something of a service was gone.
#[derive(Debug, Default)]
struct InARow(u32);

impl InARow {
    /// Whether what another look shows is news to whoever knows of `told`.
    fn look(&mut self, gone: Option<&Gone>, told: Option<&Gone>) -> bool {
        self.0 = if gone.is_some() { self.0 + 1 } else { 0 };
        gone != told && (gone.is_none() || self.0 >= SURE)
    }
}

/// See the module.
#[derive(Default)]
pub struct LookingBack {
    seen: Arc<Mutex<HashMap<ServiceName, InARow>>>,
}

impl LookingBack {
    /// Looks, beside everything else.
    pub fn look(&self, request: LookBack, conductor: &Conductor, inbox: &mpsc::Sender<Input>) {
        let (seen, conductor, inbox) = (Arc::clone(&self.seen), conductor.clone(), inbox.clone());
        tokio::spawn(async move {
            let Ok(gone) = conductor.gone(&request).await else {
                return;
            };
            let LookBack { service, undone, .. } = request;
            let news = {
                let mut seen = seen.lock().unwrap_or_else(PoisonError::into_inner);
                let of = seen.entry(service.clone()).or_default();
                of.look(gone.as_ref(), undone.as_ref())
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
        let by_hand = Gone {
            step: "put b into web".into(),
            forgotten: false,
        };
        let (mut seen, gone, mut told) = (InARow::default(), Some(&by_hand), None);
        let looks = [None, gone, None, gone, gone, gone, None, None];
        let news = looks.map(|look| {
            let news = seen.look(look, told);
            told = if news { look } else { told };
            news
        });
        // Gone once, it may be under way.
        assert_eq!(news, [false, false, false, false, true, false, true, false]);
    }
}
