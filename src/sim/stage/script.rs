//! Who does what when: the lines of a case turned into what each entity would do.
//!
//! Whoever the case calls well is looked at and heard all the time. Whoever it does not mention is not seen at all, but for instances of a service and a
//! canary, which every agent probes.

use std::collections::{BTreeMap, BTreeSet};
use std::time::Duration;

use fastrand::Rng;

use crate::diagnose::{PatternCase, Shown, reach_of};
use crate::model::event::Presence;
use crate::model::{
    Catalog, Check, EntityKind, EntityName, Event, EventKind, Reach, Span, SymptomKind, Timestamp, Topology,
};

use super::instruments;
use super::item::{Item, look, presence, sample};
use super::signals::{Shape, Signal};

/// The agent's own entity, as cases call it.
pub const AGENT: &str = "agent";

/// Something unrelated that answers while the agent is on the network.
pub const CANARY: &str = "router";

/// How often instances, targets and the canary are looked at.
pub const LOOK_EVERY: Duration = Duration::from_millis(500);

/// Scraped targets are looked at less often than instances are probed.
const SCRAPE_EVERY: Duration = Duration::from_secs(1);

/// One that goes up and down is caught at it only by whoever looks often.
const LOOK_CLOSELY: Duration = Duration::from_millis(100);
const FLAP: Duration = Duration::from_millis(300);

/// A culprit falls so long before its first victim; what a case sees later than this is no beginning.
const CAUSE_LEADS: Duration = Duration::from_millis(150);
const SEEN_LATE: Duration = Duration::from_secs(2);

/// After the last thing that shows and the time at which the case is judged, detectors get so long.
const SLACK: Duration = Duration::from_secs(4);

/// A signal that creeps or rests does not show at once.
const SLACK_LEARNED: Duration = Duration::from_secs(14);

/// A clock that is wrong is so far behind.
const CLOCK_OFF: Duration = Duration::from_secs(90);

/// A case that lasts longer is played at a slower pace.
const LONG: Duration = Duration::from_secs(120);

/// What one entity does.
#[derive(Default)]
pub struct Part {
    /// From when on a look at it gives what; nothing is good. Empty: nobody looks.
    reach: Vec<(Duration, Option<SymptomKind>)>,
    /// From when to when it is silent.
    silent: Vec<(Duration, Duration)>,
    /// From when to when its clock is wrong.
    skewed: Vec<(Duration, Duration)>,
    /// It speaks at all.
    speaks: bool,
    /// It goes up and down.
    flaps: bool,
    events: Vec<(Duration, EventKind)>,
    /// What is measured of it.
    pub signals: Vec<Signal>,
}

/// See the module.
pub struct Script {
    /// Everybody who is seen.
    pub parts: BTreeMap<EntityName, Part>,
    /// What shows, with the times of the stage.
    pub shown: Vec<Shown>,
    /// The trouble begins so long after the beginning.
    pub onset: Duration,
    period: Duration,
    after: Duration,
    learned: bool,
    /// The agent itself is cut off.
    blind: bool,
    instances: BTreeSet<EntityName>,
    culprits: BTreeSet<EntityName>,
}

/// Symptoms that the stage can bring about from raw telemetry; a case with any other is not played.
pub const fn acts_out(kind: SymptomKind) -> bool {
    matches!(
        kind,
        SymptomKind::Silent
            | SymptomKind::Lost
            | SymptomKind::Refused
            | SymptomKind::NoAnswer
            | SymptomKind::Unreachable
            | SymptomKind::Failing
            | SymptomKind::Odd
            | SymptomKind::High
            | SymptomKind::Low
            | SymptomKind::Rate
            | SymptomKind::Stuck
            | SymptomKind::Drift
            | SymptomKind::Anomaly
            | SymptomKind::Unit
            | SymptomKind::Apart
            | SymptomKind::Decoupled
            | SymptomKind::Joint
            | SymptomKind::BadPayload
            | SymptomKind::Restarted
            | SymptomKind::Flapping
            | SymptomKind::Sequence
            | SymptomKind::Clock
            | SymptomKind::Alert
    )
}

