//! Plain JSON of a schema that nobody has stated: messages a second on one core, from payload to samples.
//!
//! Guards: at least a million a second, whether a message has the members of the one before, or others of those that its topic has sent. `cargo bench --bench
//! payload`. Ten thousand devices, 130 bytes with six numbers and a time, as the MQTT measurements have them; every topic has been seen before. What new names
//! cost stands apart: each makes a series, which the catalog keeps for good.

use std::hint::black_box;
use std::time::Instant;

use jurymast::ingest::mqtt::Subscription;
use jurymast::ingest::mqtt::payload::{Context, Memo, find};
use jurymast::model::{Batch, Catalog, EntityName, Timestamp};

const DEVICES: usize = 10_000;
const PER_ROUND: usize = 500_000;
const ROUNDS: usize = 7;

/// Which of the ten names a message begins with, and what stands behind each.
type Names = (usize, usize);

fn message(device: usize, round: usize, (first, behind): Names) -> String {
    let value = |n: usize| ((device * 31 + round * 7 + n * 13) % 10_000) as f64 / 100.0;
    let name = |n: usize| {
        [
            "temp", "hum", "press", "vib", "volt", "amp", "rpm", "flow", "load", "level",
        ][(n + first) % 10]
    };
    let members: Vec<String> = (0..6)
        .map(|n| format!("\"{}{behind}\":{}", name(n), value(n)))
        .collect();
    format!(
        "{{\"ts\":{},{}}}",
        1_767_225_600_000_u64 + round as u64 * 1000,
        members.join(",")
    )
}

/// `names` is told the device and how many messages it has sent.
fn measure(title: &str, per_round: usize, names: impl Fn(usize, usize) -> Names) {
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
        let messages: Vec<(usize, String)> = (0..per_round)
            .map(|n| {
                let device = (n * 7919) % DEVICES;
                let sent = round * per_round / DEVICES + n / DEVICES;
                (device, message(device, sent, names(device, sent)))
            })
            .collect();
        bytes = messages.iter().map(|(_, text)| text.len()).sum::<usize>() / per_round;
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
        assert_eq!(samples, per_round * 6);
        // The first round meets every topic for the first time.
        if round > 0 {
            rates.push(per_round as f64 / begin.elapsed().as_secs_f64());
        }
    }
    assert_eq!(catalog.refused(), 0);
    rates.sort_by(f64::total_cmp);
    println!(
        "{title}: {:.2} million messages/s of {bytes} bytes (median of {ROUNDS}; {:.0} ns each)",
        rates[ROUNDS / 2] / 1e6,
        1e9 / rates[ROUNDS / 2]
    );
}

fn main() {
    measure("members as in the message before", PER_ROUND, |_, _| (0, 0));
    measure("other members each time, of fifty", PER_ROUND, |_, sent| {
        (sent % 10, sent / 10 % 5)
    });
    measure("one of six sets of members", PER_ROUND, |device, sent| {
        ((device * 31 + sent * sent * 7 + sent / 3) % 6, 0)
    });
    measure("names that nobody has sent before", PER_ROUND / 25, |device, sent| {
        (0, sent * DEVICES + device)
    });
}
