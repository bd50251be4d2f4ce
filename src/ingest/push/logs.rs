//! Lines of logs become signals: each template's rate, and its first appearance as an event.
//!
//! In: lines, whose they are. Out: every few seconds, rates of those who have written. Never: a rate of one who has written nothing, for that would be taken for a
//! sign of life.

use std::collections::BTreeMap;

use super::since::Since;
use crate::diagnose::drain::{Drain, speaks_of_error};
use crate::model::{Batch, Catalog, EntityKind, EntityName, Event, EventKind, Sample, Timestamp, TopologyChange};

/// Those who write logs; lines of others are dropped with a count.
const WRITERS_MAX: usize = 2000;

/// Templates of one writer that have a signal of their own.
const SIGNALS_MAX: usize = 200;

/// First appearances told in one go.
const NEWS_MAX: usize = 50;

/// Bytes of a template that are said.
const TEXT_MAX: usize = 200;

/// See the module.
#[derive(Default)]
pub struct Miner {
    writers: BTreeMap<EntityName, Writer>,
    /// Lines dropped because a bound was reached.
    pub dropped: u64,
    since: Since,
}

#[derive(Default)]
struct Writer {
    drain: Drain,
    told: bool,
    /// By template: lines since the last time.
    counts: BTreeMap<u32, u64>,
    /// By template, the name that it got when it was first told; it keeps it, though the template may learn.
    names: BTreeMap<u32, String>,
    lines: u64,
    errors: u64,
}

impl Miner {
    /// Takes in a line.
    pub fn line(&mut self, entity: &EntityName, line: &str) {
        if !self.writers.contains_key(entity) && self.writers.len() >= WRITERS_MAX {
            self.dropped += 1;
            return;
        }
        let writer = self.writers.entry(entity.clone()).or_default();
        let number = writer.drain.learn(line);
        *writer.counts.entry(number).or_default() += 1;
        writer.lines += 1;
        writer.errors += u64::from(speaks_of_error(line));
    }

    /// What was written since the last time.
    pub fn flush(&mut self, now: Timestamp, catalog: &Catalog, out: &mut Batch) {
        let Some(seconds) = self.since.seconds(now) else { return };
        for (entity, writer) in &mut self.writers {
            if writer.lines == 0 {
                continue;
            }
            writer.flush(entity, seconds, now, catalog, out);
        }
    }
}

impl Writer {
    fn flush(&mut self, entity: &EntityName, seconds: f64, now: Timestamp, catalog: &Catalog, out: &mut Batch) {
        let mut event = |kind| {
            out.events.push(Event {
                entity: entity.clone(),
                at: now,
                seen: now,
                kind,
            });
        };
        if !self.told {
            self.told = true;
            event(EventKind::Topology(TopologyChange::Met {
                entity: entity.clone(),
                kind: EntityKind::Service,
            }));
        }
        let mut news = 0;
        for number in self.counts.keys() {
            if self.names.contains_key(number) || self.names.len() >= SIGNALS_MAX {
                continue;
            }
            let text: String = self.drain.text(*number).chars().take(TEXT_MAX).collect();
            self.names.insert(*number, text.clone());
            news += 1;
            if news <= NEWS_MAX {
                event(EventKind::Text {
                    signal: "log_template".into(),
                    text,
                });
            }
        }
        // Templates that have become alike have one rate.
        let mut rates: BTreeMap<&str, u64> = self.names.values().map(|name| (name.as_str(), 0)).collect();
        for (number, count) in &self.counts {
            let name = self.names.get(number).map_or("(further lines)", String::as_str);
            *rates.entry(name).or_default() += count;
        }
        let mut sample = |signal: &str, count: u64| {
            out.samples.push(Sample {
                series: catalog.series(entity.as_str(), signal),
                retained: false,
                at: now,
                seen: now,
                value: count as f64 / seconds,
            });
        };
        sample("log_lines_per_second", self.lines);
        sample("log_errors_per_second", self.errors);
        for (name, count) in rates {
            let name = name.replace('\\', "\\\\").replace('"', "\\\"").replace('\n', "\\n");
            sample(&format!("log_template_lines_per_second{{template=\"{name}\"}}"), count);
        }
        self.counts.clear();
        (self.lines, self.errors) = (0, 0);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn rates_are_told_of_those_who_write_and_a_new_template_is_an_event_once() {
        let (mut miner, catalog) = (Miner::default(), Catalog::new());
        let (host, at) = (EntityName::from("h"), Timestamp::from_secs);
        let flush = |miner: &mut Miner, second| {
            let mut out = Batch::default();
            miner.flush(at(second), &catalog, &mut out);
            let rate = |sample: &Sample| {
                let (_, signal) = catalog.parts(sample.series).unwrap();
                format!("{}={}", catalog.signal_name(signal), sample.value)
            };
            let texts = out
                .events
                .iter()
                .filter(|event| matches!(event.kind, EventKind::Text { .. }))
                .count();
            (out.samples.iter().map(rate).collect::<Vec<_>>(), texts)
        };
        assert_eq!(flush(&mut miner, 0), (vec![], 0));
        for number in 0..20 {
            miner.line(
                &host,
                &format!("accepted connection from 10.0.0.{number} port {number}"),
            );
        }
        miner.line(&host, "error: disk is full");
        let (rates, news) = flush(&mut miner, 10);
        assert!(rates.contains(&"log_lines_per_second=2.1".to_owned()), "{rates:?}");
        assert!(rates.contains(&"log_errors_per_second=0.1".to_owned()), "{rates:?}");
        assert_eq!(news, 2, "{rates:?}");
        assert_eq!(flush(&mut miner, 20), (vec![], 0), "nothing written is nothing told");
        miner.line(&host, "accepted connection from 10.0.0.99 port 99");
        let (rates, news) = flush(&mut miner, 30);
        assert_eq!(news, 0);
        assert!(
            rates
                .iter()
                .any(|rate| rate.contains("disk is full") && rate.ends_with("=0")),
            "{rates:?}"
        );
    }
}
