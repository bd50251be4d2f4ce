//! The sum of all terms over one series: how strange each sample is, and whether somebody should be told.
//!
//! A state machine of fixed size that sees one sample at a time and knows neither how many will come nor what they will
//! be. It learns in silence first, and says so.

use crate::model::Timestamp;

use super::bar::{Bar, THRESHOLD};
use super::cloud::{Cloud, Metric, coordinate, turned};
use super::day::DayShape;
use super::frame::{Frame, KEPT, Learner};
use super::range::Range;
use super::tail::Tail;
use super::terms::{TERMS, Term, by_distance, by_surprise, widened};

/// Samples to learn from before anything is said, and after which the frame is looked over.
const LEARN: u32 = KEPT as u32;
const REVIEW: u32 = 4 * LEARN;

/// Beyond this a value is no measurement but a filler.
const BEYOND: f64 = 1e150;

/// Samples in a row from before the latest one after which it is the latest one's clock that was wrong.
const PATIENCE: u8 = 12;

/// Samples below the threshold that end an alarm.
const QUIET: u8 = 12;

/// So far out, in units, is another world; if most samples live there, the frame is that of something gone.
const ELSEWHERE: f32 = 8.0;
const ELSEWHERE_WEIGHT: f32 = 1.0 / 512.0;
const ELSEWHERE_MOST: f32 = 0.6;

/// Weights of the moving means of a path, and the time over which the mean of an hour looks back.
const SHORT: f32 = 1.0 / 4.0;
const LONG: f32 = 1.0 / 16.0;
const HOUR_SECS: f32 = 1800.0;

const DAY_SECS: f32 = 86_400.0;

const LEVEL: Metric = plain(0.1);
const MAGNITUDE: Metric = plain(0.1);
const PATH: Metric = plain(0.2);

/// A day is a circle; three hours on it are as far apart as a quarter of the usual span.
const DAYTIME: Metric = Metric {
    apart: 0.25,
    turn: Some(1.9),
};
const HOUR: Metric = Metric {
    apart: 0.2,
    turn: Some(2.5),
};

const fn plain(apart: f32) -> Metric {
    Metric { apart, turn: None }
}

/// How far a portfolio has come.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum State {
    /// Silent: so many more samples are needed.
    Learning {
        /// Before it watches.
        missing: u32,
    },
    /// It would tell.
    Watching,
}

/// What was made of a sample.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Judgement {
    /// How strange it is, less what the series is known for; 0 if a stranger one was seen just before.
    pub score: f32,
    /// An alarm rises with this sample.
    pub raised: bool,
    /// The alarm stands.
    pub on: bool,
    /// What makes it strange most, if anything does.
    pub term: Term,
}

const NOTHING: Judgement = Judgement {
    score: 0.0,
    raised: false,
    on: false,
    term: Term::Level,
};

/// What each of the [`TERMS`] found.
struct Parts {
    /// Distances of level and magnitude: their parts are logarithms, and one of the product is half the work of two.
    level: f32,
    magnitude: f32,
    /// What the others add.
    others: [f32; TERMS.len() - 2],
}

impl Parts {
    fn sum(&self) -> f32 {
        (widened(self.level) * widened(self.magnitude)).ln() + self.others.iter().sum::<f32>()
    }

    /// The one that adds most.
    fn most(&self) -> Term {
        let distances = [by_distance(self.level), by_distance(self.magnitude)];
        let parts = distances.iter().chain(&self.others).zip(TERMS);
        let most = parts.max_by(|(a, _), (b, _)| a.total_cmp(b));
        most.map_or(Term::Level, |(_, term)| term)
    }
}