impl Part {
    /// Somebody looks at it, or hears it.
    pub const fn is_seen(&self) -> bool {
        self.speaks || !self.reach.is_empty()
    }
}

const fn field(kind: EntityKind) -> bool {
    matches!(kind, EntityKind::Device | EntityKind::Gateway)
}

impl Script {
    /// Of a case.
    pub fn of(case: &PatternCase, topology: &Topology) -> Result<Self, String> {
        let shown = case.shown()?;
        let has = |wanted: SymptomKind| shown.iter().any(|shown| shown.key.kind == wanted);
        let (company, apart) = (
            has(SymptomKind::Decoupled) || has(SymptomKind::Joint),
            has(SymptomKind::Apart),
        );
        let long = case.after.0 > LONG;
        let onset = Duration::from_secs(match () {
            () if company => 90,
            () if has(SymptomKind::Drift) || apart && !long => 40,
            () if has(SymptomKind::Clock) => 30,
            () if (has(SymptomKind::Anomaly) || has(SymptomKind::Stuck)) && long => 90,
            () if [SymptomKind::Anomaly, SymptomKind::Stuck, SymptomKind::Unit]
                .map(has)
                .contains(&true) =>
            {
                15
            }
            () => 8,
        });
        let mut script = Self {
            parts: BTreeMap::new(),
            onset,
            // A long case need not be a large one.
            period: Duration::from_secs(if long { 5 } else { 1 }),
            after: case.after.0,
            learned: company
                || apart
                || [SymptomKind::Drift, SymptomKind::Stuck, SymptomKind::Clock]
                    .map(has)
                    .contains(&true),
            blind: case
                .expect
                .iter()
                .any(|expected| expected.at.as_ref().is_some_and(|at| at.as_str() == AGENT)),
            instances: case.instances.iter().flatten().cloned().collect(),
            culprits: case.expect.iter().filter_map(|expected| expected.at.clone()).collect(),
            shown,
        };
        for name in case.well()?.iter().chain(&script.instances.clone()) {
            let kind = topology.kind(name.as_str());
            let part = script.parts.entry(name.clone()).or_default();
            part.speaks = field(kind) || kind == EntityKind::Host;
            if !field(kind) || script.instances.contains(name) {
                part.reach.push((Duration::ZERO, None));
            }
        }
        for shown in script.shown.clone() {
            script.act_out(&shown, topology);
        }
        for (entity, signal) in
            instruments::signals(&script.parts, &script.shown, onset, script.after >= LONG, topology)
        {
            if let Some(part) = script.parts.get_mut(&entity) {
                part.signals.push(signal);
            }
        }
        Ok(script)
    }

