//! Peer residual: what one device does apart from the rest of its group.
//!
//! A heat wave moves all sensors of a hall, a broken sensor only itself. Each device is judged by its distance from the group's
//! median, the group by its median itself; the two answers part the fault of one from what happens to all.

use crate::detect::univariate::Tail;

/// Weight of the newest value in a device's usual distance.
const SLOW: f64 = 0.01;

/// Weight of the newest value in what is compared with it.
const FAST: f64 = 0.1;

/// Ticks before anything is said of a device.
const TICKS_MIN: u32 = 100;

/// Distances beyond so many spreads move the usual one no further.
const CLIP: f64 = 4.0;

/// Strange values in a row after which they move the usual distance as any others do.
const PATIENCE: u16 = 600;

/// Fewest devices that have a median to be apart from.
const DEVICES_MIN: usize = 3;

/// One follower: of a device's distance from the median, or of the median.
#[derive(Debug, Clone, Default)]
struct Follower {
    level: f64,
    spread: f64,
    fast: f64,
    ticks: u32,
    tail: Tail,
    run: f32,
    /// Values in a row in the tail.
    strange: u16,
}

impl Follower {
    /// Surprise of a value, zero while young.
    fn push(&mut self, value: f64) -> f64 {
        self.ticks = self.ticks.saturating_add(1);
        let young = 1.0 / f64::from(self.ticks);
        if self.ticks == 1 {
            self.level = value;
        }
        let off = value - self.level;
        let settled = self.ticks > TICKS_MIN / 2;
        let step = if settled {
            off.clamp(-CLIP * self.spread, CLIP * self.spread)
        } else {
            off
        };
        // What is strange is not what is usual, until it has lasted: a return from it would be as strange.
        self.strange = if self.run > 0.0 {
            self.strange.saturating_add(1)
        } else {
            0
        };
        let weight = if (1..PATIENCE).contains(&self.strange) {
            SLOW / 10.0
        } else {
            SLOW.max(young)
        };
        self.spread += weight * (step.abs() - self.spread);
        self.level += weight * step;
        self.fast += FAST * (off - self.fast);
        if !settled || self.spread <= 0.0 {
            return 0.0;
        }
        let surprise = self
            .tail
            .push_run((self.fast.abs() / self.spread) as f32, &mut self.run);
        if self.ticks < TICKS_MIN {
            0.0
        } else {
            f64::from(surprise)
        }
    }
}

/// How a group stands at one tick.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Standing {
    /// Surprise (`-ln p`) of the group's median: what happens to all.
    pub group: f64,
    /// The device that is most surprisingly apart.
    pub device: usize,
    /// Its surprise.
    pub apart: f64,
}

/// See the module. For one quantity of one group of devices.
#[derive(Debug, Clone)]
pub struct Peers {
    group: Follower,
    devices: Vec<Follower>,
    sorted: Vec<f64>,
}

impl Peers {
    /// For a group of so many devices.
    pub fn new(devices: usize) -> Self {
        Self {
            group: Follower::default(),
            devices: vec![Follower::default(); devices],
            sorted: Vec::with_capacity(devices),
        }
    }

    /// There are so many devices now; the newcomers come last.
    pub fn grow(&mut self, devices: usize) {
        if devices > self.devices.len() {
            self.devices.resize(devices, Follower::default());
        }
    }

    /// Takes in the values of one tick, by device; one that is missing is not finite. `None` if fewer than three spoke.
    pub fn observe(&mut self, values: &[f64]) -> Option<Standing> {
        if values.len() != self.devices.len() {
            return None;
        }
        self.sorted.clear();
        self.sorted
            .extend(values.iter().copied().filter(|value| value.is_finite()));
        if self.sorted.len() < DEVICES_MIN {
            return None;
        }
        self.sorted.sort_by(f64::total_cmp);
        let (low, high) = ((self.sorted.len() - 1) / 2, self.sorted.len() / 2);
        let median = f64::midpoint(self.sorted[low], self.sorted[high]);
        let mut standing = Standing {
            group: self.group.push(median),
            device: 0,
            apart: 0.0,
        };
        for (place, (follower, value)) in self.devices.iter_mut().zip(values).enumerate() {
            if value.is_finite() {
                let apart = follower.push(value - median);
                if apart > standing.apart {
                    standing.device = place;
                    standing.apart = apart;
                }
            }
        }
        Some(standing)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::detect::multivariate::testing::Noise;

    /// Largest surprises of group and devices in rows 2000 to 2060, where `fault` changes the values.
    fn run(mut fault: impl FnMut(usize, f64) -> f64) -> Standing {
        let mut noise = Noise::new(17);
        let mut peers = Peers::new(8);
        let mut worst = Standing {
            group: 0.0,
            device: 0,
            apart: 0.0,
        };
        for tick in 0..2060 {
            let weather = 0.2 * noise.normal();
            let values: Vec<f64> = (0..8)
                .map(|device| {
                    let value = weather + device as f64 + 0.1 * noise.normal();
                    if tick >= 2000 { fault(device, value) } else { value }
                })
                .collect();
            let standing = peers.observe(&values).unwrap();
            if tick >= 2000 {
                worst.group = worst.group.max(standing.group);
                if standing.apart > worst.apart {
                    (worst.device, worst.apart) = (standing.device, standing.apart);
                }
            }
        }
        worst
    }

    #[test]
    fn one_device_apart_is_named_and_the_group_is_calm() {
        let standing = run(|device, value| if device == 5 { value + 1.0 } else { value });
        assert!(standing.apart > 12.0 && standing.device == 5, "{standing:?}");
        assert!(standing.group < 8.0, "{standing:?}");
    }

    #[test]
    fn a_device_that_departs_slowly_is_named_as_well() {
        let mut away = 0.0;
        let standing = run(move |device, value| {
            away += if device == 5 { 0.02 } else { 0.0 };
            if device == 5 { value + away } else { value }
        });
        assert!(standing.apart > 20.0 && standing.device == 5, "{standing:?}");
    }

    #[test]
    fn what_happens_to_all_is_nobodys_fault() {
        let standing = run(|_, value| value + 3.0);
        assert!(standing.group > 12.0, "{standing:?}");
        assert!(standing.apart < 12.0, "{standing:?}");
    }

    #[test]
    fn two_devices_have_no_median_to_be_apart_from() {
        let mut peers = Peers::new(3);
        assert_eq!(peers.observe(&[1.0, f64::NAN, 2.0]), None);
        assert_eq!(peers.observe(&[1.0]), None);
        assert!(peers.observe(&[1.0, 1.0, 1.0]).is_some());
    }
}
