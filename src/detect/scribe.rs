//! Where detectors write their findings.

use crate::model::symptom::Finding;
use crate::model::{Catalog, EntityName, Evidence, Severity, SignalName, Symptom, SymptomKey, SymptomKind, Timestamp};

use super::EntityMeta;
use super::budget::Ledger;
use crate::store::{Columns, Tag};

/// Collects findings of one shard and knows the names behind its indices.
pub struct Scribe<'a> {
    /// The tick at hand, or the arrival of the sample at hand.
    pub now: Timestamp,
    pub(super) catalog: &'a Catalog,
    pub(super) entities: &'a [EntityMeta],
    pub(super) store: &'a mut Columns,
    pub(super) findings: &'a mut Vec<Finding>,
    /// What each entity has spent of its false alarms.
    pub(super) ledger: &'a mut Ledger,
}

/// A finding without its names.
pub struct Draft {
    /// What sort.
    pub kind: SymptomKind,
    /// How bad.
    pub severity: Severity,
    /// When the trouble began.
    pub onset: Timestamp,
    /// How sure the detector is, `0..=1`.
    pub score: f64,
    /// Why.
    pub evidence: Evidence,
    /// Which detector, and which of its rules.
    pub detector: String,
}

impl Scribe<'_> {
    /// The entity with that index.
    pub fn entity(&self, entity: usize) -> &EntityMeta {
        &self.entities[entity]
    }

    /// The index of the entity whose series that is.
    pub fn entity_of(&self, series: usize) -> usize {
        self.store.tag(series).entity as usize
    }

    /// Of what signal it is.
    pub fn signal_of(&self, series: usize) -> SignalName {
        self.catalog.signal_name(self.store.tag(series).signal)
    }

    /// A symptom of one signal.
    pub fn raise_series(&mut self, series: usize, draft: Draft) {
        let Tag { entity, signal, .. } = self.store.tag(series);
        let signal = self.catalog.signal_name(signal);
        self.vouch(entity as usize, draft.kind);
        let key = SymptomKey {
            entity: self.name(entity as usize),
            kind: draft.kind,
            signal,
        };
        self.raise(key, draft);
    }

    /// The symptom of one signal is over.
    pub fn clear_series(&mut self, series: usize, kind: SymptomKind, at: Timestamp) {
        let Tag { entity, signal, .. } = self.store.tag(series);
        let signal = self.catalog.signal_name(signal);
        self.findings.push(Finding::Cleared {
            key: SymptomKey {
                entity: self.name(entity as usize),
                kind,
                signal,
            },
            at,
        });
    }

    /// A symptom of an entity; `signal` names what of it, or is empty.
    pub fn raise_entity(&mut self, entity: usize, signal: &str, draft: Draft) {
        self.vouch(entity, draft.kind);
        let key = SymptomKey {
            entity: self.name(entity),
            kind: draft.kind,
            signal: signal.into(),
        };
        self.raise(key, draft);
    }

    /// The symptom of an entity is over.
    pub fn clear_entity(&mut self, entity: usize, kind: SymptomKind, signal: &str, at: Timestamp) {
        let key = SymptomKey {
            entity: self.name(entity),
            kind,
            signal: signal.into(),
        };
        self.findings.push(Finding::Cleared { key, at });
    }

    fn name(&self, entity: usize) -> EntityName {
        self.entities[entity].name.clone()
    }

    /// What is not drawn from a tail speaks for what is; and so do the others of its group.
    fn vouch(&mut self, entity: usize, kind: SymptomKind) {
        if !kind.is_learned() || kind == SymptomKind::Apart {
            self.ledger.vouch(entity, self.now);
        }
    }

    fn raise(&mut self, key: SymptomKey, draft: Draft) {
        self.findings.push(Finding::Raised(Symptom {
            key,
            severity: draft.severity,
            onset: draft.onset,
            raised: self.now,
            score: draft.score,
            evidence: draft.evidence,
            detector: draft.detector,
        }));
    }
}
