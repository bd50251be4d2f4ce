//! Joint: the signals of one device judged as one row, and the one that no longer moves with the others.
//!
//! A row is what a device says between two values of the same signal. After some hundred rows the ways in which they hang together are
//! learned ([`crate::detect::multivariate`]); from then on each row is as surprising as its residual, its shift and its furthest channel say,
//! and never more than the rows before it allow. Beside it each signal is judged by what the others do not account for (its [`Company`]):
//! one that moves alone, or no longer with them, is named.
//!
//! A device with fewer than two signals has no rows; those that only count upwards are none here. How many signals are judged this way is bounded, and so is how many devices are
//! learned within one tick.

mod alone;
mod counting;

use crate::model::{Evidence, Sample, SignalName, SymptomKind, Timestamp};

use super::budget::{certainty, one_in};
use super::columns::Slots;
use super::learned::BEYOND;
use super::members::Members;
use super::multivariate::{self, CHANNELS_MAX, Company, Learner};
use super::news::LEAST;
use super::scribe::{Draft, Scribe};
use super::sequence::numbers;
use super::settings::JointSettings;
use super::univariate::Tail;
use super::{Ask, Detector, EntityMeta, Learned};
use alone::Alone;
use counting::Counting;

/// Samples of an entity before its signals are taken to be all that it has.
const GATHER: u32 = 64;

/// Rows after learning in which the score's own tail is only learned.
const QUIET_ROWS: u32 = 100;

/// Rows in a row of which the least surprising counts.
const RUN: usize = 3;

/// A row whose surprises add up to this is odd.
const ODD: f64 = 9.0;

/// See the module.
pub struct Joint {
    settings: JointSettings,
    teams: Slots<Team>,
    /// Of the tick at hand: entity, time, series, value.
    rows: Vec<(u32, i64, u32, f64)>,
    /// Entities whose signals are known.
    ripe: Vec<u32>,
    asks: Vec<Ask>,
    counts: Learned,
}

/// Where an entity stands.
enum Team {
    /// Its signals become known: samples seen, series.
    Gathering(u32, Members),
    /// It waits for a place.
    Waiting(Vec<(u32, SignalName)>),
    /// It is judged, or learned.
    Judged(Box<Body>),
    /// It cannot be judged this way.
    Never,
}

struct Body {
    /// Series and names, by name.
    members: Vec<(u32, SignalName)>,
    row: Vec<f64>,
    counting: Counting,
    filled: usize,
    begun: i64,
    gap_s: f32,
    stage: Stage,
    latest: [f32; RUN],
    rows: u32,
    tail: Tail,
    /// Since when its rows are odd without a break.
    odd_since: Option<Timestamp>,
    told: Option<SignalName>,
    company: Company,
    alone: Alone,
}

enum Stage {
    Learning(Learner),
    Watching(Box<multivariate::Watch>),
}

impl Joint {
    /// With these settings.
    pub fn new(settings: &JointSettings) -> Self {
        Self {
            settings: settings.clone(),
            teams: Slots::default(),
            rows: Vec::new(),
            ripe: Vec::new(),
            asks: Vec::new(),
            counts: Learned::default(),
        }
    }

    fn body(&mut self, entity: u32) -> Option<&mut Body> {
        match self.teams.get_mut(entity as usize) {
            Some(Team::Judged(body)) => Some(body),
            _ => None,
        }
    }

    /// The signals of an entity are known.
    fn gathered(&mut self, entity: u32, out: &Scribe<'_>) {
        let Some(team) = self.teams.get_mut(entity as usize) else {
            return;
        };
        let Team::Gathering(_, series) = team else {
            return;
        };
        // A channel's place is that of its name, so that neither numbers nor the order of arrival say anything.
        let mut members: Vec<(u32, SignalName)> = series
            .list()
            .into_iter()
            .map(|series| (series, out.signal_of(series as usize)))
            .collect();
        members.sort_by(|a, b| a.1.cmp(&b.1));
        *team = if (2..=CHANNELS_MAX).contains(&members.len()) {
            self.asks.push(Ask::Entity(entity, members.len()));
            Team::Waiting(members)
        } else {
            Team::Never
        };
    }
}

impl Body {
    fn new(members: Vec<(u32, SignalName)>, settings: &JointSettings) -> Option<Self> {
        let channels = members.len();
        let rules = multivariate::Settings {
            learn_rows_max: settings.learn_rows as usize * 2,
            ..multivariate::Settings::default()
        };
        let learner = Learner::new(channels, &rules).ok()?;
        let company = Company::new(channels).ok()?;
        Some(Self {
            members,
            row: vec![f64::NAN; channels],
            counting: Counting::new(channels),
            filled: 0,
            begun: 0,
            gap_s: 0.0,
            stage: Stage::Learning(learner),
            latest: [0.0; RUN],
            rows: 0,
            tail: Tail::default(),
            odd_since: None,
            told: None,
            company,
            alone: Alone::default(),
        })
    }

