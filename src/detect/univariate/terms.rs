//! What a score is made of: seven ways of being strange, each with its weight and the reason why it is there.

/// A way of being strange.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Term {
    /// A value unlike any before. The plainest one, and alone better than most published detectors.
    Level,
    /// A size unlike any before, on a logarithmic scale: a rate that falls to a tenth is as strange as one that grows tenfold.
    Magnitude,
    /// A usual value at an unusual time of day.
    Daytime,
    /// A usual value that came by an unusual way: steps, ramps, short dips.
    Path,
    /// Outside of everything ever seen. Rarely wrong, so it weighs most.
    Range,
    /// An hour that was, on the whole, unusual for its time of day.
    Hour,
    /// A day unlike any of the week before.
    Day,
}

/// All of them, in the order of their parts in a score.
pub const TERMS: [Term; 7] = [
    Term::Level,
    Term::Magnitude,
    Term::Daytime,
    Term::Path,
    Term::Range,
    Term::Hour,
    Term::Day,
];

impl Term {
    /// For whoever reads an alarm.
    pub const fn words(self) -> &'static str {
        match self {
            Self::Level => "a value unlike any before",
            Self::Magnitude => "a size unlike any before",
            Self::Daytime => "unusual at this time of day",
            Self::Path => "an unusual course",
            Self::Range => "outside of everything seen",
            Self::Hour => "an hour unusual for its time of day",
            Self::Day => "a day unlike any of the week before",
        }
    }
}

/// A distance in units as a part of a score: straight for small ones, by orders of magnitude for large ones.
pub fn by_distance(distance: f32) -> f32 {
    widened(distance).ln()
}

/// The number whose logarithm a distance's part in a score is; at least 1.
pub fn widened(distance: f32) -> f32 {
    // Of what is no number the other one is taken.
    1.0 + 4.0 * distance.max(0.0)
}

/// A surprise (minus the log of a probability) as a part of a score.
pub fn by_surprise(surprise: f32) -> f32 {
    if surprise > 0.0 {
        0.3 * (1.0 + surprise).ln()
    } else {
        0.0
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn each_term_has_its_place_and_its_words() {
        for (place, term) in TERMS.iter().enumerate() {
            assert_eq!(*term as usize, place);
            assert!(!term.words().is_empty());
        }
    }

    #[test]
    fn more_is_more_and_nothing_is_nothing() {
        for by in [by_distance, by_surprise] {
            assert!(by(0.0).abs() < f32::EPSILON && by(-1.0).abs() < f32::EPSILON);
            assert!(by(2.0) > by(1.0) && by(f32::NAN).abs() < f32::EPSILON);
        }
    }
}
