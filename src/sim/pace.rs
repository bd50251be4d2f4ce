//! How fast a world goes. A storm is a bad minute: everything at once, all periods short. A day is a fleet in production: long periods, hours between two
//! troubles, which then last for minutes or come as a storm. Blind is a quiet time in which only one thing is wrong with the agents.

use std::time::Duration;

use super::world::{Ev, World};
use crate::coordinate::Patience;

/// How a world goes.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Kind {
    /// Less than two minutes, half of it a storm.
    Storm,
    /// Twenty-four hours.
    Day,
    /// Minutes in which whoever leads reaches the store and nothing else, and a service fails.
    Blind,
}

/// The periods of a world.
pub struct Pace {
    /// Between two looks at a target.
    pub looks: Duration,
    /// Between two ticks of an agent that has something under way.
    pub quick: Duration,
    /// … of one that has not.
    pub quiet: Duration,
    /// How long the lease of an agent by itself lasts, and how often it is renewed.
    pub lock: (Duration, Duration),
    /// How long a lease in the store lasts. Acting ends after two thirds of it, counted from when the renewal was sent.
    pub lease: Duration,
    /// Between two signs of life to the store.
    pub beats: Duration,
    /// How long what agents see has to last before one stands aside.
    pub patience: Patience,
    /// Nothing goes wrong before that, nor later than so long before the end.
    pub calm: Duration,
    pub after: Duration,
    /// From the beginning to the end.
    pub whole: Duration,
    /// More events than any such world has: one that never comes to rest is broken.
    pub events: u64,
}

/// How long a storm lasts.
pub const STORM: Duration = Duration::from_secs(50);

const STORMS: Pace = Pace {
    looks: Duration::from_secs(1),
    quick: Duration::from_millis(100),
    quiet: Duration::from_millis(100),
    lock: (Duration::from_secs(3), Duration::from_secs(1)),
    lease: Duration::from_millis(4_500),
    beats: Duration::from_millis(400),
    patience: Patience {
        fresh: Duration::from_millis(2_500),
        steady: Duration::from_secs(4),
        back: Duration::from_secs(8),
        vacant: Duration::from_secs(3),
        vain: Duration::from_secs(30),
    },
    calm: Duration::from_secs(8),
    after: Duration::from_secs(45),
    whole: Duration::from_secs(103),
    events: 200_000,
};

const DAYS: Pace = Pace {
    looks: Duration::from_secs(15),
    quick: Duration::from_millis(200),
    quiet: Duration::from_secs(5),
    lock: (Duration::from_secs(30), Duration::from_secs(10)),
    lease: Duration::from_secs(15),
    beats: Duration::from_secs(3),
    patience: Patience {
        fresh: Duration::from_secs(40),
        steady: Duration::from_secs(50),
        back: Duration::from_secs(120),
        vacant: Duration::from_secs(20),
        vain: Duration::from_secs(600),
    },
    calm: Duration::from_secs(60),
    after: Duration::from_secs(3600),
    whole: Duration::from_secs(24 * 3600),
    events: 20_000_000,
};

const BLIND: Pace = Pace {
    whole: Duration::from_secs(140),
    ..STORMS
};

/// Between the beginnings of two troubles of a day.
const BETWEEN: (u64, u64) = (10 * 60_000, 3 * 3_600_000);

/// How long a single fault of a day lasts.
const LASTS: (u64, u64) = (5_000, 20 * 60_000);

impl Kind {
    /// Its periods.
    pub const fn pace(self) -> &'static Pace {
        match self {
            Self::Storm => &STORMS,
            Self::Day => &DAYS,
            Self::Blind => &BLIND,
        }
    }
}

impl Pace {
    /// How long after a renewal was sent its sender may act.
    pub fn acts(&self) -> Duration {
        self.lease * 2 / 3
    }
}

impl World {
    /// The first thing that goes wrong.
    pub fn forecast(&mut self) {
        let calm = self.pace.calm;
        match self.kind {
            Kind::Storm => {
                self.storms = (self.now + calm, self.now + calm + STORM);
                self.after(calm, Ev::Fault);
            }
            Kind::Day => self.after(calm, Ev::Trouble),
            Kind::Blind => self.blindness(),
        }
    }

    /// A day has come to its next trouble: a storm, or one fault, or two at once, that last for minutes while all else is well.
    pub fn trouble(&mut self) {
        let next = self.ms(BETWEEN.0, BETWEEN.1);
        if self.now + next < self.ends - self.pace.after {
            self.after(next, Ev::Trouble);
        }
        for minutes in [10, 45] {
            let wait = self.ms(60_000, minutes * 60_000);
            self.after(wait, Ev::Person);
        }
        if self.rng.u32(0..4) == 0 {
            self.note(|| "a storm begins".into());
            self.storm = true;
            self.storms = (self.now, self.now + STORM);
            self.fault();
            return;
        }
        let count = if self.rng.u32(0..4) == 0 { 2 } else { 1 };
        for _ in 0..count {
            let fault = self.any_fault();
            let lasts = self.ms(LASTS.0, LASTS.1);
            self.strike(fault, lasts);
        }
    }
}