/// See the module. Whole lines of memory: each of them is fetched on its own. What every sample needs stands first and in this order, so that
/// [`Self::touch`] knows which lines there are; the hours of the days, which are read once an hour, come last.
#[derive(Debug, Clone)]
#[repr(C, align(64))]
pub struct Portfolio {
    latest: Timestamp,
    frame: Frame,
    learner: Option<Box<Learner>>,
    seen: u32,
    /// How long it has been fed, in seconds.
    fed_secs: f32,
    elsewhere: f32,
    short: f32,
    long: f32,
    hour: f32,
    // Here the second line begins.
    bar: Bar,
    range: Range,
    daytime_tail: Tail,
    path_tail: Tail,
    range_tail: Tail,
    // Here the third; from now on the clouds touch them all.
    hour_tail: Tail,
    late: u8,
    quiet: u8,
    levels: Cloud<1, 40, 40>,
    magnitudes: Cloud<1, 32, 32>,
    daytimes: Cloud<2, 32, 32>,
    paths: Cloud<3, 32, 32>,
    hours: Cloud<2, 32, 32>,
    day: DayShape,
}

impl Default for Portfolio {
    fn default() -> Self {
        const {
            assert!(
                size_of::<Self>() <= 960,
                "a kilobyte a series was promised, what the allocator adds counted in"
            );
        };
        Self {
            latest: Timestamp::from_nanos(i64::MIN),
            frame: Frame::default(),
            learner: None,
            seen: 0,
            late: 0,
            quiet: QUIET,
            fed_secs: 0.0,
            elsewhere: 0.0,
            short: 0.0,
            long: 0.0,
            hour: 0.0,
            bar: Bar::default(),
            range: Range::default(),
            day: DayShape::default(),
            daytime_tail: Tail::default(),
            path_tail: Tail::default(),
            range_tail: Tail::default(),
            hour_tail: Tail::default(),
            levels: Cloud::default(),
            magnitudes: Cloud::default(),
            daytimes: Cloud::default(),
            paths: Cloud::default(),
            hours: Cloud::default(),
        }
    }
}

impl Portfolio {
    /// Judges the next sample. One that is late, repeated or no number is passed over.
    pub fn observe(&mut self, at: Timestamp, value: f64) -> Judgement {
        let on = self.on();
        if !value.is_finite() || value.abs() > BEYOND {
            return Judgement { on, ..NOTHING };
        }
        if at <= self.latest {
            self.late = if at < self.latest {
                self.late.saturating_add(1)
            } else {
                self.late
            };
            if self.late < PATIENCE {
                return Judgement { on, ..NOTHING };
            }
        }
        self.late = 0;
        let secs = if self.seen == 0 {
            0.0
        } else {
            at.since(self.latest).as_secs_f32()
        };
        self.latest = at;
        self.fed_secs += secs;
        self.seen = self.seen.saturating_add(1);
        let turn = time_of_day(at);
        self.learn(value, turn);
        if self.seen <= LEARN {
            return NOTHING;
        }
        let parts = self.parts(at, value, turn, secs);
        self.forget_if_elsewhere();
        let score = self.bar.pass(parts.sum(), secs);
        let raised = score >= THRESHOLD && !on;
        self.quiet = if score >= THRESHOLD {
            0
        } else {
            self.quiet.saturating_add(1).min(QUIET)
        };
        Judgement {
            score,
            raised,
            on: self.on(),
            term: if score > 0.0 { parts.most() } else { Term::Level },
        }
    }

    /// Whether it has learned enough to tell.
    pub const fn state(&self) -> State {
        if self.seen < LEARN {
            State::Learning {
                missing: LEARN - self.seen,
            }
        } else {
            State::Watching
        }
    }

    /// The alarm stands.
    pub const fn on(&self) -> bool {
        self.quiet < QUIET
    }

    /// Reads a little of all that [`Self::observe`] will read, so that it is near when its turn comes.
    pub fn touch(&self) -> u64 {
        if self.seen < LEARN {
            return self.seen.into();
        }
        let clouds = self.levels.touch() ^ self.magnitudes.touch() ^ self.daytimes.touch();
        let scalars = u64::from(self.seen) ^ self.range_tail.touch();
        scalars ^ clouds ^ self.paths.touch() ^ self.hours.touch() ^ self.day.touch()
    }

    /// Where `value` lies in the series' own frame, once that is known.
    pub fn place(&self, value: f64) -> Option<f32> {
        (self.seen > LEARN && value.is_finite()).then(|| self.frame.place(value))
    }

    /// What a score of a sample has to reach for an alarm.
    pub fn threshold() -> f32 {
        THRESHOLD
    }

