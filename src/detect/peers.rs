//! Peers: a device that goes its own way, apart from the median of its group.
//!
//! A heat wave moves all sensors of a hall, a broken sensor only itself. Devices of one group (by the topology: their `group`, else the
//! gateway that they speak through) that send the same signal are looked at round by round; what each does apart from the median is
//! surprising by its own past, or not. What moves all of them leaves nobody apart, and is told by their own anomalies.
//!
//! Groups reach across shards, so they are looked at after these.

use std::collections::BTreeMap;
use std::hash::BuildHasher;

use foldhash::fast::FixedState;
use hashbrown::HashTable;

use crate::model::symptom::Finding;
use crate::model::{
    EdgeKind, EntityName, Evidence, Sample, SignalName, Symptom, SymptomKey, SymptomKind, Timestamp, Topology,
};

use super::budget::{Ledger, certainty, one_in};
use super::frequency::Frequency;
use super::learned::BEYOND;
use super::multivariate::{self, Standing};
use super::settings::PeersSettings;

/// Devices of a group beyond these are not compared.
const GROUP_MAX: usize = 256;

/// Rounds in a row in which one device is apart, and rounds in which it is not that end it.
const BEGIN: u8 = 5;
const END: u8 = 10;

/// After so many rounds to be apart is what the device is like.
const PATIENCE: u16 = 3600;

/// Weight of a new round in a member's usual distance.
const USUAL: f64 = 0.01;

/// Rounds after a newcomer in which nothing is said: the median has moved.
const SETTLE: u16 = 100;

/// Tries to find the group of a series; topology may come after telemetry.
const TRIES: u8 = 40;

/// See the module.
pub struct Fleet {
    settings: PeersSettings,
    allowed: Frequency,
    seated: HashTable<Member>,
    teams: Vec<Team>,
    by_name: BTreeMap<(String, SignalName), u32>,
    /// Of the tick at hand: newcomers by team and name, and values by team, time and member.
    joining: Vec<(u32, EntityName, u32)>,
    values: Vec<(u32, i64, u32, f64)>,
    members: u64,
}

/// Whether a series has a team: looked for so many times, or one of the two that are settled. A byte, because every series has one.
#[derive(Clone, Copy, PartialEq)]
pub struct Seat(u8);

impl Seat {
    /// Not looked for yet.
    pub const UNKNOWN: Self = Self(0);
    const NONE: Self = Self(254);
    const TAKEN: Self = Self(255);
}

/// A series that has a team, by its number, and which member of it that is: known once the tick is over.
struct Member {
    series: u32,
    team: u32,
    place: u16,
}

/// The table's order is never observed.
const HASHER: FixedState = FixedState::with_seed(0x7065_6572);

struct Team {
    group: String,
    signal: SignalName,
    names: Vec<EntityName>,
    peers: multivariate::Peers,
    ledger: Ledger,
    values: Vec<f64>,
    filled: usize,
    begun: i64,
    gap_s: f32,
    settling: u16,
    run: (usize, u8),
    least: f32,
    since: Timestamp,
    /// How far each member usually is from the median.
    usual: Vec<f64>,
    told: Option<Told>,
    /// Who has just come back: what it did until now is remembered for some rounds, and is no news.
    back: Option<usize>,
}

/// A member that is told to be apart.
struct Told {
    member: usize,
    /// How far beyond its usual distance it was.
    by: f64,
    /// Rounds in a row in which it is back, and rounds in all.
    calm: u8,
    rounds: u16,
}

/// A member that is not known yet.
const NOBODY: u16 = u16::MAX;

impl Fleet {
    /// With these settings.
    pub fn new(settings: &PeersSettings, allowed: Frequency) -> Self {
        Self {
            settings: settings.clone(),
            allowed,
            seated: HashTable::new(),
            teams: Vec::new(),
            by_name: BTreeMap::new(),
            joining: Vec::new(),
            values: Vec::new(),
            members: 0,
        }
    }

    /// Series that are compared with others.
    pub const fn members(&self) -> u64 {
        self.members
    }

