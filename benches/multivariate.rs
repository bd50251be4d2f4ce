//! Guards rows per second of one core through the watch of whole rows, and through each channel's company, by channels.

use std::hint::black_box;
use std::time::Instant;

use jurymast::detect::multivariate::{Company, Learner, Settings, Watch};

const LEARNING: usize = 2000;
const ROWS: usize = 100_000;
const ROUNDS: usize = 3;

fn main() {
    for channels in [8, 19, 38, 64] {
        let rows = rows(channels);
        let begun = Instant::now();
        let learned = learn(channels, &rows);
        let learning = begun.elapsed().as_secs_f64();
        let watch = median(|| {
            let mut watch = learned.clone();
            for row in &rows {
                black_box(watch.observe(row));
            }
        });
        let company = median(|| {
            let mut company = Company::new(channels).expect("few enough channels");
            for row in &rows {
                black_box(company.observe(row, 60.0));
                if company.due() {
                    company.learn();
                }
            }
        });
        println!(
            "{channels:2} channels: watch {:.0} k rows/s, company {:.0} k rows/s with its learning, learning of {LEARNING} rows {:.0} ms",
            watch / 1e3,
            company / 1e3,
            learning * 1e3
        );
    }
}

fn learn(channels: usize, rows: &[Vec<f64>]) -> Watch {
    let mut learner = Learner::new(channels, &Settings::default()).expect("few enough channels");
    for row in &rows[..LEARNING] {
        learner.push(row).expect("rows of one width");
    }
    learner.finish().expect("rows enough")
}

/// Rows per second, the median of some rounds.
fn median(mut round: impl FnMut()) -> f64 {
    let mut rates: Vec<f64> = (0..ROUNDS)
        .map(|_| {
            let begun = Instant::now();
            round();
            ROWS as f64 / begun.elapsed().as_secs_f64()
        })
        .collect();
    rates.sort_by(f64::total_cmp);
    rates[ROUNDS / 2]
}

/// Channels that share a few loads, the same in every run.
fn rows(channels: usize) -> Vec<Vec<f64>> {
    let mut rng = fastrand::Rng::with_seed(5);
    let mut normal = move || (0..12).map(|_| rng.f64()).sum::<f64>() - 6.0;
    (0..ROWS)
        .map(|_| {
            let loads = [normal(), normal(), normal()];
            (0..channels)
                .map(|channel| loads[channel % 3] + 0.5 * normal())
                .collect()
        })
        .collect()
}
