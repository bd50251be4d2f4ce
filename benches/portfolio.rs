//! Guards two figures of the scorers that see every sample: samples per second of CPU time (one core, 100,000 series in random order, every
//! term of the portfolio) and bytes of state per series.
//!
//! Beside it runs a random cut forest of 30 trees of 256 points, the usual online detector, over the same values of one series,
//! which spares it all cache misses. The ratio between the two moves less from machine to machine than either figure.

use std::hint::black_box;

use jurymast::detect::univariate::{Portfolio, State, Watch};
use jurymast::model::Timestamp;

const SERIES: usize = 100_000;

/// Long enough that every frame has been looked over and what it was learned from is gone.
const WARM: u32 = 520;

const SAMPLES: usize = 4_000_000;
const FOREST_SAMPLES: u32 = 20_000;
const ROUNDS: usize = 3;

/// Samples whose state is fetched together, as the shards of the product do.
const CHUNK: usize = 64;

fn main() {
    let before = resident_bytes();
    let mut states: Vec<Portfolio> = vec![Portfolio::default(); SERIES];
    for (series, state) in states.iter_mut().enumerate() {
        for n in 0..WARM {
            black_box(state.observe(at(n), value(series, n)));
        }
        assert_eq!(state.state(), State::Watching);
    }
    let bytes = (resident_bytes() - before) / SERIES as f64;
    println!(
        "portfolio, resident bytes per series at {SERIES} series:      {bytes:.0} (bar: 1024; {} in the struct, {} with all of the watch)",
        size_of::<Portfolio>(),
        size_of::<Watch>()
    );
    let mut rng = fastrand::Rng::with_seed(3);
    let order: Vec<u32> = (0..SAMPLES).map(|_| rng.u32(0..SERIES as u32)).collect();
    let mut counts = vec![WARM; SERIES];
    let mut product: Vec<f64> = Vec::new();
    let mut forest: Vec<f64> = Vec::new();
    for _ in 0..ROUNDS {
        let samples = samples(&mut counts, &order);
        product.push(portfolios(&mut states, &samples));
        forest.push(cut_forest());
    }
    let (product, forest) = (median(&mut product), median(&mut forest));
    println!("portfolio, {SERIES} series in random order, one core:     {product:.2} M samples/s (bar: 2)");
    println!("rcf3, 30 trees of 256 points, one series:              {forest:.3} M samples/s");
    println!(
        "portfolio / rcf3:                                      {:.0}",
        product / forest
    );
}

fn at(n: u32) -> Timestamp {
    Timestamp::from_secs(1_767_225_600 + i64::from(n) * 60)
}

/// A day's wave, rough, and now and then a step.
fn value(series: usize, n: u32) -> f64 {
    let phase = (series % 1440) as f64;
    let rough = (f64::from(n) * 0.618_034 + phase * 0.37).fract();
    let step = if (n / 97 + series as u32).is_multiple_of(11) {
        3.0
    } else {
        0.0
    };
    20.0 + 5.0 * ((f64::from(n) + phase) * 0.004_363).sin() + rough + step
}

/// The next sample of each series in that order, made before the clock runs: what is measured begins with a decoded sample.
fn samples(counts: &mut [u32], order: &[u32]) -> Vec<(u32, Timestamp, f64)> {
    let mut next = |series: u32| {
        let count = &mut counts[series as usize];
        *count += 1;
        (series, at(*count), value(series as usize, *count))
    };
    order.iter().map(|series| next(*series)).collect()
}

fn portfolios(states: &mut [Portfolio], samples: &[(u32, Timestamp, f64)]) -> f64 {
    let started = cpu_seconds();
    let mut raised = 0_u32;
    for chunk in samples.chunks(CHUNK) {
        let touched = chunk
            .iter()
            .fold(0, |sum, (series, _, _)| sum ^ states[*series as usize].touch());
        black_box(touched);
        for (series, at, value) in chunk {
            raised += u32::from(states[*series as usize].observe(*at, *value).raised);
        }
    }
    black_box(raised);
    samples.len() as f64 / (cpu_seconds() - started) / 1e6
}

fn cut_forest() -> f64 {
    let mut forest = rcf3::Forest::builder(1)
        .num_trees(30)
        .capacity(256)
        .shingle_size(1)
        .seed(7)
        .build()
        .expect("settings of this file");
    let started = cpu_seconds();
    for n in 0..FOREST_SAMPLES {
        let score = forest.update_and_score(&[value(1, n) as f32]);
        black_box(score.expect("a finite number"));
    }
    f64::from(FOREST_SAMPLES) / (cpu_seconds() - started) / 1e6
}

/// Of this thread: what else runs on the machine takes no part in it.
fn cpu_seconds() -> f64 {
    let text = std::fs::read_to_string("/proc/thread-self/schedstat").unwrap_or_default();
    let nanos = text
        .split_whitespace()
        .next()
        .and_then(|nanos| nanos.parse::<f64>().ok());
    nanos.expect("Linux keeps it") / 1e9
}

fn median(values: &mut [f64]) -> f64 {
    values.sort_by(f64::total_cmp);
    values[values.len() / 2]
}

fn resident_bytes() -> f64 {
    let status = std::fs::read_to_string("/proc/self/status").unwrap_or_default();
    let line = status.lines().find(|line| line.starts_with("VmRSS:"));
    let kilobytes = line.and_then(|line| line.split_whitespace().nth(1)?.parse::<f64>().ok());
    kilobytes.unwrap_or(f64::NAN) * 1024.0
}