    /// Takes in a sample; `seat` is its series' own, and `names` tells whose it is and of what, asked only until that is known.
    pub fn take(
        &mut self,
        sample: &Sample,
        seat: &mut Seat,
        topology: &Topology,
        names: impl FnOnce() -> Option<(EntityName, SignalName)>,
    ) {
        if *seat == Seat::NONE
            || !self.settings.enabled
            || sample.retained
            || !sample.value.is_finite()
            || sample.value.abs() > BEYOND
        {
            return;
        }
        if *seat != Seat::TAKEN {
            let tries = seat.0;
            // Seldom, and more seldom: names cost.
            let look = tries.is_power_of_two() || tries == 0;
            let placed = if look {
                self.place(sample.series.0, topology, names)
            } else {
                None
            };
            let still = if tries >= TRIES { Seat::NONE } else { Seat(tries + 1) };
            *seat = placed.unwrap_or(still);
        }
        if *seat == Seat::TAKEN {
            match self.member(sample.series.0) {
                Some(member) => {
                    let team = member.team;
                    self.values
                        .push((team, sample.at.nanos(), sample.series.0, sample.value));
                }
                None => *seat = Seat::NONE,
            }
        }
    }

    fn member(&self, series: u32) -> Option<&Member> {
        self.seated
            .find(HASHER.hash_one(series), |member| member.series == series)
    }

    fn place(
        &mut self,
        series: u32,
        topology: &Topology,
        names: impl FnOnce() -> Option<(EntityName, SignalName)>,
    ) -> Option<Seat> {
        let (entity, signal) = names()?;
        let known = topology.entity(entity.as_str())?;
        if !self.settings.kinds.contains(&known.kind) {
            return Some(Seat::NONE);
        }
        let parent = || {
            let mut needs = topology.needs(entity.as_str());
            needs
                .find(|(edge, _)| *edge == EdgeKind::ConnectsVia)
                .map(|(_, parent)| parent.to_string())
        };
        let group = known.group.clone().or_else(parent)?;
        let next = u32::try_from(self.teams.len()).unwrap_or(u32::MAX);
        let team = *self.by_name.entry((group.clone(), signal.clone())).or_insert(next);
        if team == next {
            self.teams.push(Team::new(group, signal, self.allowed));
        }
        self.joining.push((team, entity, series));
        let member = Member {
            series,
            team,
            place: NOBODY,
        };
        let hash = |member: &Member| HASHER.hash_one(member.series);
        self.seated.insert_unique(hash(&member), member, hash);
        Some(Seat::TAKEN)
    }

    /// The tick is over: newcomers get their places, by name, and complete rounds are judged, in the order of their time.
    pub fn tick(&mut self, now: Timestamp, findings: &mut Vec<Finding>) {
        if !self.joining.is_empty() {
            let mut joining = std::mem::take(&mut self.joining);
            let team_of = |team: u32| self.teams.get(team as usize).map(|team| (&team.group, &team.signal));
            joining.sort_by(|a, b| (team_of(a.0), &a.1).cmp(&(team_of(b.0), &b.1)));
            for (team, entity, series) in joining {
                let room = self.members < self.settings.max_series;
                let team_of = self.teams.get_mut(team as usize).filter(|_| room);
                let place = team_of.and_then(|team| team.join(entity));
                self.members += u64::from(place.is_some());
                let seated = self
                    .seated
                    .find_entry(HASHER.hash_one(series), |member| member.series == series);
                match (seated, place) {
                    (Ok(mut member), Some(place)) => member.get_mut().place = place,
                    (Ok(member), None) => drop(member.remove()),
                    (Err(_), _) => {}
                }
            }
        }
        let mut values = std::mem::take(&mut self.values);
        for value in &mut values {
            value.2 = self.member(value.2).map_or(NOBODY, |member| member.place).into();
        }
        values.sort_unstable_by(|a, b| (a.0, a.1, a.2).cmp(&(b.0, b.1, b.2)).then(a.3.total_cmp(&b.3)));
        for (team, at, member, value) in &values {
            if let Some(team) = self.teams.get_mut(*team as usize) {
                team.take(*at, *member as usize, *value, now, &self.settings, findings);
            }
        }
        values.clear();
        self.values = values;
    }
}

impl Team {
    fn new(group: String, signal: SignalName, allowed: Frequency) -> Self {
        Self {
            group,
            signal,
            names: Vec::new(),
            peers: multivariate::Peers::new(0),
            ledger: Ledger::new(allowed),
            values: Vec::new(),
            filled: 0,
            begun: 0,
            gap_s: 0.0,
            settling: SETTLE,
            run: (0, 0),
            least: 0.0,
            since: Timestamp::EPOCH,
            usual: Vec::new(),
            told: None,
            back: None,
        }
    }

    fn join(&mut self, entity: EntityName) -> Option<u16> {
        if self.names.len() >= GROUP_MAX {
            return None;
        }
        self.names.push(entity);
        self.values.push(f64::NAN);
        self.usual.push(f64::NAN);
        self.peers.grow(self.names.len());
        self.ledger.join(self.names.len() - 1, Timestamp::EPOCH);
        self.ledger.settle();
        self.settling = SETTLE;
        u16::try_from(self.names.len() - 1).ok()
    }

