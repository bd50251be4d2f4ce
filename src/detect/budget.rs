//! The false alarms that a device may cost, and the bar that follows from them.
//!
//! Learned detectors judge on one scale, *surprise*: minus the logarithm of the probability of what was seen, by the signal's own
//! past. A device that is judged `n` times in the allowed period is told of from `ln(n / allowed)` on: so often such a thing
//! comes about by chance. Whoever has had its share needs to be stranger by [`DEARER`] for each further alarm, until the period has
//! passed. What follows an alarm within [`EPISODE`] belongs to it and costs nothing more. A device that has much [`News`] by nature needs
//! to be as strange as it seldom is, at most [`NEWS_MOST`] more than chance would have it: what breaks outright is always told.
//!
//! That law is drawn out far beyond what was seen, the further the less was: the tail of a device that is known for a day says little of what
//! it does once a month. Until the allowed period was watched, what rests on such a tail alone needs [`UNKNOWN`] more each time that the
//! period is so many times as long as what is known; unless something else stands against the device as well, that is no matter of tails.
//! Not so in its first hours: whoever puts up a device looks at it, and they are too few to count in a month. What comes at the same hour of
//! several days is one of its [`Habits`].

use std::time::Duration;

use crate::model::Timestamp;

use super::frequency::Frequency;
use super::habit::Habits;
use super::news::{LEAST, News};

/// Each alarm beyond the allowed ones makes the next one a hundred and fifty times as dear.
const DEARER: f32 = 5.0;

/// Alarms of one device belong together within this of one another, and no longer than [`LONGEST`] in all.
const EPISODE: Duration = Duration::from_secs(900);
const LONGEST: Duration = Duration::from_secs(3600);

/// The most that an entity's own news raise its bar.
const NEWS_MOST: f32 = 16.0;

/// No bar is lower, however seldom a device speaks: one sample in a thousand is no news.
const LOWEST: f32 = 7.0;

/// What is asked for more, for each e-fold that the allowed period is longer than what is known of a device; and at most.
const UNKNOWN: f32 = 2.5;
const UNKNOWN_MOST: f32 = 10.0;

/// A device that is watched for less is being put up.
const NEW_S: f32 = 3.0 * 3600.0;

/// Gaps between samples are taken to be at least so long: nobody's faults come faster.
const GAP_MIN_S: f32 = 0.05;

/// How an entity stands with its share.
#[derive(Debug, Clone, Default)]
struct Account {
    /// Signals that are judged.
    signals: u16,
    /// Since when it is watched.
    joined: Timestamp,
    /// Of those that were ever talked about: few of the many.
    record: Option<Box<Recorded>>,
}

/// What was said of an entity.
#[derive(Debug, Clone, Default)]
struct Recorded {
    /// Alarms that were spent and have not been earned back by `settled`.
    spent: f32,
    settled: Timestamp,
    /// Where the episode at hand began and when its latest alarm was.
    began: Timestamp,
    latest: Timestamp,
    /// When something that is no matter of tails stood against it last.
    vouched: Option<Timestamp>,
    news: News,
    habits: Option<Box<Habits>>,
}

/// The accounts of all entities of a shard.
#[derive(Debug)]
pub struct Ledger {
    allowed: Frequency,
    accounts: Vec<Account>,
    /// New signals and alarms of the tick at hand. They count from the next one on, so that who spoke first within a tick
    /// changes nothing.
    joining: Vec<(u32, Timestamp)>,
    pending: Vec<(u32, Timestamp)>,
    vouched: Vec<(u32, Timestamp)>,
    heard: Vec<(u32, Timestamp, f32)>,
}

impl Ledger {
    /// With nothing spent.
    pub fn new(allowed: Frequency) -> Self {
        Self {
            allowed,
            accounts: Vec::new(),
            joining: Vec::new(),
            pending: Vec::new(),
            vouched: Vec::new(),
            heard: Vec::new(),
        }
    }

    /// One more signal of that entity is judged from now on.
    pub fn join(&mut self, entity: usize, now: Timestamp) {
        self.joining.push((u32::try_from(entity).unwrap_or(u32::MAX), now));
    }

    /// The surprise from which something of that entity is told, if its signals are judged every `gap_s` seconds and the surprise is that of a
    /// tail drawn out beyond what was seen.
    pub fn bar_beyond(&self, entity: usize, gap_s: f32, now: Timestamp) -> f32 {
        let bar = self.bar(entity, gap_s, now);
        let Some(account) = self.accounts.get(entity) else {
            return bar;
        };
        let habits = account.record.as_ref().and_then(|record| record.habits.as_ref());
        let usual = habits.map_or(0.0, |habits| habits.usual(now));
        bar.max(usual) + account.unknown(self.allowed, now)
    }

