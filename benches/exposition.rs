//! Exposition text to series numbers and values, beside `prometheus-parse` on the same text in the same run.
//!
//! `cargo bench --bench exposition`. Warm: every series has been seen before, as in each scrape but the first.

use std::fmt::Write as _;
use std::hint::black_box;
use std::time::Instant;

use jurymast::ingest::prometheus::SeriesCache;
use jurymast::ingest::prometheus::exposition::{Format, parse};
use jurymast::model::Catalog;

const ROUNDS: usize = 5;

/// Five families as a node exporter has them, about ten megabytes.
fn text() -> String {
    let mut text = String::new();
    for family in 0..4 {
        let _ = writeln!(
            text,
            "# HELP node_family_{family}_total A family.\n# TYPE node_family_{family}_total counter"
        );
        for n in 0..20_000 {
            let _ = writeln!(
                text,
                "node_family_{family}_total{{cpu=\"{}\",mode=\"m{}\",device=\"/dev/sd{n}\",instance=\"10.0.0.{}:9100\"}} {}.5e+07",
                n % 64,
                n % 8,
                n % 250,
                n * 7 + 1
            );
        }
    }
    text += "# TYPE http_seconds histogram\n";
    for n in 0..2_000 {
        for le in ["0.1", "0.5", "1", "5", "+Inf"] {
            let _ = writeln!(
                text,
                "http_seconds_bucket{{handler=\"/api/v{n}\",le=\"{le}\"}} {}",
                n * 3
            );
        }
        let _ = writeln!(
            text,
            "http_seconds_sum{{handler=\"/api/v{n}\"}} {}.25\nhttp_seconds_count{{handler=\"/api/v{n}\"}} {}",
            n,
            n * 3
        );
    }
    text
}

fn median(mut times: Vec<f64>) -> f64 {
    times.sort_by(f64::total_cmp);
    times[times.len() / 2]
}

fn main() {
    let text = text();
    let megabytes = text.len() as f64 / 1e6;
    let catalog = Catalog::new();
    let mut cache = SeriesCache::default();
    let mut samples = 0_usize;
    let mut ours = || {
        let begin = Instant::now();
        samples = 0;
        let mut sum = 0.0;
        cache.begin();
        let read = parse(text.as_bytes(), Format::Text, |line| {
            let series = cache.get(line.series, |parts| catalog.series("target", &parts.signal(&[])));
            sum += line.value + f64::from(series.0);
            samples += 1;
        });
        cache.end();
        read.expect("the text is good");
        black_box(sum);
        begin.elapsed().as_secs_f64()
    };
    ours();
    let theirs = || {
        let begin = Instant::now();
        let scrape = prometheus_parse::Scrape::parse(text.lines().map(|line| Ok(line.to_owned())));
        black_box(scrape.expect("the text is good").samples.len());
        begin.elapsed().as_secs_f64()
    };
    let (mut a, mut b) = (Vec::new(), Vec::new());
    for _ in 0..ROUNDS {
        a.push(ours());
        b.push(theirs());
    }
    let (a, b) = (median(a), median(b));
    println!("{megabytes:.1} MB, {samples} samples, medians of {ROUNDS}");
    println!(
        "jurymast parse + series number  {:>8.0} MB/s  {:>6.2} M samples/s",
        megabytes / a,
        samples as f64 / a / 1e6
    );
    println!(
        "prometheus-parse                {:>8.0} MB/s  {:>6.2} M samples/s",
        megabytes / b,
        samples as f64 / b / 1e6
    );
    println!("ratio                           {:>8.1}", b / a);
}
