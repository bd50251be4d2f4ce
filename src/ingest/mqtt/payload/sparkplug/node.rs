//! What is known of an edge node: its session, its sequence, and the names behind its aliases.

use std::collections::BTreeMap;

use hashbrown::HashMap;

use super::Telling;
use super::wire::{Metric, Payload};
use crate::ingest::mqtt::payload::{Notes, time};
use crate::model::{Batch, EntityName, EventKind, Sample, SeriesId};

/// An edge node.
#[derive(Default)]
pub struct Node {
    /// Of the birth that counts; a will with another one is stale (3.0, 6.4.20).
    pub bd_seq: Option<u64>,
    /// The last sequence number.
    pub seq: Option<u64>,
    /// It has been born and has not died since.
    pub born: bool,
    /// By device, empty for the node itself; none that was not born in this session.
    pub speakers: BTreeMap<Box<str>, Speaker>,
}

/// A node or a device of it.
#[derive(Default)]
pub struct Speaker {
    /// It has been born and has not died since.
    pub alive: bool,
    aliases: HashMap<u64, Alias, foldhash::fast::RandomState>,
}

struct Alias {
    name: Box<str>,
    datatype: Option<u32>,
    series: SeriesId,
}

impl Node {
    /// Aliases of the node and its devices.
    pub fn aliases(&self) -> usize {
        self.speakers.values().map(|speaker| speaker.aliases.len()).sum()
    }

    /// Sequence numbers run from 0 to 255 and start anywhere.
    pub fn count(&mut self, telling: &Telling<'_>, seq: Option<u64>, out: &mut Batch) {
        let Some(got) = seq else { return };
        if let Some(before) = self.seq {
            let expected = before.wrapping_add(1) % 256;
            if got != expected {
                let entity = EntityName::from(telling.topic.node.as_str());
                telling.event(&entity, EventKind::Sequence { expected, got }, out);
            }
        }
        self.seq = Some(got);
    }

    /// A birth: what this node or device was known by before is void.
    pub fn birth(&mut self, telling: &Telling<'_>, payload: &Payload, notes: &mut Notes, out: &mut Batch) {
        let mut speaker = Speaker {
            alive: true,
            ..Speaker::default()
        };
        for metric in &payload.metrics {
            let Some(name) = metric.name.as_deref() else {
                notes.leave_out(telling.unknown(metric.alias));
                continue;
            };
            let series = || telling.context.catalog.series(telling.entity.as_str(), name);
            if let Some(alias) = metric.alias {
                let known = Alias {
                    name: name.into(),
                    datatype: metric.datatype,
                    series: series(),
                };
                speaker.aliases.insert(alias, known);
            }
            take(
                telling,
                payload,
                metric,
                Said {
                    name,
                    datatype: metric.datatype,
                },
                series,
                notes,
                out,
            );
        }
        self.speakers
            .insert(telling.topic.device.unwrap_or_default().into(), speaker);
    }

    /// Data: by name, or by the alias that the birth told.
    pub fn data(&self, telling: &Telling<'_>, payload: &Payload, notes: &mut Notes, out: &mut Batch) {
        let speaker = self.speakers.get(telling.topic.device.unwrap_or_default());
        for metric in &payload.metrics {
            let known = speaker.and_then(|speaker| speaker.aliases.get(&metric.alias?));
            let datatype = metric.datatype.or_else(|| known.and_then(|known| known.datatype));
            match (&metric.name, known) {
                (None, Some(known)) => {
                    let name = &*known.name;
                    take(
                        telling,
                        payload,
                        metric,
                        Said { name, datatype },
                        || known.series,
                        notes,
                        out,
                    );
                }
                (Some(name), _) => {
                    let series = || telling.context.catalog.series(telling.entity.as_str(), name);
                    take(telling, payload, metric, Said { name, datatype }, series, notes, out);
                }
                (None, None) => notes.leave_out(telling.unknown(metric.alias)),
            }
        }
    }
}

/// What a metric is, by itself or by its alias.
#[derive(Clone, Copy)]
struct Said<'a> {
    name: &'a str,
    datatype: Option<u32>,
}

fn take(
    telling: &Telling<'_>,
    payload: &Payload,
    metric: &Metric,
    said: Said<'_>,
    series: impl FnOnce() -> SeriesId,
    notes: &mut Notes,
    out: &mut Batch,
) {
    if metric.is_null == Some(true) || said.name == "bdSeq" {
        return;
    }
    let Some((value, exact)) = metric.value.as_ref().and_then(|value| value.number(said.datatype)) else {
        return;
    };
    if metric.is_historical == Some(true) {
        notes.historical += 1;
        return;
    }
    notes.integer(exact);
    let at = metric.timestamp.or(payload.timestamp).map(time::of_millis);
    notes.odd_times += u32::from(at == Some(None));
    let context = telling.context;
    out.samples.push(Sample {
        series: series(),
        retained: context.retained,
        at: at.flatten().unwrap_or(context.seen),
        seen: context.seen,
        value,
    });
}