    /// The same of a surprise that is known for what it is.
    pub fn bar(&self, entity: usize, gap_s: f32, now: Timestamp) -> f32 {
        let account = self.accounts.get(entity);
        let signals = f32::from(account.map_or(1, |account| account.signals.max(1)));
        let judged = signals * self.allowed.apart_secs() / gap_s.max(GAP_MIN_S);
        let record = account.and_then(|account| account.record.as_ref());
        let mut spent = record.map_or(0.0, |record| record.left(self.allowed, now));
        if record.is_some_and(|record| record.episode(now)) {
            spent = (spent - 1.0).max(0.0);
        }
        let over = (spent + 1.0 - self.allowed.free()).max(0.0);
        let chance = judged.max(1.0).ln().max(LOWEST);
        let news = record.map_or(0.0, |record| record.news.bar(self.allowed.apart_secs(), now));
        news.clamp(chance, chance + NEWS_MOST) + DEARER * over
    }

    /// Something of that entity was so surprising, told or not.
    pub fn hear(&mut self, entity: usize, surprise: f32, now: Timestamp) {
        self.heard
            .push((u32::try_from(entity).unwrap_or(u32::MAX), now, surprise));
    }

    /// Something stands against that entity that is no matter of tails: a stated rule, silence, a bad answer.
    pub fn vouch(&mut self, entity: usize, now: Timestamp) {
        self.vouched.push((u32::try_from(entity).unwrap_or(u32::MAX), now));
    }

    /// An alarm of that entity was raised.
    pub fn spend(&mut self, entity: usize, now: Timestamp) {
        self.pending.push((u32::try_from(entity).unwrap_or(u32::MAX), now));
    }

    /// The tick is over: what was spent in it counts from now on.
    pub fn settle(&mut self) {
        self.joining.sort_unstable();
        for (entity, now) in std::mem::take(&mut self.joining) {
            let entity = entity as usize;
            if self.accounts.len() <= entity {
                self.accounts.resize(entity + 1, Account::default());
            }
            let account = &mut self.accounts[entity];
            if account.signals == 0 {
                account.joined = now;
            }
            account.signals = account.signals.saturating_add(1);
        }
        self.heard
            .sort_unstable_by(|a, b| (a.0, a.1).cmp(&(b.0, b.1)).then(a.2.total_cmp(&b.2)));
        for (entity, at, surprise) in std::mem::take(&mut self.heard) {
            if let Some(record) = self.record(entity) {
                record.news.hear(surprise, at);
                if surprise >= LEAST {
                    record.habits.get_or_insert_default().hear(surprise, at);
                }
            }
        }
        for (entity, at) in std::mem::take(&mut self.vouched) {
            if let Some(record) = self.record(entity) {
                record.vouched = record.vouched.max(Some(at));
            }
        }
        self.pending.sort_unstable();
        for (entity, at) in std::mem::take(&mut self.pending) {
            let allowed = self.allowed;
            let Some(record) = self.record(entity) else {
                continue;
            };
            if !record.episode(at) {
                record.spent = record.left(allowed, at) + 1.0;
                record.settled = at;
                record.began = at;
            }
            record.latest = record.latest.max(at);
        }
    }

    fn record(&mut self, entity: u32) -> Option<&mut Recorded> {
        let account = self.accounts.get_mut(entity as usize)?;
        Some(account.record.get_or_insert_default())
    }
}

impl Recorded {
    fn left(&self, allowed: Frequency, now: Timestamp) -> f32 {
        (self.spent - now.since(self.settled).as_secs_f32() / allowed.apart_secs()).max(0.0)
    }

    fn episode(&self, now: Timestamp) -> bool {
        self.spent > 0.0 && now.since(self.latest) <= EPISODE && now.since(self.began) <= LONGEST
    }
}

impl Account {
    /// What is asked for because little is known.
    fn unknown(&self, allowed: Frequency, now: Timestamp) -> f32 {
        let vouched = self.record.as_ref().and_then(|record| record.vouched);
        if vouched.is_some_and(|vouched| now.since(vouched) <= EPISODE) {
            return 0.0;
        }
        let known = now.since(self.joined).as_secs_f32();
        if known < NEW_S {
            return 0.0;
        }
        (UNKNOWN * (allowed.apart_secs() / known).ln()).clamp(0.0, UNKNOWN_MOST)
    }
}

/// How sure a surprise is beyond its bar, `0..1`: at the bar it is a coin toss whether chance or a fault spends the allowed alarm.
pub fn certainty(surprise: f32, bar: f32) -> f64 {
    let score = 1.0 - 0.5 * f64::from(bar - surprise).exp();
    // Six decimals: the rest is no knowledge.
    (score.clamp(0.0, 0.999_999) * 1e6).round() / 1e6
}

