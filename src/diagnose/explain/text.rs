//! An explanation as text for a terminal.

use std::fmt;

use super::Explanation;

/// Symptoms that are listed one by one.
const SEEN_MAX: usize = 40;

impl fmt::Display for Explanation {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        writeln!(f, "{}\n\nseen:", self.headline)?;
        for line in self.seen.iter().take(SEEN_MAX) {
            writeln!(f, "  {line}")?;
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