    fn act_out(&mut self, shown: &Shown, topology: &Topology) {
        let at = self.onset + shown.after.0;
        let kind = topology.kind(shown.key.entity.as_str());
        let at = if self.is_first_cause(shown) {
            // Whoever suffers may be seen before the culprit, and never suffers before it falls.
            self.before_others(shown).saturating_sub(CAUSE_LEADS)
        } else {
            at
        };
        let mentioned = self
            .shown
            .iter()
            .any(|other| other.key.entity == shown.key.entity && reach_of(other.key.kind).is_some());
        let part = self.parts.entry(shown.key.entity.clone()).or_default();
        if field(kind) {
            part.speaks = true;
        }
        let mut tell = |kind: EventKind| part.events.push((at, kind));
        match shown.key.kind {
            kind if reach_of(kind).is_some() => {
                if part.reach.is_empty() {
                    part.reach.push((Duration::ZERO, None));
                }
                part.reach.push((at, (!shown.over).then_some(kind)));
            }
            SymptomKind::Flapping if !shown.over => {
                part.flaps = true;
                let before = part.reach.last().and_then(|(_, kind)| *kind);
                let other = before.is_none().then_some(SymptomKind::Refused);
                for (step, kind) in (1_u32..).zip([other, before, other, before]) {
                    part.reach.push((at + FLAP * step, kind));
                }
            }
            SymptomKind::Silent | SymptomKind::Lost if shown.over => {
                if let Some(last) = part.silent.last_mut() {
                    last.1 = at;
                }
                if shown.key.kind == SymptomKind::Lost {
                    tell(presence(Presence::Online));
                }
            }
            SymptomKind::Silent => {
                part.speaks = true;
                part.silent.push((at, Duration::MAX));
                // Nobody looks at a machine otherwise, unless the case says what comes of it.
                if !mentioned && !self.instances.contains(&shown.key.entity) {
                    part.reach.clear();
                }
            }
            SymptomKind::Lost => {
                tell(presence(Presence::Lost));
                part.silent.push((at, Duration::MAX));
                if !mentioned && !self.instances.contains(&shown.key.entity) {
                    part.reach.clear();
                }
            }
            SymptomKind::BadPayload if !shown.over => {
                for step in 0..4 {
                    let kind = EventKind::BadPayload {
                        place: format!("site/{}", shown.key.entity),
                        error: "expected a number, found '\\u{1}'".into(),
                    };
                    part.events.push((at + Duration::from_millis(700) * step, kind));
                }
            }
            SymptomKind::Clock if shown.over => {
                if let Some(last) = part.skewed.last_mut() {
                    last.1 = at;
                }
            }
            SymptomKind::Clock => part.skewed.push((at, Duration::MAX)),
            SymptomKind::Restarted if !shown.over => tell(EventKind::Restarted),
            SymptomKind::Sequence if !shown.over => tell(EventKind::Sequence { expected: 17, got: 21 }),
            SymptomKind::Alert => tell(EventKind::Alert {
                name: shown.key.signal.to_string(),
                labels: BTreeMap::from([
                    ("alertname".to_owned(), shown.key.signal.to_string()),
                    ("severity".to_owned(), "warning".to_owned()),
                ]),
                annotations: BTreeMap::new(),
                firing: !shown.over,
                starts_at: Timestamp::EPOCH,
            }),
            // What is measured comes later; the rest is over by itself.
            _ => {}
        }
    }

    /// A culprit that the case sees a moment after its victims.
    fn is_first_cause(&self, shown: &Shown) -> bool {
        let at = self.onset + shown.after.0;
        let before = self.before_others(shown);
        !shown.over
            && reach_of(shown.key.kind).is_some()
            && self.culprits.contains(&shown.key.entity)
            && before < at
            && at.saturating_sub(before) <= SEEN_LATE
    }

    /// When the first of the others came to fall.
    fn before_others(&self, shown: &Shown) -> Duration {
        let others = self.shown.iter().filter(|other| other.key.entity != shown.key.entity);
        let fell = others
            .filter(|other| reach_of(other.key.kind).is_some())
            .map(|other| other.after.0);
        self.onset + fell.min().unwrap_or(Duration::MAX / 2)
    }

    /// The length of the play.
    pub fn ends(&self) -> Duration {
        let last = self.shown.iter().map(|shown| shown.after.0).max().unwrap_or_default();
        self.onset + self.after.max(last) + if self.learned { SLACK_LEARNED } else { SLACK }
    }

    /// From one tick to the next.
    pub fn tick(&self) -> Duration {
        Duration::from_millis(if self.after > LONG { 1000 } else { 200 })
    }

    /// How often those in the field speak.
    pub fn period(&self, entity: &EntityName) -> Option<Span> {
        self.parts
            .get(entity)
            .filter(|part| part.speaks)
            .map(|_| Span(self.period))
    }