/// A surprise for a person: one in how many.
pub fn one_in(surprise: f32) -> String {
    let power = f64::from(surprise) / std::f64::consts::LN_10;
    if power < 6.0 {
        format!("1 in {:.0}", 10f64.powf(power))
    } else {
        format!("1 in 10^{:.0}", power.min(99.0))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn at(secs: i64) -> Timestamp {
        Timestamp::from_secs(1_700_000_000 + secs)
    }

    #[test]
    fn the_bar_rises_with_what_is_judged_and_falls_with_what_is_allowed() {
        let mut ledger = Ledger::new(Frequency::default());
        ledger.join(0, at(0));
        ledger.settle();
        let one = ledger.bar(0, 1.0, at(0));
        assert!((one - (2_592_000.0_f32).ln()).abs() < 0.01, "{one}");
        ledger.join(0, at(0));
        ledger.settle();
        assert!(ledger.bar(0, 1.0, at(0)) > one);
        let mut lax = Ledger::new("10/day".parse().unwrap());
        lax.join(0, at(0));
        lax.settle();
        assert!(lax.bar(0, 1.0, at(0)) < one - 5.0);
    }

    #[test]
    fn a_share_that_is_spent_makes_the_next_one_dearer_until_it_is_earned_back() {
        let mut ledger = Ledger::new(Frequency::default());
        ledger.join(0, at(0));
        ledger.settle();
        let before = ledger.bar(0, 1.0, at(0));
        ledger.spend(0, at(0));
        assert!(
            (ledger.bar(0, 1.0, at(0)) - before).abs() < 1e-6,
            "not within its own tick"
        );
        ledger.settle();
        assert!(
            (ledger.bar(0, 1.0, at(60)) - before).abs() < 1e-6,
            "what follows belongs to it"
        );
        let later = ledger.bar(0, 1.0, at(7200));
        assert!((later - before - DEARER).abs() < 0.1, "{later} {before}");
        let month = ledger.bar(0, 1.0, at(31 * 86_400));
        assert!((month - before).abs() < 1e-6, "earned back: {month} {before}");
    }

    #[test]
    fn what_is_hardly_known_has_to_be_stranger_unless_something_else_speaks_against_it() {
        let mut ledger = Ledger::new(Frequency::default());
        ledger.join(0, at(0));
        ledger.settle();
        let asked = |ledger: &Ledger, secs| ledger.bar_beyond(0, 1.0, at(secs)) - ledger.bar(0, 1.0, at(secs));
        assert!(asked(&ledger, 60).abs() < 0.01, "who puts a device up looks at it");
        let more = [4 * 3600, 86_400, 10 * 86_400, 31 * 86_400].map(|secs| asked(&ledger, secs));
        assert!(
            (more[0] - UNKNOWN_MOST).abs() < 0.01 && more[3].abs() < 0.01,
            "{more:?}"
        );
        assert!(more.is_sorted_by(|a, b| a > b), "{more:?}");
        // A further signal of a known device does not begin anew.
        ledger.join(0, at(10 * 86_400));
        ledger.settle();
        assert!((asked(&ledger, 10 * 86_400) - more[2]).abs() < 0.01);
        ledger.vouch(0, at(86_400));
        assert!(
            (asked(&ledger, 86_400) - more[1]).abs() < 0.01,
            "not within its own tick"
        );
        ledger.settle();
        assert!(asked(&ledger, 86_460).abs() < 0.01);
        assert!(asked(&ledger, 86_400 + 7200) > 1.0, "that is over");
    }

    #[test]
    fn what_comes_every_night_is_told_twice() {
        let mut ledger = Ledger::new(Frequency::default());
        ledger.join(0, at(-40 * 86_400));
        ledger.settle();
        let night = |day: i64| at(day * 86_400);
        for day in 0..3 {
            let bar = ledger.bar_beyond(0, 1.0, night(day));
            assert_eq!(bar >= 89.0, day == 2, "day {day}: {bar}");
            ledger.hear(0, 90.0, night(day));
            ledger.hear(0, 7.5, night(day) + Duration::from_secs(7200));
            ledger.settle();
        }
    }

    #[test]
    fn certainty_grows_beyond_the_bar() {
        assert!((certainty(15.0, 15.0) - 0.5).abs() < 1e-6);
        assert!(certainty(20.0, 15.0) > 0.99 && certainty(99.0, 15.0) < 1.0);
        assert_eq!(one_in(13.9), "1 in 10^6");
        assert_eq!(one_in(4.605_17), "1 in 100");
    }
}
