//! Remote write, decode to store: snappy, protobuf, series numbers, and the push into the columns, on one core.
//!
//! `cargo bench --bench remote_write`. Warm: every series has been seen before, as in each request but the first. Two thousand series a request with nine labels
//! each, as a node exporter's have them, one sample a series: what Prometheus sends by default.

use std::hint::black_box;
use std::time::Instant;

use jurymast::ingest::push::{PushSettings, SeriesBook, Version, read_remote_write};
use jurymast::model::{Catalog, SignalId, Timestamp};
use jurymast::store::{Columns, Tag};

/// No detector looks at the samples: receiving is what is measured.
const TAG: Tag = Tag {
    entity: 0,
    signal: SignalId(0),
    wants: 0,
};

const REQUESTS: usize = 50;
const SERIES: usize = 2000;
const ROUNDS: usize = 7;

fn varint(mut value: u64, out: &mut Vec<u8>) {
    while value >= 0x80 {
        out.push((value & 0x7f) as u8 | 0x80);
        value >>= 7;
    }
    out.push(value as u8);
}

fn field(number: u64, bytes: &[u8], out: &mut Vec<u8>) {
    varint(number << 3 | 2, out);
    varint(bytes.len() as u64, out);
    out.extend_from_slice(bytes);
}

fn labels(number: usize) -> Vec<(&'static str, String)> {
    vec![
        ("__name__", format!("node_cpu_seconds_{}_total", number % 40)),
        ("cluster", "eu-west-1".into()),
        ("cpu", (number % 64).to_string()),
        ("device", format!("/dev/sd{}", number % 97)),
        ("instance", format!("10.0.{}.{}:9100", number / 1000, number % 250)),
        ("job", "node".into()),
        ("mode", format!("m{}", number % 8)),
        ("namespace", "monitoring".into()),
        ("series", number.to_string()),
    ]
}

fn sample(round: usize) -> Vec<u8> {
    let mut sample = vec![0x09];
    sample.extend_from_slice(&(round as f64 + 0.5).to_le_bytes());
    sample.push(0x10);
    varint(1_767_225_600_000 + round as u64 * 15_000, &mut sample);
    sample
}

fn v1(request: usize, round: usize) -> Vec<u8> {
    let mut body = Vec::new();
    for number in request * SERIES..(request + 1) * SERIES {
        let mut series = Vec::new();
        for (name, value) in labels(number) {
            let mut label = Vec::new();
            field(1, name.as_bytes(), &mut label);
            field(2, value.as_bytes(), &mut label);
            field(1, &label, &mut series);
        }
        field(2, &sample(round), &mut series);
        field(1, &series, &mut body);
    }
    snap::raw::Encoder::new().compress_vec(&body).expect("it fits")
}

fn v2(request: usize, round: usize) -> Vec<u8> {
    let (mut symbols, mut places) = (vec![String::new()], std::collections::BTreeMap::new());
    let mut all = Vec::new();
    for number in request * SERIES..(request + 1) * SERIES {
        let mut references = Vec::new();
        for text in labels(number)
            .into_iter()
            .flat_map(|(name, value)| [name.to_owned(), value])
        {
            let place = *places.entry(text.clone()).or_insert_with(|| {
                symbols.push(text);
                symbols.len() - 1
            });
            varint(place as u64, &mut references);
        }
        let mut series = Vec::new();
        field(1, &references, &mut series);
        field(2, &sample(round), &mut series);
        field(5, &series, &mut all);
    }
    let mut body = Vec::new();
    for symbol in &symbols {
        field(4, symbol.as_bytes(), &mut body);
    }
    body.extend(all);
    snap::raw::Encoder::new().compress_vec(&body).expect("it fits")
}

fn main() {
    for (name, version, make) in [
        ("v1", Version::V1, v1 as fn(usize, usize) -> Vec<u8>),
        ("v2", Version::V2, v2),
    ] {
        let (catalog, mut columns) = (Catalog::new(), Columns::default());
        let mut book = SeriesBook::new(&PushSettings::default());
        let (mut samples, mut body) = (Vec::new(), Vec::new());
        let mut rates = Vec::new();
        for round in 0..=ROUNDS {
            let requests: Vec<Vec<u8>> = (0..REQUESTS).map(|request| make(request, round)).collect();
            let begin = Instant::now();
            let mut count = 0;
            for request in &requests {
                body.resize(snap::raw::decompress_len(request).expect("snappy"), 0);
                snap::raw::Decoder::new()
                    .decompress(request, &mut body)
                    .expect("snappy");
                samples.clear();
                let seen = Timestamp::from_millis(1_767_225_700_000);
                read_remote_write(&body, version, seen, &mut book, &catalog, &mut samples).expect("a request");
                for sample in &samples {
                    while columns.len() <= sample.series.0 as usize {
                        columns.add(TAG);
                    }
                    black_box(columns.push(sample.series.0 as usize, sample));
                }
                count += samples.len();
            }
            // The first round meets every series for the first time.
            if round > 0 {
                rates.push(count as f64 / begin.elapsed().as_secs_f64());
            }
            assert_eq!(count, REQUESTS * SERIES);
        }
        rates.sort_by(f64::total_cmp);
        println!(
            "{name}: {:.2} million samples/s (median of {ROUNDS}; {:.0} ns each)",
            rates[ROUNDS / 2] / 1e6,
            1e9 / rates[ROUNDS / 2]
        );
    }
}
