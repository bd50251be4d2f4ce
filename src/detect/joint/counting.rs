//! Which signals of a device only count upwards: how long it runs, how much it has sent. What hangs together with others is how such a number moves and not
//! where it stands, which is always further than it ever was.

/// Values in a row of which none is less than the one before, and at least so many more, make a counter.
const RISES: u16 = 16;

/// Of each channel, what it has done so far.
#[derive(Debug, Clone)]
pub struct Counting(Vec<Channel>);

#[derive(Debug, Clone, Copy)]
struct Channel {
    last: f64,
    rises: u16,
    fell: bool,
}

impl Counting {
    /// Of so many channels.
    pub fn new(channels: usize) -> Self {
        let unknown = Channel {
            last: f64::NAN,
            rises: 0,
            fell: false,
        };
        Self(vec![unknown; channels])
    }

    /// Takes in a value.
    pub fn see(&mut self, channel: usize, value: f64) {
        if let Some(channel) = self.0.get_mut(channel) {
            channel.rises = channel.rises.saturating_add(u16::from(value > channel.last));
            channel.fell |= value < channel.last;
            channel.last = value;
        }
    }

    /// It has only ever risen.
    pub fn counts(&self, channel: usize) -> bool {
        self.0
            .get(channel)
            .is_some_and(|channel| !channel.fell && channel.rises >= RISES)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_only_rises_counts_and_what_fell_once_does_not() {
        let mut counting = Counting::new(3);
        for n in 0..40 {
            counting.see(0, f64::from(n / 2));
            counting.see(1, f64::from(n % 39));
            counting.see(2, 5.0);
        }
        assert!(counting.counts(0) && !counting.counts(1) && !counting.counts(2));
    }
}
