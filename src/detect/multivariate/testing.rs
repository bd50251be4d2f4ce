//! Seeded noise for tests: the same in every run and on every machine.

/// See the module.
pub struct Noise(u64);

impl Noise {
    /// From this seed.
    pub fn new(seed: u64) -> Self {
        Self(seed)
    }

    /// About normal: twelve even draws, less their mean.
    pub fn normal(&mut self) -> f64 {
        (0..12).map(|_| self.even()).sum::<f64>() - 6.0
    }

    /// Even over 0..1, by splitmix64.
    fn even(&mut self) -> f64 {
        self.0 = self.0.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let mut mixed = self.0;
        mixed = (mixed ^ (mixed >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        mixed = (mixed ^ (mixed >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        ((mixed ^ (mixed >> 31)) >> 11) as f64 / (1_u64 << 53) as f64
    }
}
