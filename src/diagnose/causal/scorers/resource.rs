//! What a node uses, beyond what its workload explains. One-sided: only a rise is a fault.

use super::nats;
use crate::diagnose::causal::stats::{Floor, quantile, shift, without_workload};
use crate::diagnose::causal::{Evidence, Finding, Kind, Measure, Scorer};

/// The most that this view alone can say.
const MOST: f64 = 7.0;
/// For a level beyond all that was seen before.
const BEYOND: f64 = 1.0;
/// A rise of so many points of the processor limit is a full one.
const FULL_POINTS: f64 = 25.0;
/// Less than this is what noise says.
const LEAST: f64 = 0.1;
/// Without a limit to compare with: a rise by so many times the level is a full one.
const FULL_TIMES: f64 = 1.0;

/// See the module.
pub struct Resource;

impl Scorer for Resource {
    fn name(&self) -> &'static str {
        "resource"
    }

    fn score(&self, evidence: &Evidence) -> Vec<Finding> {
        let mut findings = Vec::new();
        for signal in &evidence.signals {
            let has_share = evidence.signal(signal.node, Measure::CpuShare).is_some();
            let (kind, floor) = match signal.measure {
                Measure::CpuShare => (Kind::CpuContention, Floor { share: 0.1, least: 1.0 }),
                Measure::Cpu if !has_share => (
                    Kind::CpuContention,
                    Floor {
                        share: 0.1,
                        least: 1e-6,
                    },
                ),
                Measure::Memory => (
                    Kind::Memory,
                    Floor {
                        share: 0.1,
                        least: 1e-6,
                    },
                ),
                Measure::Disk if !has_share => (
                    Kind::Disk,
                    Floor {
                        share: 0.2,
                        least: 1e-6,
                    },
                ),
                _ => continue,
            };
            let series = match evidence.signal(signal.node, Measure::Requests) {
                Some(load) => without_workload(&signal.series, load),
                None => signal.series.clone(),
            };
            let Some(shift) = shift(&series, floor) else { continue };
            let size = match signal.measure {
                Measure::CpuShare => shift.delta / FULL_POINTS,
                _ => shift.delta / (shift.level.abs().max(1e-9) * FULL_TIMES),
            };
            // Where it has never been is strange even of a restless series.
            let beyond = quantile(&series.before, 0.95).is_some_and(|high| shift.level + shift.delta > high);
            let weight = (nats(shift.z(), MOST) + if beyond { BEYOND } else { 0.0 }) * size.clamp(0.0, 1.0);
            if weight > LEAST {
                findings.push(Finding {
                    node: signal.node,
                    kind,
                    weight,
                    why: format!("{} rose from {:.3} by {:.3}", signal.name, shift.level, shift.delta),
                });
            }
        }
        findings
    }
}