    /// What a look at it gives at that time.
    pub fn reach(&self, entity: &EntityName, at: Duration) -> Reach {
        let good = Reach::Good { took: Span::millis(2) };
        let Some(part) = self.parts.get(entity) else {
            return good;
        };
        let kind = part
            .reach
            .iter()
            .rev()
            .find(|(from, _)| *from <= at)
            .and_then(|(_, kind)| *kind);
        kind.and_then(reach_of).unwrap_or(good)
    }

    /// Everything that comes in by itself, in order.
    pub fn items(&self, catalog: &Catalog, begin: Timestamp, rng: &mut Rng) -> Vec<(Timestamp, Item)> {
        let mut items = Vec::new();
        let end = self.ends();
        // Only who follows something needs it.
        let follow = self
            .shown
            .iter()
            .any(|shown| Shape::of(shown.key.kind).is_some_and(Shape::of_many));
        let salt = if follow { rng.u64(..) } else { 0 };
        for (entity, part) in &self.parts {
            let within = |times: &[(Duration, Duration)], at| times.iter().any(|(from, to)| *from <= at && at < *to);
            let silent = |at: Duration| within(&part.silent, at);
            let off = |at: Duration| {
                if within(&part.skewed, at) {
                    CLOCK_OFF
                } else {
                    Duration::ZERO
                }
            };
            let every = |every: Duration, rng: &mut Rng, each: &mut dyn FnMut(Duration, &mut Rng)| {
                let mut at = every.mul_f64(rng.f64());
                while at < end {
                    // Nobody is on time to the millisecond.
                    each(at + every.mul_f64(0.04 * rng.f64()), rng);
                    at += every;
                }
            };
            if part.speaks {
                let series = catalog.series(entity.as_str(), "uptime_ticks");
                let mut count = rng.f64() * 1e4;
                every(self.period, rng, &mut |at, rng| {
                    count += 1.0;
                    if !silent(at) {
                        items.push(sample(series, begin + at, off(at), count, rng));
                    }
                });
            }
            for signal in &part.signals {
                let series = catalog.series(entity.as_str(), signal.name.as_str());
                let mut play = signal.play(salt);
                let mut say = |at: Duration, rng: &mut Rng| {
                    if !silent(at) {
                        let value = play.value(at, rng);
                        items.push(sample(series, begin + at, off(at), value, rng));
                    }
                };
                if signal.of_message() {
                    // What one message holds was measured at one time.
                    let mut times = Rng::with_seed(salt);
                    every(signal.every, &mut times, &mut |at, _| say(at, rng));
                } else {
                    every(signal.every, rng, &mut say);
                }
            }
            if !part.reach.is_empty() {
                let check = if self.instances.contains(entity) {
                    Check::Probe
                } else {
                    Check::Scrape
                };
                let pace = match check {
                    _ if part.flaps => LOOK_CLOSELY,
                    Check::Probe => LOOK_EVERY,
                    _ => SCRAPE_EVERY,
                };
                every(pace, rng, &mut |at, rng| {
                    items.push(look(entity, check, self.reach(entity, at), begin + at, rng));
                });
            }
            for (at, kind) in &part.events {
                let at = begin + *at;
                let mut kind = kind.clone();
                if let EventKind::Alert { starts_at, .. } = &mut kind {
                    *starts_at = at;
                }
                let (entity, seen) = (entity.clone(), at + Duration::from_millis(rng.u64(1..20)));
                items.push((seen, Item::Event(Event { entity, at, seen, kind })));
            }
        }
        let mut at = Duration::ZERO;
        while at < end {
            let cut_off = self.blind && at >= self.onset;
            let reach = if cut_off {
                Reach::Unreachable
            } else {
                Reach::Good { took: Span::millis(1) }
            };
            items.push(look(&CANARY.into(), Check::Canary, reach, begin + at, rng));
            at += LOOK_EVERY;
        }
        // By arrival; what arrives together stays in the order in which it was made.
        items.sort_by_key(|(seen, _)| *seen);
        items
    }
}
