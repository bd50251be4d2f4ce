//! The plant's config, as a user would write it.

use std::fmt::Write as _;

use super::devices::{DEVICES, GATEWAYS, PERIOD, device, gateway};

/// Where everything is, seen from the agent.
pub struct Addresses {
    /// The broker.
    pub broker: u16,
    /// The store.
    pub store: u16,
    /// The ingest services a, b, c.
    pub ingest: [u16; 3],
    /// Where the front is switched.
    pub front_admin: u16,
}

/// The config's text.
pub fn config(at: &Addresses) -> String {
    let mut text = format!(
        "\
agent: {{name: jurymast, data_dir: data}}
api: {{listen: '127.0.0.1:0'}}
sources:
  mqtt:
    - name: plant
      url: mqtt://127.0.0.1:{broker}
      broker: broker
      subscribe:
        - {{filter: 'plant/{{gateway}}/{{device}}/telemetry', decode: json, entity: '{{device}}', kind: device, via: '{{gateway}}', json: {{time: $.ts}}}}
        - {{filter: 'plant/{{gateway}}/status', decode: presence, entity: '{{gateway}}', kind: gateway}}
        - {{filter: 'service/{{service}}/status', decode: presence, entity: '{{service}}', kind: service}}
        - {{filter: 'host/{{host}}/heartbeat', decode: scalar, entity: '{{host}}', kind: host, signal: heartbeat}}
  scrape:
    - job: ingest
      interval: 1s
      timeout: 400ms
      kind: service
      targets:
        - {{address: '127.0.0.1:{a}', entity: ingest-a}}
        - {{address: '127.0.0.1:{b}', entity: ingest-b}}
        - {{address: '127.0.0.1:{c}', entity: ingest-c}}
    - job: store
      interval: 500ms
      timeout: 400ms
      kind: database
      targets: [{{address: '127.0.0.1:{store}', entity: store}}]
topology:
  entities:
    - {{name: broker, kind: broker}}
    - {{name: store, kind: database}}
",
        broker = at.broker,
        store = at.store,
        a = at.ingest[0],
        b = at.ingest[1],
        c = at.ingest[2],
    );
    let period = PERIOD.as_millis();
    for (letter, port) in ["a", "b", "c"].iter().zip(at.ingest) {
        let _ = writeln!(text, "    - {{name: host-{letter}, kind: host, period: {period}ms}}");
        let _ = writeln!(
            text,
            "    - {{name: ingest-{letter}, kind: service, attributes: {{address: '127.0.0.1:{port}'}}}}"
        );
    }
    for gateway_number in 0..GATEWAYS {
        let _ = writeln!(text, "    - {{name: {}, kind: gateway}}", gateway(gateway_number));
        for number in 0..DEVICES {
            let name = device(gateway_number, number);
            let _ = writeln!(text, "    - {{name: {name}, kind: device, period: {period}ms}}");
        }
    }
    text += "  edges:\n";
    for letter in ["a", "b", "c"] {
        let _ = writeln!(
            text,
            "    - {{from: ingest-{letter}, edge: runs_on, to: host-{letter}}}"
        );
        let _ = writeln!(text, "    - {{from: ingest-{letter}, edge: depends_on, to: broker}}");
        let _ = writeln!(text, "    - {{from: ingest-{letter}, edge: depends_on, to: store}}");
    }
    for gateway_number in 0..GATEWAYS {
        let name = gateway(gateway_number);
        let _ = writeln!(text, "    - {{from: {name}, edge: connects_via, to: broker}}");
        for number in 0..DEVICES {
            let _ = writeln!(
                text,
                "    - {{from: {}, edge: connects_via, to: {name}}}",
                device(gateway_number, number)
            );
        }
    }
    let _ = write!(
        text,
        "\
services:
  - name: ingest
    active: ingest-a
    standbys: [{{entity: ingest-b}}, {{entity: ingest-c}}]
    rto: 10s
    single_writer: true
    playbook: http-front-switch
    vars: {{front: 'http://127.0.0.1:{admin}'}}
    probe: {{uses: http, with: {{url: 'http://{{address}}/healthz'}}, timeout: 300ms, interval: 1s}}
detect:
  stuck: {{warm_up: 16}}
",
        admin = at.front_admin,
    );
    text
}
