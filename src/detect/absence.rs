//! Silence: an entity that has stopped speaking.
//!
//! Waits for the declared period times [`AbsenceSettings::missed_periods`], or for `max(5 × median, 3 × q99)` of the arrival gaps
//! learned for this entity. A last will ends the wait at once: the broker already knows, and the presence detector says so.
//! Retained messages replayed on subscribe never count as speech, because they are old by construction.

use crate::model::{EntityKind, Evidence, Span, SymptomKind, Timestamp};

use super::Detector;
use super::columns::Packed;
use super::scribe::{Draft, Scribe};
use super::settings::AbsenceSettings;
use super::wheel::Wheel;

/// Gaps to see before a learned wait is trusted. Below this the entity is learning and nothing is said.
const MIN_GAPS: u16 = 20;

/// Signs of life whose watches are fetched together, see the shard.
const CHUNK: usize = 64;

/// Stochastic approximation of a quantile moves by this share of its own value per gap.
const STEP: f32 = 0.05;

/// See the module.
pub struct Absence {
    settings: AbsenceSettings,
    /// By the shard's entity index: the same columns as the shard's own, so that hearing a sign of life touches one line.
    watches: Vec<Watch>,
    /// When to look at whom: one entry for each watched entity, moved on lazily when it comes up.
    due: Wheel,
    /// Of the tick at hand: those who came up.
    up: Vec<u32>,
    /// Entities that declare a period and have never spoken, by index, up to here looked at.
    greeted: usize,
}

#[derive(Clone, Copy)]
struct Watch {
    /// The epoch, if it was never heard.
    last: Packed,
    median_s: f32,
    q99_s: f32,
    gaps: u16,
    queued: bool,
    silent: bool,
}

const UNSEEN: Watch = Watch {
    last: Packed::ZERO,
    median_s: 0.0,
    q99_s: 0.0,
    gaps: 0,
    queued: false,
    silent: false,
};

impl Absence {
    /// With these settings.
    pub fn new(settings: &AbsenceSettings) -> Self {
        Self {
            settings: settings.clone(),
            watches: Vec::new(),
            due: Wheel::default(),
            up: Vec::new(),
            greeted: 0,
        }
    }

    fn hear(&mut self, index: u32, seen: Timestamp, out: &mut Scribe<'_>) {
        let entity = index as usize;
        let watch = &mut self.watches[entity];
        let last = Timestamp::from(watch.last);
        if last != Timestamp::EPOCH && seen > last && !watch.silent {
            // Signals of one message arrive together and say nothing of the period.
            let gap_s = seen.nanos().saturating_sub(last.nanos()) as f32 * 1e-9;
            if gap_s > 1e-3 {
                watch.learn(gap_s);
            }
        }
        watch.last = last.max(seen).into();
        if watch.silent {
            watch.silent = false;
            out.clear_entity(entity, SymptomKind::Silent, "", seen);
        }
        if !watch.queued {
            let period = out.entity(entity).period;
            if let Some(wait) = Self::wait(&self.settings, watch, period) {
                watch.queued = true;
                self.due.push(seen + wait.0, index);
            }
        }
    }

    fn wait(settings: &AbsenceSettings, watch: &Watch, period: Option<Span>) -> Option<Span> {
        let wait = match period {
            Some(period) => period.0 * settings.missed_periods,
            None if watch.gaps >= MIN_GAPS => {
                std::time::Duration::from_secs_f32((5.0 * watch.median_s).max(3.0 * watch.q99_s).min(1e7))
            }
            None => return None,
        };
        Some(Span(wait.max(settings.min_wait.0)))
    }
}

impl Watch {
    /// Robbins-Monro steps towards the median and the 99th percentile; 8 bytes instead of a histogram.
    fn learn(&mut self, gap_s: f32) {
        if self.gaps == 0 {
            self.median_s = gap_s;
            self.q99_s = gap_s;
        }
        let step = STEP * self.median_s.max(1e-4);
        // No branch: which way it goes is a coin toss, and that is what a processor guesses worst.
        self.median_s += step.copysign(gap_s - self.median_s);
        self.median_s = self.median_s.max(1e-4);
        // A quantile of 0.99 rises 99 times as far as it falls.
        self.q99_s = if gap_s > self.q99_s {
            self.q99_s + (gap_s - self.q99_s) * 0.5
        } else {
            self.q99_s - step * 0.01
        };
        self.q99_s = self.q99_s.max(self.median_s);
        self.gaps = self.gaps.saturating_add(1);
    }
}

impl Detector for Absence {
    fn spoke(&mut self, heard: &[(Timestamp, u32)], out: &mut Scribe<'_>) {
        if !self.settings.enabled {
            return;
        }
        if self.watches.len() < out.entities.len() {
            self.watches.resize(out.entities.len(), UNSEEN);
        }
        for chunk in heard.chunks(CHUNK) {
            let near = chunk
                .iter()
                .fold(0, |sum, (_, entity)| sum ^ self.watches[*entity as usize].gaps);
            std::hint::black_box(near);
            for (seen, entity) in chunk {
                self.hear(*entity, *seen, out);
            }
        }
    }

    fn tick(&mut self, now: Timestamp, out: &mut Scribe<'_>) {
        if !self.settings.enabled {
            return;
        }
        // Who promised to speak and never did is missed from when we first knew of it.
        while self.greeted < out.entities.len() {
            let entity = self.greeted;
            self.greeted += 1;
            let meta = &out.entities[entity];
            let speaks = matches!(meta.kind, EntityKind::Device | EntityKind::Gateway | EntityKind::Host);
            if meta.period.is_some() && speaks {
                if self.watches.len() <= entity {
                    self.watches.resize(entity + 1, UNSEEN);
                }
                let watch = &mut self.watches[entity];
                if Timestamp::from(watch.last) == Timestamp::EPOCH && !watch.queued {
                    watch.last = now.into();
                    watch.queued = true;
                    let index = u32::try_from(entity).unwrap_or(u32::MAX);
                    self.due.push(now, index);
                }
            }
        }
        let mut up = std::mem::take(&mut self.up);
        self.due.advance(now, &mut up);
        for index in up.drain(..) {
            let entity = index as usize;
            let watch = &mut self.watches[entity];
            let period = out.entities[entity].period;
            let last = Timestamp::from(watch.last);
            let Some(wait) = Self::wait(&self.settings, watch, period) else {
                watch.queued = false;
                continue;
            };
            if last + wait.0 > now {
                self.due.push(last + wait.0, index);
                continue;
            }
            watch.queued = false;
            if watch.silent {
                continue;
            }
            watch.silent = true;
            let silence = Span(std::time::Duration::from_millis(
                u64::try_from(now.since(last).as_millis()).unwrap_or(u64::MAX),
            ));
            let why = match period {
                Some(period) => format!("it promises to speak every {period}"),
                None => format!(
                    "learned from {} gaps: median {:.2}s, 99 % within {:.2}s",
                    watch.gaps, watch.median_s, watch.q99_s
                ),
            };
            out.raise_entity(
                entity,
                "",
                Draft {
                    kind: SymptomKind::Silent,
                    severity: self.settings.severity,
                    onset: last,
                    score: 0.95,
                    evidence: Evidence {
                        text: format!("no telemetry for {silence}; waited {wait}, {why}"),
                        observed: Some(now.since(last).as_secs_f64()),
                        bound: Some(wait.0.as_secs_f64()),
                    },
                    detector: "absence".into(),
                },
            );
        }
        self.up = up;
    }
}