    /// One value; a round is complete when somebody speaks again.
    fn take(
        &mut self,
        at: i64,
        member: usize,
        value: f64,
        now: Timestamp,
        settings: &PeersSettings,
        findings: &mut Vec<Finding>,
    ) {
        let Some(place) = self.values.get(member) else {
            return;
        };
        if place.is_finite() {
            let round = std::mem::replace(&mut self.values, vec![f64::NAN; self.names.len()]);
            let gap_s = (at.saturating_sub(self.begun) as f32 * 1e-9).clamp(0.0, 1e7);
            self.gap_s += 0.05 * (gap_s - self.gap_s);
            // Half a group has no median worth the name.
            if self.filled * 2 > round.len()
                && let Some(standing) = self.peers.observe(&round)
            {
                self.judge(standing, &round, Timestamp::from_nanos(at), now, settings, findings);
            }
            self.filled = 0;
        }
        if self.filled == 0 {
            self.begun = at;
        }
        self.values[member] = value;
        self.filled += 1;
    }

    /// The usual distances follow slowly, and not at all of a member that is told to be apart.
    fn learn(&mut self, round: &[f64], median: f64) {
        let told = self.told.as_ref().map(|told| told.member);
        for (member, (usual, value)) in self.usual.iter_mut().zip(round).enumerate() {
            if !value.is_finite() || told == Some(member) {
                continue;
            }
            let off = value - median;
            *usual = if usual.is_finite() {
                *usual + USUAL * (off - *usual)
            } else {
                off
            };
        }
    }

    fn judge(
        &mut self,
        standing: Standing,
        round: &[f64],
        at: Timestamp,
        now: Timestamp,
        settings: &PeersSettings,
        findings: &mut Vec<Finding>,
    ) {
        let median = median(round);
        self.learn(round, median);
        if self.settling > 0 {
            self.settling -= 1;
            return;
        }
        let surprise = standing.apart as f32;
        let bar = self.ledger.bar(standing.device, self.gap_s, now);
        if let Some(told) = &mut self.told {
            let member = told.member;
            let off = round[member] - median - self.usual[member];
            told.rounds = told.rounds.saturating_add(1);
            told.calm = if off.abs() < told.by / 2.0 { told.calm + 1 } else { 0 };
            if told.calm >= END || told.rounds >= PATIENCE {
                self.usual[member] = f64::NAN;
                let key = key(&self.names[member], &self.signal);
                findings.push(Finding::Cleared { key, at });
                self.told = None;
                self.back = Some(member);
            }
            return;
        }
        if surprise < bar {
            self.run = (0, 0);
            self.back = None;
            return;
        }
        if self.back == Some(standing.device) {
            return;
        }
        if self.run.1 == 0 || self.run.0 != standing.device {
            self.run = (standing.device, 0);
            self.least = surprise;
            self.since = at;
        }
        self.run.1 += 1;
        self.least = self.least.min(surprise);
        if self.run.1 < BEGIN {
            return;
        }
        let (Some(entity), Some(value)) = (self.names.get(standing.device), round.get(standing.device)) else {
            return;
        };
        let group = if f64::from(bar) <= standing.group {
            "which has moved as well"
        } else {
            "which is as it was"
        };
        findings.push(Finding::Raised(Symptom {
            key: key(entity, &self.signal),
            severity: settings.severity,
            onset: self.since,
            raised: now,
            score: certainty(self.least, bar),
            evidence: Evidence {
                text: format!(
                    "{value:.4} while the median of {} members of {} is {median:.4}, {group}; {} by its own past, told from {} on",
                    round.iter().filter(|value| value.is_finite()).count(),
                    self.group,
                    one_in(self.least),
                    one_in(bar)
                ),
                observed: Some(*value),
                bound: Some(median),
            },
            detector: "peers".into(),
        }));
        self.told = Some(Told {
            member: standing.device,
            by: (value - median - self.usual[standing.device]).abs(),
            calm: 0,
            rounds: 0,
        });
        self.run = (0, 0);
        self.ledger.spend(standing.device, now);
        self.ledger.settle();
    }
}

fn median(round: &[f64]) -> f64 {
    let mut sorted: Vec<f64> = round.iter().copied().filter(|value| value.is_finite()).collect();
    sorted.sort_by(f64::total_cmp);
    sorted.get(sorted.len() / 2).copied().unwrap_or_default()
}

fn key(entity: &EntityName, signal: &SignalName) -> SymptomKey {
    SymptomKey {
        entity: entity.clone(),
        kind: SymptomKind::Apart,
        signal: signal.clone(),
    }
}
