//! Novelty: how far a point lies from everything seen before.
//!
//! Keeps a few points that stand for all: one is stored only if it is further than `apart` from all others, and the one
//! not met for longest makes room. Coordinates are small integers, side by side, so that all distances are a few vector
//! instructions.

/// Steps of a coordinate in one unit of the [`super::Frame`].
pub const UNIT: f32 = 700.0;

/// Coordinates end here: no two of them are as far apart as each of them is from [`NOWHERE`].
const EDGE: f32 = 10_900.0;

/// No point: further from any coordinate than two coordinates can be.
const NOWHERE: i16 = i16::MIN;

/// How two points are compared.
#[derive(Debug, Clone, Copy)]
pub struct Metric {
    /// Points nearer than this, in units, are the same.
    pub apart: f32,
    /// If the last coordinate goes round: how long a full turn is, in units.
    pub turn: Option<f32>,
}

/// See the module. `D` coordinates, up to `N` points, the one met last in front. `WIDE` is `N` in whole vector registers: what is left over
/// of an axis would be worked on one by one, and take as long as all the rest.
#[derive(Debug, Clone)]
pub struct Cloud<const D: usize, const N: usize, const WIDE: usize> {
    axes: [[i16; WIDE]; D],
    len: u8,
}

impl<const D: usize, const N: usize, const WIDE: usize> Default for Cloud<D, N, WIDE> {
    fn default() -> Self {
        const { assert!(0 < N && N <= WIDE && WIDE < 256, "counted in one byte") };
        const { assert!(WIDE.is_multiple_of(LANES), "whole registers") };
        Self {
            axes: [[NOWHERE; WIDE]; D],
            len: 0,
        }
    }
}

/// A coordinate of so many units.
pub fn coordinate(units: f32) -> i16 {
    (units * UNIT).clamp(-EDGE, EDGE) as i16
}

/// A part of a full turn, as a coordinate that goes round.
pub fn turned(part: f32) -> i16 {
    ((part * 65_536.0) as i64) as i16
}

/// Numbers in a vector register of the plainest processor that is built for.
const LANES: usize = 8;

/// `first` goes to the front; the points before `at` move one place back, over the one at `at`. All places at once: a move of so few bytes
/// whose number is not known beforehand is a call, and dearer. From the back and in whole registers: each is read before it is written over,
/// and read as it lies in memory rather than from a copy of which one read would wait for two writes.
fn to_front<const WIDE: usize>(axis: &mut [i16; WIDE], at: usize, first: i16) {
    let at = i16::try_from(at).unwrap_or(i16::MAX);
    for start in (0..WIDE / LANES).rev().map(|register| register * LANES) {
        let mut moved = [first; LANES];
        if start == 0 {
            moved[1..].copy_from_slice(&axis[..LANES - 1]);
        } else {
            moved.copy_from_slice(&axis[start - 1..start - 1 + LANES]);
        }
        let place = i16::try_from(start).unwrap_or(i16::MAX);
        let places = (place..).zip(&mut axis[start..start + LANES]);
        for ((place, known), moved) in places.zip(moved) {
            *known = if place <= at { moved } else { *known };
        }
    }
}

impl<const D: usize, const N: usize, const WIDE: usize> Cloud<D, N, WIDE> {
    /// How far `point` is from the nearest known one, in units; 0 for the very first. Then it is known.
    pub fn push(&mut self, point: [i16; D], metric: Metric) -> f32 {
        let (at, distance) = self.nearest(&point, metric);
        if self.len == 0 {
            self.keep(point);
            return 0.0;
        }
        let distance = f32::from(distance) * (1.0 / UNIT);
        if distance > metric.apart {
            self.keep(point);
        } else if at > 0 {
            // The one met last is met again most often, and is in front already.
            for axis in &mut self.axes {
                let met = axis[at];
                to_front(axis, at, met);
            }
        }
        distance
    }

