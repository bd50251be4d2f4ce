//! Beyond the range: how far a value lies outside of everything ever seen, in widths of that range.

/// See the module.
#[derive(Debug, Clone)]
pub struct Range {
    least: f32,
    most: f32,
}

impl Default for Range {
    fn default() -> Self {
        Self {
            least: f32::INFINITY,
            most: f32::NEG_INFINITY,
        }
    }
}

impl Range {
    /// How far outside `value` lies; 0 inside, and as long as there is no range.
    pub fn push(&mut self, value: f32) -> f32 {
        let width = self.most - self.least;
        let outside = (value - self.most).max(self.least - value);
        let excess = if width > 0.0 && outside > 0.0 {
            outside / width
        } else {
            0.0
        };
        self.least = self.least.min(value);
        self.most = self.most.max(value);
        excess
    }

    /// Both ends move to where `to` says: the frame has changed.
    pub fn remap(&mut self, to: impl Fn(f32) -> f32) {
        if self.least <= self.most {
            self.least = to(self.least);
            self.most = to(self.most);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_what_is_outside_counts_and_widens_the_range() {
        let mut range = Range::default();
        let excess: Vec<f32> = [0.0, 0.0, 10.0, 15.0, 15.0, -15.0]
            .iter()
            .map(|value| range.push(*value))
            .collect();
        assert_eq!(excess, [0.0, 0.0, 0.0, 0.5, 0.0, 1.0]);
    }
}