    fn parts(&mut self, at: Timestamp, value: f64, turn: i16, secs: f32) -> Parts {
        let place = self.frame.place(value);
        let here = coordinate(place);
        self.follow(place, secs);
        let daytime = self.daytimes.push([here, turn], DAYTIME);
        let course = [here, coordinate(self.short), coordinate(self.long)];
        let path = self.paths.push(course, PATH);
        let outside = self.range.push(place);
        let hour = self.hours.push([coordinate(self.hour), turn], HOUR);
        let day = self.day.push(at.nanos(), place);
        let magnitude = coordinate(self.frame.magnitude(value));
        if place.abs() > ELSEWHERE {
            self.elsewhere += ELSEWHERE_WEIGHT * (1.0 - self.elsewhere);
        } else {
            self.elsewhere -= ELSEWHERE_WEIGHT * self.elsewhere;
        }
        // Of a time of day that was never met before nothing can be told.
        let by_clock = if self.fed_secs < DAY_SECS { 0.0 } else { 0.5 };
        Parts {
            level: self.levels.push([here], LEVEL),
            magnitude: self.magnitudes.push([magnitude], MAGNITUDE),
            others: [
                by_clock * by_surprise(self.daytime_tail.push(daytime)),
                0.5 * by_surprise(self.path_tail.push(path)),
                1.5 * by_surprise(self.range_tail.push(outside)),
                by_clock * by_surprise(self.hour_tail.push(hour)),
                day.map_or(0.0, |day| 0.5 * by_distance(day)),
            ],
        }
    }

    fn follow(&mut self, place: f32, secs: f32) {
        self.short += SHORT * (place - self.short);
        self.long += LONG * (place - self.long);
        self.hour += secs / (secs + HOUR_SECS) * (place - self.hour);
    }

    fn learn(&mut self, value: f64, turn: i16) {
        if self.seen == 1 {
            self.learner = Some(Box::new(Learner::new(value)));
        }
        let Some(mut learner) = self.learner.take() else {
            return;
        };
        learner.push(value, turn);
        if self.seen == LEARN {
            self.frame = learner.frame();
            self.begin(&learner);
        }
        if self.seen == REVIEW {
            self.review(learner.frame());
        } else {
            self.learner = Some(learner);
        }
    }

    /// Nothing that was learned from is strange.
    fn begin(&mut self, learner: &Learner) {
        for (value, turn) in learner.kept() {
            let place = self.frame.place(value);
            let here = coordinate(place);
            self.short += SHORT * (place - self.short);
            self.long += LONG * (place - self.long);
            self.levels.push([here], LEVEL);
            self.magnitudes
                .push([coordinate(self.frame.magnitude(value))], MAGNITUDE);
            self.daytime_tail.push(self.daytimes.push([here, turn], DAYTIME));
            let course = [here, coordinate(self.short), coordinate(self.long)];
            self.path_tail.push(self.paths.push(course, PATH));
            self.range_tail.push(self.range.push(place));
        }
        self.hour = self.long;
    }

    /// Moves all that is known into a better frame.
    fn review(&mut self, frame: Frame) {
        let before = std::mem::replace(&mut self.frame, frame);
        let frame = &self.frame;
        let place = |place: f32| frame.place(before.value(place));
        let magnitude = |magnitude: f32| frame.magnitude(before.size(magnitude));
        self.levels.remap(1, place);
        self.magnitudes.remap(1, magnitude);
        self.daytimes.remap(1, place);
        self.paths.remap(3, place);
        self.hours.remap(1, place);
        self.range.remap(place);
        self.day.remap(place);
        self.short = place(self.short);
        self.long = place(self.long);
        self.hour = place(self.hour);
    }

    /// A series that has become another one is learned anew.
    fn forget_if_elsewhere(&mut self) {
        if self.elsewhere > ELSEWHERE_MOST {
            *self = Self {
                latest: self.latest,
                bar: self.bar.clone(),
                ..Self::default()
            };
        }
    }
}

/// The time of day as a part of a full turn.
fn time_of_day(at: Timestamp) -> i16 {
    let secs = at.nanos().div_euclid(1_000_000_000).rem_euclid(86_400);
    turned(secs as f32 / DAY_SECS)
}

#[cfg(test)]
mod tests;