    fn nearest(&self, point: &[i16; D], metric: Metric) -> (usize, i16) {
        let mut far = [0_i16; WIDE];
        for (axis, (known, here)) in self.axes.iter().zip(point).enumerate() {
            match metric.turn {
                Some(turn) if axis + 1 == D => {
                    // Sixteen bits times sixteen bits, the upper half of it: one instruction for eight points.
                    let step = (turn * UNIT) as u16;
                    for (far, known) in far.iter_mut().zip(known) {
                        let part = known.wrapping_sub(*here).unsigned_abs();
                        let along = ((u32::from(part) * u32::from(step)) >> 16) as u16;
                        // At most half a turn, which is far below the edge.
                        *far = (*far).max(along.cast_signed());
                    }
                }
                _ => {
                    for (far, known) in far.iter_mut().zip(known) {
                        let off = known.saturating_sub(*here).max(here.saturating_sub(*known));
                        *far = (*far).max(off);
                    }
                }
            }
        }
        let least = far.iter().fold(i16::MAX, |least, far| least.min(*far));
        // The first of them, without a branch for each: nobody can guess where it is, and wrong guesses cost more than the rest.
        let first = (0_i16..).zip(&far).fold(i16::MAX, |first, (place, far)| {
            first.min(if *far == least { place } else { i16::MAX })
        });
        (usize::try_from(first).unwrap_or(0).min(N - 1), least)
    }

    fn keep(&mut self, point: [i16; D]) {
        for (axis, here) in self.axes.iter_mut().zip(point) {
            to_front(axis, N - 1, here);
        }
        self.len = self.len.saturating_add(1).min(N as u8);
    }

    /// Moves every stored coordinate of the axes below `axes` to where `to` says: the frame has changed.
    pub fn remap(&mut self, axes: usize, to: impl Fn(f32) -> f32) {
        let len = usize::from(self.len);
        for axis in self.axes.iter_mut().take(axes) {
            for known in &mut axis[..len] {
                *known = coordinate(to(f32::from(*known) / UNIT));
            }
        }
    }

    /// A little of each line of memory that the points lie in.
    pub fn touch(&self) -> u64 {
        const LINE: usize = 64 / size_of::<i16>();
        let lines = self.axes.as_flattened().iter().step_by(LINE);
        lines.fold(0, |sum, known| sum ^ u64::from(known.unsigned_abs()))
    }

    /// Points stored.
    pub const fn len(&self) -> usize {
        self.len as usize
    }

    /// True before the first point.
    pub const fn is_empty(&self) -> bool {
        self.len == 0
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const PLAIN: Metric = Metric { apart: 0.1, turn: None };

    fn at(units: f32) -> [i16; 1] {
        [coordinate(units)]
    }

    #[test]
    fn distance_is_to_the_nearest_known_point() {
        let mut cloud = Cloud::<1, 8, 8>::default();
        assert!(cloud.push(at(1.0), PLAIN).abs() < 1e-6);
        assert!((cloud.push(at(3.0), PLAIN) - 2.0).abs() < 0.01);
        assert!((cloud.push(at(2.6), PLAIN) - 0.4).abs() < 0.01);
        assert_eq!(cloud.len(), 3);
        assert!(cloud.push(at(2.65), PLAIN) < 0.06, "near one that is known");
        assert_eq!(cloud.len(), 3, "and so it is not stored");
    }

    #[test]
    fn the_point_not_met_for_longest_makes_room() {
        let mut cloud = Cloud::<1, 3, 8>::default();
        for units in [0.0, 1.0, 2.0] {
            cloud.push(at(units), PLAIN);
        }
        cloud.push(at(0.0), PLAIN);
        cloud.push(at(5.0), PLAIN);
        assert_eq!(cloud.len(), 3);
        assert!(cloud.push(at(0.0), PLAIN) < 0.01, "met just now, it stayed");
        assert!(
            (cloud.push(at(1.0), PLAIN) - 1.0).abs() < 0.01,
            "not met since, it went"
        );
    }

    #[test]
    fn an_axis_that_goes_round_has_no_end() {
        let metric = Metric {
            apart: 0.05,
            turn: Some(2.0),
        };
        let mut cloud = Cloud::<2, 8, 8>::default();
        cloud.push([0, turned(0.99)], metric);
        let distance = cloud.push([0, turned(0.01)], metric);
        assert!((distance - 0.04).abs() < 0.01, "{distance}");
        let across = cloud.push([0, turned(0.5)], metric);
        assert!((across - 0.98).abs() < 0.02, "{across}");
    }

    #[test]
    fn coordinates_end_somewhere() {
        let mut cloud = Cloud::<1, 4, 8>::default();
        cloud.push(at(1e30), PLAIN);
        let distance = cloud.push(at(-1e30), PLAIN);
        assert!(distance > 30.0);
        cloud.push(at(f32::NAN), PLAIN);
        assert_eq!(cloud.len(), 3);
    }
}
