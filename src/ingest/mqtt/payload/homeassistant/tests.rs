//! Discovery, states and templates, as devices in use send them.

use super::template::{Template, Templates};
use crate::ingest::mqtt::payload::tests::{Bench, said};

fn feed(bench: &mut Bench, topic: &str, payload: &str) -> Vec<String> {
    let (batch, notes) = bench.feed(topic, payload.as_bytes());
    let mut all: Vec<String> = bench
        .words(&batch)
        .iter()
        .map(|word| word.split('@').next().unwrap().to_owned())
        .collect();
    all.extend(said(&batch.events));
    match notes {
        Ok(notes) => all.extend(
            notes
                .counts()
                .into_iter()
                .filter(|(_, count)| *count > 0)
                .map(|(word, _)| format!("noted {word}")),
        ),
        Err(error) => all.push(format!("error {}", error.reason())),
    }
    all
}

const BOILER: &str = r#"{"name":"Boiler temperature","stat_t":"~/state","val_tpl":"{{ value_json.temp }}","avty_t":"~/avail","exp_aft":120,"uniq_id":"boiler_temp","~":"boiler","dev":{"ids":["boiler"],"mf":"Acme"}}"#;

#[test]
fn a_device_is_announced_and_then_its_states_and_its_absence_are_read() {
    let mut bench = Bench::new("{filter: '#', decode: homeassistant}");
    assert_eq!(
        feed(&mut bench, "boiler/state", r#"{"temp":70}"#),
        ["noted unannounced"]
    );
    assert_eq!(
        feed(&mut bench, "homeassistant/sensor/boiler/temp/config", BOILER),
        ["boiler Device", "boiler -> broker"]
    );
    assert_eq!(
        feed(&mut bench, "boiler/state", r#"{"temp":71.5}"#),
        ["boiler/temp=71.5", "boiler period 2m"]
    );
    assert_eq!(feed(&mut bench, "boiler/state", r#"{"temp":"unknown"}"#), [""; 0]);
    assert_eq!(feed(&mut bench, "boiler/avail", "offline"), ["boiler Lost"]);
    assert_eq!(feed(&mut bench, "boiler/avail", "??"), ["noted presence"]);
    assert_eq!(
        feed(&mut bench, "homeassistant/sensor/boiler/temp/config", ""),
        ["noted empty"]
    );
    assert_eq!(
        feed(&mut bench, "boiler/state", r#"{"temp":71.5}"#),
        ["noted unannounced"]
    );
}

/// A broker tells retained messages in an order of its own.
#[test]
fn a_retained_word_that_came_before_its_announcement_is_not_lost() {
    let mut bench = Bench::new("{filter: '#', decode: homeassistant}");
    bench.retained = true;
    assert_eq!(feed(&mut bench, "boiler/avail", "offline"), ["noted unannounced"]);
    let told = feed(&mut bench, "homeassistant/sensor/boiler/temp/config", BOILER);
    assert_eq!(told.last().unwrap(), "boiler Lost");
}

#[test]
fn one_message_may_announce_a_whole_device() {
    let mut bench = Bench::new("{filter: '#', decode: homeassistant}");
    let config = r#"{"dev":{"ids":"ea3","name":"Kitchen","mdl":"K1","via_device":"hub"},"stat_t":"k/state","avty":[{"t":"k/up"}],
        "cmps":{"t":{"p":"sensor","value_template":"{{ value_json.t | float | round(1) }}"},
                "leak":{"p":"binary_sensor","value_template":"{{ value_json['leak'] }}","pl_on":"True","pl_off":"False"}}}"#;
    assert_eq!(
        feed(&mut bench, "homeassistant/device/ea3/config", config),
        ["ea3 Device", "ea3 -> hub"]
    );
    assert_eq!(
        feed(&mut bench, "k/state", r#"{"t":"21.27","leak":true}"#),
        ["ea3/leak=1", "ea3/t=21.3"]
    );
    assert_eq!(feed(&mut bench, "k/up", "online"), ["ea3 Online"]);
    assert_eq!(
        feed(&mut bench, "homeassistant/status", "offline"),
        ["homeassistant Service", "homeassistant Lost"]
    );
}

#[test]
fn templates_do_what_jinja_does_and_end() {
    let templates = Templates::default();
    let apply = |source: &str, said: &str| {
        let json = serde_json::from_str(said).ok();
        templates.apply(&Template::of(Some(source))?, said, json.as_ref())
    };
    for (source, said, expected) in [
        ("{{ value }}", "21", Some("21")),
        (
            "{{ value_json.ENERGY['Power'] }}",
            r#"{"ENERGY":{"Power":120}}"#,
            Some("120"),
        ),
        ("{{ value_json.t * 1.8 + 32 }}", r#"{"t":100}"#, Some("212.0")),
        ("{{ value | float(0) / 10 }}", "215", Some("21.5")),
        ("{{ value_json.x | is_defined }}", r#"{"y":1}"#, None),
        ("{{ value_json.x | default('none') }}", r#"{"y":1}"#, Some("none")),
        (
            "{% if value_json.s == 'on' %}ON{% else %}OFF{% endif %}",
            r#"{"s":"on"}"#,
            Some("ON"),
        ),
        ("{{ iif(value == '1', 'ON', 'OFF') }}", "1", Some("ON")),
        ("{{ value_json.list[1].v }}", r#"{"list":[{"v":1},{"v":2}]}"#, Some("2")),
    ] {
        assert_eq!(apply(source, said).unwrap().as_deref(), expected, "{source}");
    }
    assert!(apply("{{ value | nosuch }}", "1").is_err());
    assert!(apply("{{ value", "1").is_err());
    assert!(
        apply(
            "{% for a in range(10000) %}{% for b in range(10000) %}x{% endfor %}{% endfor %}",
            "1"
        )
        .is_err()
    );
}

/// `Zigbee2MQTT` announces its devices to Home Assistant as well; they are not to be known twice.
#[test]
fn what_another_convention_reads_is_left_to_it() {
    let mut bench = Bench::new("{filter: '#', decode: auto}");
    let config = r#"{"stat_t":"zigbee2mqtt/door","val_tpl":"{{ value_json.battery }}","exp_aft":60,"avty":[{"t":"zigbee2mqtt/bridge/state"}],"dev":{"ids":["zigbee2mqtt_0x1"],"name":"door"}}"#;
    assert_eq!(
        feed(&mut bench, "homeassistant/sensor/0x1/battery/config", config),
        [""; 0]
    );
    let told = feed(&mut bench, "zigbee2mqtt/door", r#"{"battery":87}"#);
    assert_eq!(told[0], "dev/battery=87");
}
