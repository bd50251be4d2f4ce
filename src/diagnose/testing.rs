//! Symptoms for tests.

use crate::model::{Evidence, Severity, Symptom, SymptomKey, SymptomKind, Timestamp};

/// A symptom that was told the moment that it began.
pub fn symptom(entity: &str, kind: SymptomKind, signal: &str, onset: Timestamp) -> Symptom {
    Symptom {
        key: SymptomKey {
            entity: entity.into(),
            kind,
            signal: signal.into(),
        },
        severity: Severity::Warning,
        onset,
        raised: onset,
        score: 0.9,
        evidence: Evidence::default(),
        detector: "test".into(),
    }
}