    /// One value. The row before it, if it is complete.
    fn take(&mut self, at: i64, channel: usize, value: f64) -> Option<Vec<f64>> {
        let channels = self.row.len();
        let place = self.row.get_mut(channel)?;
        let mut whole = None;
        if place.is_finite() {
            let row = std::mem::replace(&mut self.row, vec![f64::NAN; channels]);
            whole = Some(row).filter(|_| self.filled * 2 >= channels);
            self.filled = 0;
            let gap_s = (at.saturating_sub(self.begun) as f32 * 1e-9).clamp(0.0, 1e7);
            self.gap_s += 0.05 * (gap_s - self.gap_s);
        }
        if self.filled == 0 {
            self.begun = at;
        }
        self.row[channel] = value;
        self.filled += 1;
        self.counting.see(channel, value);
        whole
    }

    /// Those of its signals that do not only count.
    fn moving(&self) -> Vec<(u32, SignalName)> {
        let channels = self.members.iter().enumerate();
        let moving = channels.filter(|(channel, _)| !self.counting.counts(*channel));
        moving.map(|(_, member)| member.clone()).collect()
    }

    /// Enough rows to learn from are there.
    fn ready(&self, settings: &JointSettings) -> bool {
        matches!(&self.stage, Stage::Learning(learner) if learner.rows() >= settings.learn_rows as usize)
    }

    /// Out of the learning rows comes a watch, if they are good for anything.
    fn fit(self) -> Option<Self> {
        let Stage::Learning(learner) = self.stage else {
            return Some(self);
        };
        let watch = learner.finish().ok()?;
        Some(Self {
            stage: Stage::Watching(Box::new(watch)),
            ..self
        })
    }

    fn judge(&mut self, entity: usize, row: &[f64], at: Timestamp, settings: &JointSettings, out: &mut Scribe<'_>) {
        let bar = out.ledger.bar_beyond(entity, self.gap_s, out.now);
        let strengths = self.company.observe(row, self.gap_s);
        let most = strengths.and_then(|all| (0..all.len()).max_by(|a, b| all[*a].total_cmp(&all[*b])));
        match &mut self.stage {
            Stage::Learning(learner) => {
                // A row of another length cannot come: its length is that of the members.
                let _ = learner.push(row);
            }
            Stage::Watching(watch) => {
                self.rows = self.rows.saturating_add(1);
                if let Some(most) = most {
                    self.alone
                        .follow(most, &self.company, &self.members, entity, at, bar, settings, out);
                }
                if let Some(reading) = watch.observe(row) {
                    let odd = reading.score >= ODD;
                    self.odd_since = odd.then(|| self.odd_since.unwrap_or(at));
                    let score = reading.score as f32;
                    let surprise = self.tail.push(score).min(score);
                    self.latest.rotate_left(1);
                    self.latest[RUN - 1] = surprise;
                    let least = self.latest.iter().copied().fold(f32::INFINITY, f32::min);
                    if reading.alarm && self.rows > QUIET_ROWS && least >= LEAST {
                        out.ledger.hear(entity, least, out.now);
                    }
                    let strange = reading.alarm && self.rows > QUIET_ROWS && least >= bar;
                    if strange && self.told.is_none() {
                        let blame = watch.blame();
                        let named: Vec<String> = blame
                            .iter()
                            .take(3)
                            .filter(|share| share.share >= 0.1)
                            .filter_map(|share| {
                                let (_, name) = self.members.get(share.channel)?;
                                Some(format!("{name} {:.0} %", share.share * 100.0))
                            })
                            .collect();
                        let first = blame.first().and_then(|share| self.members.get(share.channel));
                        let signal = first.map(|(_, name)| name.clone()).unwrap_or_default();
                        let text = format!(
                            "its {} signals no longer fit together ({}); {} by its own past, told from {} on",
                            row.len(),
                            named.join(", "),
                            one_in(least),
                            one_in(bar)
                        );
                        let onset = self.odd_since.unwrap_or(at);
                        let draft = draft(SymptomKind::Joint, text, onset, least, bar, settings);
                        out.ledger.spend(entity, out.now);
                        out.raise_entity(entity, signal.as_str(), draft);
                        self.told = Some(signal);
                    } else if !reading.alarm
                        && let Some(signal) = self.told.take()
                    {
                        out.clear_entity(entity, SymptomKind::Joint, signal.as_str(), at);
                    }
                }
            }
        }
    }
}

