//! How long it is since rates were told last.

use crate::model::Timestamp;

/// See the module.
#[derive(Debug, Default)]
pub struct Since(Option<Timestamp>);

impl Since {
    /// Seconds up to `now`, from where the next begin. Nothing the first time, which has no length: what came before it is told the next time.
    pub fn seconds(&mut self, now: Timestamp) -> Option<f64> {
        let before = self.0.replace(now)?;
        let seconds = now.since(before).as_secs_f64();
        (seconds > 0.0).then_some(seconds)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_first_time_and_one_that_repeats_have_no_length() {
        let mut since = Since::default();
        let told = [5, 7, 7, 6, 10].map(|second| since.seconds(Timestamp::from_secs(second)));
        assert_eq!(told, [None, Some(2.0), None, None, Some(4.0)]);
    }
}
