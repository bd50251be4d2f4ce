//! Guards two figures: decoded samples per second into threshold and absence (one core, 1,000,000 series in random order), and bytes
//! of resident memory per series (100,000 series of devices, every detector on).
//!
//! Both by the CPU time of this process, because other load on the machine says nothing of either.
//! Beside the product runs a plain baseline in turn: five detectors in a bare loop over 64 bytes of state per series, without names,
//! windows, ticks or findings. The ratio between the two moves less from machine to machine than either figure.

use std::hint::black_box;
use std::time::Duration;

use jurymast::detect::{Detection, Sequential, Settings};
use jurymast::model::{Batch, Catalog, Sample, SeriesId, Timestamp, Topology};

const SERIES: usize = 1_000_000;
const SIGNALS: usize = 10;
const SAMPLES: usize = 10_000_000;

/// Samples between two ticks.
const BATCH: usize = 8192;

const ROUNDS: usize = 3;

fn main() {
    let bytes = bytes_per_series(100_000);
    println!("resident bytes per series at 100,000 series, all detectors: {bytes:.0} (bar: 320)");
    let order = shuffled(SAMPLES, SERIES);
    let mut product: Vec<f64> = Vec::new();
    let mut plain: Vec<f64> = Vec::new();
    let mut bench = Product::new();
    for _ in 0..ROUNDS {
        product.push(bench.run(&order));
        plain.push(baseline(&order));
    }
    let (product, plain) = (median(&mut product), median(&mut plain));
    println!("threshold + absence, {SERIES} series in random order: {product:.2} M samples per CPU second (bar: 5)");
    println!("bare loop of five detectors, the same order:          {plain:.2} M samples per CPU second");
    println!(
        "product / bare loop:                                  {:.2}",
        product / plain
    );
}

/// CPU time of this process so far.
fn cpu() -> Duration {
    let spent = rustix::time::clock_gettime(rustix::time::ClockId::ProcessCPUTime);
    Duration::new(
        u64::try_from(spent.tv_sec).unwrap_or_default(),
        u32::try_from(spent.tv_nsec).unwrap_or_default(),
    )
}

fn median(values: &mut [f64]) -> f64 {
    values.sort_by(f64::total_cmp);
    values[values.len() / 2]
}

/// Series numbers in an order that no cache foresees, the same in every run.
fn shuffled(count: usize, series: usize) -> Vec<u32> {
    let mut rng = fastrand::Rng::with_seed(3);
    let series = u32::try_from(series).expect("a constant of this file");
    (0..count).map(|_| rng.u32(0..series)).collect()
}

fn catalog(series: usize) -> (Catalog, Vec<SeriesId>) {
    let catalog = Catalog::new();
    let ids = (0..series)
        .map(|n| {
            catalog.series(
                &format!("plant/line-{}/device-{}", n / 1000, n / SIGNALS),
                &format!("signal-{}", n % SIGNALS),
            )
        })
        .collect();
    (catalog, ids)
}

struct Product {
    detection: Detection,
    topology: Topology,
    ids: Vec<SeriesId>,
    now: Timestamp,
}

impl Product {
    fn new() -> Self {
        let settings = serde_json::from_value::<Settings>(serde_json::json!({
            "threshold": [{"name": "hot", "signal": "signal-*", "above": 90.0, "clear": 85.0, "for": "2s"}],
            "stuck": {"enabled": false}, "drift": {"enabled": false}, "anomaly": {"enabled": false},
            "joint": {"enabled": false}, "peers": {"enabled": false}, "clock": {"enabled": false},
        }))
        .expect("settings of this file");
        let (catalog, ids) = catalog(SERIES);
        let detection = Detection::new(&settings, catalog, 1).expect("settings of this file");
        let mut bench = Self {
            detection,
            topology: Topology::new(),
            ids,
            now: Timestamp::from_secs(1_000),
        };
        // Every series has been seen before the clock starts: learning a name is another figure.
        let all: Vec<u32> = (0..u32::try_from(SERIES).expect("a constant of this file")).collect();
        bench.run(&all);
        bench
    }