fn draft(
    kind: SymptomKind,
    text: String,
    onset: Timestamp,
    surprise: f32,
    bar: f32,
    settings: &JointSettings,
) -> Draft {
    Draft {
        kind,
        severity: settings.severity,
        onset,
        score: certainty(surprise, bar),
        evidence: Evidence {
            text,
            observed: Some(f64::from(surprise)),
            bound: Some(f64::from(bar)),
        },
        detector: "joint".into(),
    }
}

impl Detector for Joint {
    fn attach(&mut self, _: usize, signal: &str, entity: &EntityMeta) -> bool {
        self.settings.enabled && self.settings.kinds.contains(&entity.kind) && !numbers(signal)
    }

    fn observe(&mut self, series: usize, sample: &Sample, _: Option<(Timestamp, f64)>, out: &mut Scribe<'_>) {
        if !sample.value.is_finite() || sample.value.abs() > BEYOND {
            return;
        }
        let entity = out.entity_of(series);
        let index = u32::try_from(entity).unwrap_or(u32::MAX);
        let series = u32::try_from(series).unwrap_or(u32::MAX);
        match self.teams.ensure(entity, || Team::Gathering(0, Members::of(series))) {
            Team::Gathering(samples, members) => {
                members.gather(series);
                *samples += 1;
                if *samples == GATHER {
                    self.ripe.push(index);
                }
            }
            Team::Judged(_) => self.rows.push((index, sample.at.nanos(), series, sample.value)),
            Team::Waiting(_) | Team::Never => {}
        }
    }

    fn tick(&mut self, _: Timestamp, out: &mut Scribe<'_>) {
        for entity in std::mem::take(&mut self.ripe) {
            self.gathered(entity, out);
        }
        let mut rows = std::mem::take(&mut self.rows);
        for (entity, _, series, _) in &mut rows {
            let body = self.body(*entity);
            let place = body.and_then(|body| body.members.iter().position(|(known, _)| known == series));
            *series = place.and_then(|place| u32::try_from(place).ok()).unwrap_or(u32::MAX);
        }
        rows.sort_unstable_by(|a, b| (a.0, a.1, a.2).cmp(&(b.0, b.1, b.2)).then(a.3.total_cmp(&b.3)));
        for (entity, at, channel, value) in &rows {
            let Some(Team::Judged(body)) = self.teams.get_mut(*entity as usize) else {
                continue;
            };
            let Some(row) = body.take(*at, *channel as usize, *value) else {
                continue;
            };
            body.judge(*entity as usize, &row, Timestamp::from_nanos(*at), &self.settings, out);
            if body.ready(&self.settings) || body.company.due() {
                self.asks.push(Ask::Fit(*entity));
            }
        }
        rows.clear();
        self.rows = rows;
    }

    fn asks(&mut self, asks: &mut Vec<Ask>) {
        asks.append(&mut self.asks);
    }

    fn deny(&mut self, ask: Ask) {
        // Places are never given back: there is nothing to wait for.
        if let Ask::Entity(entity, _) = ask
            && let Some(team) = self.teams.get_mut(entity as usize)
        {
            *team = Team::Never;
        }
    }

    fn grant(&mut self, ask: Ask) {
        let (Ask::Entity(entity, _) | Ask::Fit(entity)) = ask else {
            return;
        };
        let Some(team) = self.teams.get_mut(entity as usize) else {
            return;
        };
        *team = match (std::mem::replace(team, Team::Never), ask) {
            (Team::Waiting(members), Ask::Entity(..)) => match Body::new(members, &self.settings) {
                Some(body) => {
                    self.counts.entities_learning += 1;
                    Team::Judged(Box::new(body))
                }
                None => Team::Never,
            },
            // One of the two a tick: either takes a moment.
            (Team::Judged(mut body), Ask::Fit(_)) if body.company.due() => {
                body.company.learn();
                Team::Judged(body)
            }
            // Without those that only count it begins anew.
            (Team::Judged(body), Ask::Fit(_))
                if body.ready(&self.settings) && body.moving().len() < body.members.len() =>
            {
                match Some(body.moving()).filter(|moving| moving.len() > 1) {
                    Some(moving) => {
                        Body::new(moving, &self.settings).map_or(Team::Never, |body| Team::Judged(Box::new(body)))
                    }
                    None => {
                        self.counts.entities_learning = self.counts.entities_learning.saturating_sub(1);
                        Team::Never
                    }
                }
            }
            (Team::Judged(body), Ask::Fit(_)) => {
                self.counts.entities_learning = self.counts.entities_learning.saturating_sub(1);
                match body.fit() {
                    Some(body) => {
                        self.counts.entities += 1;
                        Team::Judged(Box::new(body))
                    }
                    None => Team::Never,
                }
            }
            (other, _) => other,
        };
    }

    fn learned(&self) -> Learned {
        self.counts
    }
}
