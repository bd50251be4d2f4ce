//! Plain JSON of a schema that nobody has stated: messages a second on one core, from payload to samples.
//!
//! Guards: at least a million a second. `cargo bench --bench payload`. Ten thousand devices, 130 bytes with six numbers and a time, as the MQTT measurements have
//! them; every topic has been seen before. The second line is what it costs where remembering the shape of a payload helps nothing: the members change with
//! each message of a topic.

use std::hint::black_box;
use std::time::Instant;

use jurymast::ingest::mqtt::Subscription;
use jurymast::ingest::mqtt::payload::{Context, Memo, find};
use jurymast::model::{Batch, Catalog, EntityName, Timestamp};

const DEVICES: usize = 10_000;
const PER_ROUND: usize = 500_000;
const ROUNDS: usize = 7;

/// A message, and the names of its members.
fn message(device: usize, round: usize, variety: usize) -> String {
    let value = |n: usize| ((device * 31 + round * 7 + n * 13) % 10_000) as f64 / 100.0;
    let name = |n: usize| {
        [
            "temp", "hum", "press", "vib", "volt", "amp", "rpm", "flow", "load", "level",
        ][(n + variety) % 10]
    };
    let members: Vec<String> = (0..6)
        .map(|n| format!("\"{}{}\":{}", name(n), variety / 10, value(n)))
        .collect();
    format!(
        "{{\"ts\":{},{}}}",
        1_767_225_600_000_u64 + round as u64 * 1000,
        members.join(",")
    )
}

fn measure(name: &str, variety: impl Fn(usize) -> usize) {
    let catalog = Catalog::new();
    let subscription: Subscription =
        serde_saphyr::from_str("{filter: 'site/+/telemetry', decode: json}").expect("a subscription");
    let mut decoder = find(&subscription).expect("a decoder");
    let broker = EntityName::from("broker");
    let mut topics: Vec<(String, EntityName, Memo)> = (0..DEVICES)
        .map(|device| {
            let name = format!("device-{device}");
            (format!("site/{name}/telemetry"), name.as_str().into(), Memo::default())
        })
        .collect();
    let mut out = Batch::default();
    let (mut rates, mut bytes) = (Vec::new(), 0);
    for round in 0..=ROUNDS {
        // Scattered, as they arrive.
        let messages: Vec<(usize, String)> = (0..PER_ROUND)
            .map(|n| {
                let device = (n * 7919) % DEVICES;
                (
                    device,
                    message(device, round * PER_ROUND / DEVICES + n / DEVICES, variety(n / DEVICES)),
                )
            })
            .collect();
        bytes = messages.iter().map(|(_, text)| text.len()).sum::<usize>() / PER_ROUND;
        let (begin, mut samples) = (Instant::now(), 0);
        for (device, text) in &messages {
            let (topic, entity, memo) = &mut topics[*device];
            let context = Context {
                topic,
                entity,
                signal: "telemetry",
                retained: false,
                seen: Timestamp::from_millis(1_767_225_600_000),
                catalog: &catalog,
                broker: &broker,
            };
            decoder
                .decode(&context, memo, text.as_bytes(), &mut out)
                .expect("it is JSON");
            if out.samples.len() > 4096 {
                samples += out.samples.len();
                black_box(&out);
                out.samples.clear();
            }
        }
        samples += out.samples.len();
        out.samples.clear();
        assert_eq!(samples, PER_ROUND * 6);
        // The first round meets every topic for the first time.
        if round > 0 {
            rates.push(PER_ROUND as f64 / begin.elapsed().as_secs_f64());
        }
    }
    rates.sort_by(f64::total_cmp);
    println!(
        "{name}: {:.2} million messages/s of {bytes} bytes (median of {ROUNDS}; {:.0} ns each)",
        rates[ROUNDS / 2] / 1e6,
        1e9 / rates[ROUNDS / 2]
    );
}

fn main() {
    measure("members as in the message before", |_| 0);
    measure("other members each time", |n| n % 50);
}
