//! What was decided otherwise: the gist of two decision logs, line by line. Times and numbers are no gist.

use crate::engine::Record;
use crate::model::{Decision, Timestamp};

/// Lines of gist that are held against one another; of longer logs only the beginning.
const GIST_MAX: usize = 2000;

/// A decision in a few words, and when it was made.
type Gist = (String, Timestamp);

fn gist(log: &[Record]) -> Vec<Gist> {
    let mut lines: Vec<Gist> = Vec::new();
    for record in log {
        let line = match record {
            Record::Incident { at, incident } if incident.is_open() => incident.top().map(|top| {
                (
                    format!("incident {}: {} at {}", incident.id, top.fault, top.entity),
                    *at,
                )
            }),
            Record::Verdict { verdict } => {
                let decision = match verdict.decision {
                    Decision::Act => "act",
                    Decision::Hold => "hold",
                    Decision::Ask => "ask",
                    Decision::Ignore => "ignore",
                };
                let gate = verdict
                    .refusal
                    .as_ref()
                    .map_or_else(String::new, |refusal| format!(" ({})", refusal.gate));
                let service = verdict
                    .service
                    .as_ref()
                    .map_or_else(String::new, |service| format!(", {service}"));
                let text = format!("verdict on incident {}{service}: {decision}{gate}", verdict.incident);
                Some((text, verdict.at))
            }
            Record::Plan { at, plan } => {
                Some((format!("plan: {} from {} to {}", plan.service, plan.from, plan.to), *at))
            }
            _ => None,
        };
        // An incident is told again with each symptom; its cause is told once.
        lines.extend(line.filter(|(text, _)| {
            let subject = text.split(':').next();
            let last = lines.iter().rev().find(|(known, _)| known.split(':').next() == subject);
            last.is_none_or(|(known, _)| known != text)
        }));
        if lines.len() >= GIST_MAX {
            break;
        }
    }
    lines
}

/// The lines that only one of both has: `-` then, `+` now, with seconds since the first of either.
pub fn changes(then: &[Record], now: &[Record]) -> Vec<String> {
    let (then, now) = (gist(then), gist(now));
    let begin = then.iter().chain(&now).map(|(_, at)| *at).min().unwrap_or_default();
    let line = |mark: char, (text, at): &Gist| format!("{mark} {:>9.3}s  {text}", at.since(begin).as_secs_f64());
    // The longest common subsequence, from its end.
    let mut longest = vec![vec![0_u16; now.len() + 1]; then.len() + 1];
    for a in (0..then.len()).rev() {
        for b in (0..now.len()).rev() {
            longest[a][b] = if then[a].0 == now[b].0 {
                longest[a + 1][b + 1] + 1
            } else {
                longest[a + 1][b].max(longest[a][b + 1])
            };
        }
    }
    let (mut a, mut b) = (0, 0);
    let mut out = Vec::new();
    while a < then.len() || b < now.len() {
        if a < then.len() && b < now.len() && then[a].0 == now[b].0 {
            (a, b) = (a + 1, b + 1);
        } else if b >= now.len() || (a < then.len() && longest[a + 1][b] >= longest[a][b + 1]) {
            out.push(line('-', &then[a]));
            a += 1;
        } else {
            out.push(line('+', &now[b]));
            b += 1;
        }
    }
    out
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::model::{Refusal, Remedy, Verdict};

    fn verdict(second: i64, decision: Decision, gate: Option<&str>) -> Record {
        let refusal = gate.map(|gate| Refusal {
            gate: gate.into(),
            decision,
            reason: String::new(),
        });
        Record::Verdict {
            verdict: Verdict {
                incident: crate::model::IncidentId(1),
                service: Some("web".into()),
                at: Timestamp::from_secs(second),
                decision,
                refusal,
                fault: None,
                entity: None,
                probability: 0.0,
                remedy: Remedy::Wait,
                costs: Vec::new(),
                plan: None,
                answer_by: None,
            },
        }
    }

    #[test]
    fn only_what_differs_is_told_with_its_time() {
        let then = [
            verdict(1, Decision::Hold, Some("hold-off")),
            verdict(2, Decision::Act, None),
        ];
        let now = [
            verdict(1, Decision::Hold, Some("hold-off")),
            verdict(3, Decision::Ask, Some("approval")),
        ];
        assert_eq!(
            changes(&then, &now),
            [
                "-     1.000s  verdict on incident 1, web: act",
                "+     2.000s  verdict on incident 1, web: ask (approval)"
            ]
        );
        assert!(changes(&then, &then).is_empty());
    }
}
