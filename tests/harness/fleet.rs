//! A large plant on the virtual clock: devices behind gateways of fifty at one broker, one signal a second each, and the engine that hears them.

#![allow(dead_code, reason = "the tests and the bench use their own parts of it")]

use std::collections::BTreeMap;
use std::time::Duration;

use jurymast::config::Config;
use jurymast::engine::{Effects, Engine, Input};
use jurymast::model::{
    Batch, Catalog, EdgeKind, Entity, EntityKind, EntityName, Event, EventKind, Sample, SeriesId, Timestamp,
    TopologyChange,
};

use super::engine::engine_of;

const GATEWAY_OF: usize = 50;

/// See the module.
pub struct Fleet {
    pub engine: Engine,
    series: Vec<SeriesId>,
    now: Timestamp,
    chance: fastrand::Rng,
}

impl Fleet {
    /// With nothing heard yet.
    pub fn new(devices: usize) -> Self {
        let config = Config::parse("agent: {name: jurymast}\n").unwrap_or_else(|error| panic!("{}", error.message));
        let catalog = Catalog::new();
        let mut engine = engine_of(&config, &catalog);
        let now = Timestamp::from_secs(1_000_000);
        let gateway = |number: usize| EntityName::from(format!("gateway-{number}").as_str());
        let device = |number: usize| EntityName::from(format!("device-{number}").as_str());
        let mut changes = vec![entity("mq".into(), EntityKind::Broker)];
        for number in 0..devices.div_ceil(GATEWAY_OF) {
            changes.push(entity(gateway(number), EntityKind::Gateway));
            changes.push(edge(gateway(number), "mq".into()));
        }
        for number in 0..devices {
            changes.push(entity(device(number), EntityKind::Device));
            changes.push(edge(device(number), gateway(number / GATEWAY_OF)));
        }
        let told = |change| Event {
            entity: "mq".into(),
            at: now,
            seen: now,
            kind: EventKind::Topology(change),
        };
        let births = Batch {
            samples: Vec::new(),
            events: changes.into_iter().map(told).collect(),
        };
        engine.handle(Input::Batch(births), &mut Effects::default());
        let series = (0..devices).map(|number| catalog.series(device(number).as_str(), "temperature"));
        Self {
            engine,
            series: series.collect(),
            now,
            chance: fastrand::Rng::with_seed(1),
        }
    }

    /// A tenth of a second, in which a tenth of the devices is due: those that speak say about 20 and what `more` adds. What is handed to the engine then.
    pub fn next(&mut self, tenth: usize, speaks: impl Fn(usize) -> bool, more: impl Fn(usize) -> f64) -> [Input; 2] {
        self.now = self.now + Duration::from_millis(100);
        let mut batch = Batch::default();
        for device in (tenth % 10..self.series.len())
            .step_by(10)
            .filter(|device| speaks(*device))
        {
            batch.samples.push(Sample {
                series: self.series[device],
                retained: false,
                at: self.now,
                seen: self.now,
                value: 20.0 + self.chance.f64() + more(device),
            });
        }
        [Input::Batch(batch), Input::Tick(self.now)]
    }

    /// So many seconds.
    pub fn pass(&mut self, seconds: usize, speaks: impl Fn(usize, usize) -> bool) {
        for tenth in 0..10 * seconds {
            for input in self.next(tenth, |device| speaks(device, tenth / 10), |_| 0.0) {
                self.engine.handle(input, &mut Effects::default());
            }
        }
    }
}

fn entity(name: EntityName, kind: EntityKind) -> TopologyChange {
    let entity = Entity {
        name,
        kind,
        period: None,
        group: None,
        attributes: BTreeMap::new(),
    };
    TopologyChange::Entity { entity }
}

const fn edge(from: EntityName, to: EntityName) -> TopologyChange {
    TopologyChange::Edge {
        from,
        edge: EdgeKind::ConnectsVia,
        to,
    }
}
