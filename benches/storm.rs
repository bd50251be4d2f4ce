//! Guards one figure: how long the engine stands still when much of a large plant breaks at once. No input and no tick may keep it longer than
//! a good agent's patience with itself, whatever happens to however many.
//!
//! `cargo bench --bench storm -- [--devices 10000]`. Devices behind gateways of fifty at one broker, one signal a second each. Then: the broker is gone and
//! everyone is silent; each twentieth device falls silent, one after the other; each ninth signal jumps. A minute of each, ticks ten times a second.

use std::time::{Duration, Instant};

use jurymast::engine::Effects;

#[path = "../tests/harness/engine.rs"]
mod engine;
#[path = "../tests/harness/fleet.rs"]
mod fleet;

use fleet::Fleet;

fn main() {
    let args: Vec<String> = std::env::args().collect();
    let place = args.iter().position(|arg| arg == "--devices");
    let devices = place
        .and_then(|place| args.get(place + 1)?.parse().ok())
        .unwrap_or(10_000);
    println!("{devices} devices, 10 ticks a second; of each storm a minute:");
    for storm in [Storm::Calm, Storm::All, Storm::Scattered, Storm::Jump] {
        let mut fleet = Fleet::new(devices);
        fleet.pass(90, |_, _| true);
        let (mut took, mut longest, mut written) = (Duration::ZERO, Duration::ZERO, 0);
        for tenth in 0..600 {
            let inputs = fleet.next(
                tenth,
                |device| storm.speaks(device, tenth / 10),
                |device| storm.adds(device),
            );
            let mut effects = Effects::default();
            let begun = Instant::now();
            for input in inputs {
                fleet.engine.handle(input, &mut effects);
            }
            took += begun.elapsed();
            longest = longest.max(begun.elapsed());
            let lengths = effects
                .log
                .iter()
                .map(|record| serde_json::to_vec(record).map_or(0, |text| text.len()));
            written += lengths.sum::<usize>();
        }
        let open: Vec<_> = fleet.engine.incidents().filter(|incident| incident.is_open()).collect();
        let largest = open.iter().max_by_key(|incident| incident.symptoms.len());
        let named = largest.and_then(|incident| incident.top());
        println!(
            "{storm:?}: {:.2} s of work, longest stand {:.0} ms; {} open incidents, the largest of {} symptoms: {}; {:.1} MB of log",
            took.as_secs_f64(),
            longest.as_secs_f64() * 1e3,
            open.len(),
            largest.map_or(0, |incident| incident.symptoms.len()),
            named.map_or_else(String::new, |top| format!(
                "{} at {} ({:.2})",
                top.fault, top.entity, top.probability
            )),
            written as f64 / 1e6,
        );
    }
}

#[derive(Debug, Clone, Copy, PartialEq)]
enum Storm {
    Calm,
    All,
    Scattered,
    Jump,
}

impl Storm {
    fn speaks(self, device: usize, second: usize) -> bool {
        match self {
            Self::All => false,
            Self::Scattered => !device.is_multiple_of(20) || device / 20 % 40 >= second,
            Self::Calm | Self::Jump => true,
        }
    }

    fn adds(self, device: usize) -> f64 {
        if self == Self::Jump && device.is_multiple_of(9) {
            50.0
        } else {
            0.0
        }
    }
}
