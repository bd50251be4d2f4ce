//! How much news an entity has by nature: a server that is restarted and tested every other day is strange more often than chance alone
//! would have it.
//!
//! Time is cut into stretches of three hours. Of each the greatest surprise is remembered, as mean and spread of all; surprises are
//! logarithms of probabilities, so that the greatest of many follow Gumbel's law, and what only one stretch in so many exceeds can be told
//! long before that many were seen. The bar of whoever has much news rises to that.

use std::time::Duration;

use crate::model::Timestamp;

/// A stretch.
const STRETCH: Duration = Duration::from_secs(3 * 3600);

/// Surprises below this are none.
pub const LEAST: f32 = 7.0;

/// Stretches to know before the bar follows them, and the most that are remembered: a month.
const NEEDED: u16 = 4;
const MEMORY: u16 = 240;

/// One event shall not hide the next: beyond the mean a surprise counts at most so many spreads, or so much where there is hardly any.
const CLIP: f32 = 3.0;
const CLIP_MIN: f32 = 6.0;

/// Of the few stretches at first little is known: the spread is taken to be wider by this share, over their number.
const YOUNG: f32 = 4.0;

/// Standard deviation of a Gumbel distribution to its scale, and where its mean lies on that scale.
const SCALE: f32 = 0.78;
const MEAN_AT: f32 = 0.577;

/// See the module.
#[derive(Debug, Clone, Copy, Default, PartialEq)]
pub struct News {
    began: Timestamp,
    most: f32,
    mean: f32,
    variance: f32,
    stretches: u16,
    open: bool,
}

impl News {
    /// Something of that entity was so surprising.
    pub fn hear(&mut self, surprise: f32, at: Timestamp) {
        if !self.open {
            self.open = true;
            self.began = at;
            self.most = LEAST;
        }
        self.advance(at);
        self.most = self.most.max(surprise);
    }

    /// The surprise that one stretch in so many exceeds; nothing while too little is known.
    pub fn bar(mut self, allowed_apart_secs: f32, now: Timestamp) -> f32 {
        self.advance(now);
        if self.stretches < NEEDED {
            return 0.0;
        }
        let stretches = (allowed_apart_secs / STRETCH.as_secs_f32()).max(1.0);
        let young = 1.0 + YOUNG / f32::from(self.stretches);
        self.mean + SCALE * self.variance.sqrt() * young * (stretches.ln() - MEAN_AT).max(0.0)
    }

    /// Closes the stretches that are over.
    fn advance(&mut self, now: Timestamp) {
        let mut left = MEMORY;
        while self.open && now.since(self.began) >= STRETCH {
            self.close();
            self.began = if left > 0 { self.began + STRETCH } else { now };
            left = left.saturating_sub(1);
        }
    }

    fn close(&mut self) {
        self.stretches = self.stretches.saturating_add(1).min(MEMORY);
        let weight = 1.0 / f32::from(self.stretches);
        if self.stretches == 1 {
            self.mean = self.most;
        } else {
            let most = CLIP_MIN.max(CLIP * self.variance.sqrt());
            let off = (self.most - self.mean).min(most);
            self.mean += weight * off;
            self.variance = (1.0 - weight) * (self.variance + weight * off * off);
        }
        self.most = LEAST;
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const MONTH_S: f32 = 30.0 * 86_400.0;

    fn at(hours: i64) -> Timestamp {
        Timestamp::from_secs(1_700_000_000 + hours * 3600)
    }

    #[test]
    fn who_has_much_news_needs_more_to_be_told_of() {
        let (mut calm, mut busy) = (News::default(), News::default());
        for hour in 0..240 {
            if hour % 60 == 0 {
                calm.hear(9.0, at(hour));
            }
            busy.hear(8.0 + 6.0 * ((hour as f32) * 0.618_034).fract(), at(hour));
        }
        let (calm, busy) = (calm.bar(MONTH_S, at(240)), busy.bar(MONTH_S, at(240)));
        assert!(calm < 11.0 && busy > 15.0 && busy < 25.0, "{calm} {busy}");
    }

    #[test]
    fn nothing_is_known_at_first_and_a_quiet_month_makes_quiet() {
        let mut news = News::default();
        news.hear(20.0, at(0));
        news.hear(20.0, at(1));
        assert!(news.bar(MONTH_S, at(2)).abs() < f32::EPSILON);
        for hour in 0..48 {
            news.hear(10.0 + (hour % 7) as f32, at(hour));
        }
        let (busy, quiet) = (news.bar(MONTH_S, at(48)), news.bar(MONTH_S, at(48 + 60 * 24)));
        assert!(quiet < busy - 5.0, "{quiet} {busy}");
    }

    #[test]
    fn one_event_does_not_hide_the_next() {
        let mut news = News::default();
        for hour in 0..120 {
            news.hear(if hour == 60 { 80.0 } else { 7.5 }, at(hour));
        }
        assert!(news.bar(MONTH_S, at(120)) < 20.0);
    }
}
