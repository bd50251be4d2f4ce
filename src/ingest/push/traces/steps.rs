//! What is done for each piece of work: how often an operation takes each of its steps.
//!
//! A *signature* is a service and its operation; its *steps* are the signatures of what is done for it, by itself or by another. How many of each are taken for
//! one piece of work stays the same while the code and the requests do; a step that vanishes tells as much as one that is new.

use std::collections::{BTreeMap, HashMap};

use super::tally::Telling;
use super::weaver::{Bounds, further};
use crate::model::SPAN_STEPS;

/// A service's operation, by its number.
pub type Signature = u32;

struct Known {
    service: u32,
    operation: String,
    /// Since it was last told.
    done: u64,
}

#[derive(Default)]
struct Taken {
    /// Since it was last told.
    count: u64,
    /// Ever, as far as it matters.
    ever: u32,
}

/// See the module. Grows to its bounds and no further.
#[derive(Default)]
pub struct Steps {
    numbers: HashMap<u32, BTreeMap<String, Signature>>,
    known: Vec<Known>,
    /// By signature, then step.
    taken: BTreeMap<(Signature, Signature), Taken>,
}

impl Steps {
    /// One piece of work of that signature was done.
    pub fn done(&mut self, service: u32, operation: &str, bounds: &Bounds) -> Signature {
        let of_service = self.numbers.entry(service).or_default();
        let name = further(
            operation,
            |name| of_service.contains_key(name),
            of_service.len(),
            bounds,
        );
        let next = self.known.len() as Signature;
        let number = *of_service.entry(name).or_insert_with_key(|name| {
            self.known.push(Known {
                service,
                operation: name.clone(),
                done: 0,
            });
            next
        });
        if let Some(known) = self.known.get_mut(number as usize) {
            known.done += 1;
        }
        number
    }

    /// A step was taken for a piece of work. False if there is no room for one more.
    pub fn took(&mut self, work: Signature, step: Signature, bounds: &Bounds) -> bool {
        let key = (work, step);
        if !self.taken.contains_key(&key) && self.taken.len() >= bounds.steps {
            return false;
        }
        let taken = self.taken.entry(key).or_default();
        taken.count += 1;
        taken.ever = taken.ever.saturating_add(1);
        true
    }

    /// Steps that are known.
    #[cfg(test)]
    pub fn len(&self) -> usize {
        self.taken.len()
    }

    /// Tells the steps of one service's work, those that were taken `least` times or more since ever, and begins anew.
    pub fn tell<'a>(&mut self, service: u32, least: u32, name_of: impl Fn(u32) -> &'a str, to: &mut Telling<'_>) {
        let Some(of_service) = self.numbers.get(&service) else {
            return;
        };
        for (operation, number) in of_service {
            let Some(done) = self.known.get_mut(*number as usize).map(|known| &mut known.done) else {
                continue;
            };
            let done = std::mem::take(done);
            for ((_, step), taken) in self.taken.range_mut((*number, 0)..=(*number, Signature::MAX)) {
                let count = std::mem::take(&mut taken.count);
                // Of work that was not done nothing is known.
                if done == 0 || taken.ever < least {
                    continue;
                }
                let Some(step) = self.known.get(*step as usize) else {
                    continue;
                };
                let step = if step.service == service {
                    step.operation.clone()
                } else {
                    format!("{} {}", name_of(step.service), step.operation)
                };
                let labels = [("operation", operation.as_str()), ("step", step.as_str())];
                to.sample(SPAN_STEPS, &labels, count as f64 / done as f64);
            }
        }
    }
}
