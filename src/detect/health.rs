//! Health gauges: a service says by a number of its own that it is ill, whatever its health endpoint answers.
//!
//! Which signals these are is told by how exporters name them: 1 is well, 0 is ill. A series that has never been 1 says nothing, be it because the
//! process still warms up or because the number means something else.

use crate::model::{EntityKind, Evidence, Sample, Severity, SymptomKind, Timestamp};

use super::columns::Slots;
use super::scribe::{Draft, Scribe};
use super::{Detector, EntityMeta};

/// How the names of such signals end, without labels: `service_healthy`, `app_health_status`, `aspnetcore_healthcheck_status`.
const ENDINGS: [&str; 3] = ["healthy", "health_status", "healthcheck_status"];

/// Here 1 is bad.
const REVERSED: &str = "unhealthy";

/// See the module.
#[derive(Default)]
pub struct Health {
    series: Slots<Said>,
}

/// What a series last said.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Said {
    /// Nothing that would be understood.
    Nothing,
    Well,
    Ill,
}

/// Is that a signal by which a service says how it is?
fn says_how_it_is(signal: &str) -> bool {
    let name = signal
        .split('{')
        .next()
        .unwrap_or_default()
        .trim_end_matches('_')
        .to_ascii_lowercase();
    ENDINGS.iter().any(|ending| name.ends_with(ending)) && !name.ends_with(REVERSED)
}

impl Detector for Health {
    fn attach(&mut self, series: usize, signal: &str, entity: &EntityMeta) -> bool {
        let wanted = entity.kind == EntityKind::Service && says_how_it_is(signal);
        if wanted {
            self.series.insert(series, Said::Nothing);
        }
        wanted
    }

    #[allow(clippy::float_cmp, reason = "exactly these two numbers mean something")]
    fn observe(&mut self, series: usize, sample: &Sample, _: Option<(Timestamp, f64)>, out: &mut Scribe<'_>) {
        let Some(said) = self.series.get_mut(series) else {
            return;
        };
        // What was kept from before tells nothing of now.
        if sample.retained {
            return;
        }
        let before = *said;
        *said = match (before, sample.value) {
            (_, 1.0) => Said::Well,
            (Said::Well | Said::Ill, 0.0) => Said::Ill,
            _ => Said::Nothing,
        };
        match (before, *said) {
            (Said::Ill, Said::Well | Said::Nothing) => out.clear_series(series, SymptomKind::Failing, sample.at),
            (Said::Well, Said::Ill) => {
                let signal = out.signal_of(series);
                out.raise_series(
                    series,
                    Draft {
                        kind: SymptomKind::Failing,
                        severity: Severity::Critical,
                        onset: sample.at,
                        score: 0.95,
                        evidence: Evidence {
                            text: format!("it says itself that it is ill: {signal} went from 1 to 0"),
                            ..Evidence::default()
                        },
                        detector: "health".into(),
                    },
                );
            }
            _ => {}
        }
    }

    fn ended(&mut self, series: usize, at: Timestamp, out: &mut Scribe<'_>) {
        if let Some(said) = self.series.get_mut(series)
            && std::mem::replace(said, Said::Nothing) == Said::Ill
        {
            out.clear_series(series, SymptomKind::Failing, at);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_that_say_how_a_service_is() {
        for signal in [
            "service_healthy",
            "healthy",
            "app_health_status{check=\"db\"}",
            "aspnetcore_healthcheck_status",
            "status.isHealthy",
        ] {
            assert!(says_how_it_is(signal), "{signal}");
        }
        for signal in [
            "targets_unhealthy",
            "health_checks_total",
            "healthy_hosts",
            "up",
            "battery_health",
        ] {
            assert!(!says_how_it_is(signal), "{signal}");
        }
    }
}
