//! Links by which a person may answer, in notifications that ask. A question mostly stands longer than a link is good, so those who are told again, as
//! Alertmanagers are, get fresh ones.

use std::collections::BTreeMap;

use crate::api::{Claim, LinkAction, Links};
use crate::clock::wall_clock;
use crate::engine::{Engine, Notification, NotificationKind};
use crate::model::{IncidentId, ServiceName, Timestamp};

/// Questions whose links are renewed; a fleet that asks more at once has other worries.
const ASKED_MAX: usize = 1000;

/// See the module.
pub struct Asking {
    links: Links,
    /// What is asked now, and when its links were made.
    asked: BTreeMap<(IncidentId, ServiceName), (Notification, Timestamp)>,
}

impl Asking {
    /// Nothing is asked yet.
    pub const fn new(links: Links) -> Self {
        let asked = BTreeMap::new();
        Self { links, asked }
    }

    /// Adds links to a notification that asks.
    pub fn sign(&mut self, engine: &Engine, notification: &mut Notification) {
        if notification.kind != NotificationKind::Approval {
            return;
        }
        let (Some(id), Some(service)) = (notification.incident, notification.service.clone()) else {
            return;
        };
        let key = (id, service);
        if !notification.firing {
            self.asked.remove(&key);
            return;
        }
        let now = wall_clock();
        self.answers(engine, notification, now);
        if self.asked.len() < ASKED_MAX || self.asked.contains_key(&key) {
            self.asked.insert(key, (notification.clone(), now));
        }
    }

    /// The questions whose links have gone through half of their time, with fresh ones.
    pub fn renewed(&mut self, engine: &Engine) -> Vec<Notification> {
        let (now, half) = (wall_clock(), self.links.valid().0 / 2);
        let mut asked = std::mem::take(&mut self.asked);
        let old = asked.values_mut().filter(|(_, made)| now.since(*made) >= half);
        let renewed = old.map(|(notification, made)| {
            *made = now;
            self.answers(engine, notification, now);
            notification.clone()
        });
        let renewed = renewed.collect();
        self.asked = asked;
        renewed
    }

    fn answers(&self, engine: &Engine, notification: &mut Notification, now: Timestamp) {
        let (Some(id), Some(service)) = (notification.incident, &notification.service) else {
            return;
        };
        let Some(incident) = engine.find_incident(id) else {
            return;
        };
        for (name, action) in [("approve_url", LinkAction::Approve), ("deny_url", LinkAction::Deny)] {
            let claim = Claim {
                agent: engine.agent().clone(),
                incident: id,
                onset: incident.onset,
                service: service.clone(),
                epoch: engine.epoch_of(service),
                action,
                until: now + self.links.valid().0,
            };
            notification.links.insert(name.to_owned(), self.links.url(&claim));
        }
    }
}