    /// Millions of samples per second.
    fn run(&mut self, order: &[u32]) -> f64 {
        let mut spent = Duration::ZERO;
        for (round, chunk) in order.chunks(BATCH).enumerate() {
            self.now = self.now + Duration::from_millis(1);
            let samples = chunk
                .iter()
                .enumerate()
                .map(|(n, id)| Sample {
                    series: self.ids[*id as usize],
                    retained: false,
                    // One after the other, as a socket brings them.
                    at: self.now + Duration::from_nanos(n as u64 * 100),
                    seen: self.now + Duration::from_nanos(n as u64 * 100),
                    value: ((n * 7 + round * 13) % 80) as f64,
                })
                .collect();
            let batch = Batch {
                samples,
                events: Vec::new(),
            };
            let began = cpu();
            self.detection.batch(batch);
            black_box(self.detection.tick(self.now, &self.topology, &Sequential));
            spent += cpu().saturating_sub(began);
        }
        order.len() as f64 / spent.as_secs_f64() / 1e6
    }
}

/// One line of cache per series.
#[derive(Clone, Copy, Default)]
#[repr(align(64))]
struct Five {
    level: f64,
    spread: f64,
    last: f64,
    last_at: u64,
    up: f32,
    down: f32,
    slow: f32,
    slow_spread: f32,
    period: f32,
    flat: u32,
}

fn baseline(order: &[u32]) -> f64 {
    let mut states = vec![Five::default(); SERIES];
    let mut hits = 0_u32;
    let began = cpu();
    for (n, id) in order.iter().enumerate() {
        let state = &mut states[*id as usize];
        let value = (n * 7 % 80) as f64;
        let off = value - state.level;
        let z = (off / (state.spread * 1.4826 + 1e-6)) as f32;
        state.level += 0.05 * off;
        state.spread += 0.05 * (off.abs() - state.spread);
        state.up = (state.up + z - 0.5).max(0.0);
        state.down = (state.down - z - 0.5).max(0.0);
        state.slow += 0.001 * (value as f32 - state.slow);
        state.slow_spread += 0.001 * ((value as f32 - state.slow).abs() - state.slow_spread);
        state.flat = if value.to_bits() == state.last.to_bits() {
            state.flat + 1
        } else {
            0
        };
        state.period += 0.05 * ((n as u64 - state.last_at) as f32 - state.period);
        state.last_at = n as u64;
        state.last = value;
        hits += u32::from(z.abs() > 8.0 || state.up > 1e4 || state.down > 1e4 || state.flat > 100);
    }
    black_box(hits);
    order.len() as f64 / cpu().saturating_sub(began).as_secs_f64() / 1e6
}

/// Pages of this process that are in memory.
fn resident_bytes() -> f64 {
    let pages = std::fs::read_to_string("/proc/self/statm")
        .ok()
        .and_then(|text| text.split_whitespace().nth(1)?.parse::<f64>().ok());
    pages.map_or(f64::NAN, |pages| pages * 4096.0)
}

fn bytes_per_series(series: usize) -> f64 {
    let before = resident_bytes();
    let settings = serde_json::from_value::<Settings>(serde_json::json!({
        "threshold": [{"name": "hot", "signal": "signal-*", "above": 90.0}],
    }))
    .expect("settings of this file");
    let (catalog, ids) = catalog(series);
    let mut detection = Detection::new(&settings, catalog, 1).expect("settings of this file");
    let topology = Topology::new();
    let mut now = Timestamp::from_secs(1_000);
    for round in 0..6 {
        for chunk in ids.chunks(BATCH) {
            let samples = chunk
                .iter()
                .map(|id| Sample {
                    series: *id,
                    retained: false,
                    at: now,
                    seen: now,
                    value: f64::from(id.0 % 80) + f64::from(round),
                })
                .collect();
            detection.batch(Batch {
                samples,
                events: Vec::new(),
            });
            detection.tick(now, &topology, &Sequential);
        }
        now = now + Duration::from_secs(1);
    }
    drop(ids);
    let bytes = (resident_bytes() - before) / series as f64;
    black_box(&detection);
    bytes
}
