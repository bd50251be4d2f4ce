//! An explanation as text for a terminal.

use std::fmt;

use super::Explanation;

/// Symptoms that are listed one by one.
const SEEN_MAX: usize = 40;

impl fmt::Display for Explanation {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        writeln!(f, "{}", self.headline)?;
        if let Some(began) = self.began {
            let began = began.to_string();
            let (day, time) = began.split_once('T').unwrap_or_default();
            writeln!(f, "began {day} at {} UTC", time.get(..8).unwrap_or(time))?;
        }
        if let Some(doubt) = self.doubt() {
            writeln!(f, "{doubt}")?;
        }
        writeln!(f, "\nseen:")?;
        for line in self.seen.iter().take(SEEN_MAX) {
            writeln!(f, "  {}", short(line))?;
        }
        if let Some(more) = self.seen.len().checked_sub(SEEN_MAX).filter(|more| *more > 0) {
            writeln!(f, "  and {more} more")?;
        }
        if !self.links.is_empty() {
            writeln!(f, "\nbegan together:")?;
        }
        for line in &self.links {
            writeln!(f, "  {line}")?;
        }
        writeln!(f, "\ncauses:")?;
        for cause in &self.causes {
            writeln!(f, "  {}", cause.headline)?;
            for line in &cause.speaks_for {
                writeln!(f, "       + {line}")?;
            }
            for line in &cause.speaks_against {
                writeln!(f, "       - {line}")?;
            }
            for line in &cause.paths {
                writeln!(f, "       > {line}")?;
            }
        }
        if let Some(suspects) = &self.statistical {
            writeln!(
                f,
                "\nstatistical ranking, for no pattern explains this well (names a place and no fault, so nothing is moved for it):"
            )?;
            for line in suspects.lines() {
                writeln!(f, "  {line}")?;
            }
        }
        if !self.without.is_empty() {
            writeln!(f, "\nwithout a part of it:")?;
            for other in &self.without {
                writeln!(f, "  {}", other.text)?;
            }
        }
        if !self.settle.is_empty() {
            writeln!(f, "\nwhat would settle it:")?;
            for observation in &self.settle {
                writeln!(f, "  {}", observation.text)?;
                for outcome in &observation.outcomes {
                    writeln!(f, "       {}", outcome.text)?;
                }
            }
        }
        Ok(())
    }
}

/// The characters of a time as [`Timestamp`](crate::model::Timestamp) writes it; those of its day, and those that are read.
const TIME: usize = "2026-01-31T12:00:00.000000000Z".len();
const DAY: usize = "2026-01-31T".len();
const READ: usize = "2026-01-31T12:00:00.000".len();

/// A line with its times to the millisecond and without their day, which is told above.
fn short(line: &str) -> String {
    let words = line.split(' ').map(|word| {
        let time = word.trim_end_matches([':', ',']);
        let is_time = time.len() == TIME && time.ends_with('Z') && time.get(DAY - 1..DAY) == Some("T");
        match (time.get(DAY..READ), word.get(TIME..)) {
            (Some(read), Some(behind)) if is_time => format!("{read}{behind}"),
            _ => word.to_owned(),
        }
    });
    words.collect::<Vec<_>>().join(" ")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn times_are_read_to_the_millisecond_and_all_else_is_left() {
        let line = "2026-11-21T15:35:48.898910446Z  60 more Silent, the last at 2026-11-21T15:35:49.901576154Z: a, b …";
        assert_eq!(
            short(line),
            "15:35:48.898  60 more Silent, the last at 15:35:49.901: a, b …"
        );
        for line in [
            "",
            "  a  b",
            "ThirtyCharactersOfAnyWordAtAllZ x",
            "ünïcödé_of_thirty_bytes_TooooZ x",
        ] {
            assert_eq!(short(line), line);
        }
    }
}
