//! Queries over HTTP have the shapes and the values of a real Prometheus' answers; rules on the engine's clock become symptoms; the rule pack passes its tests.

mod harness;

use std::collections::BTreeMap;
use std::path::Path;
use std::process::Command;
use std::sync::Arc;
use std::time::Duration;

use harness::{Server, find, free_port, skipped};
use jurymast::agent::engine_setup;
use jurymast::config::Config;
use jurymast::detect::Sequential;
use jurymast::diagnose::Library;
use jurymast::engine::{Effects, Engine, Input, Record};
use jurymast::model::symptom::Finding;
use jurymast::model::{Batch, Catalog, Sample, SymptomKind, Timestamp};
use jurymast::plan::Playbooks;
use jurymast::promql::answer::{self, Params};
use jurymast::promql::fixture::Fixture;
use jurymast::promql::rules::{RuleFile, UnitFile};
use jurymast::promql::{Options, Semantics};
use serde_json::Value;

/// A quiet past that both know of.
const START: i64 = 1_700_000_000;

const SERIES: [&str; 6] = [
    "http_requests_total{job=\"api\", instance=\"a:80\", code=\"200\"} 0+10x60",
    "http_requests_total{job=\"api\", instance=\"b:80\", code=\"500\"} 5+3x30 0+3x29",
    "temperature{entity=\"pump 1\", quote=\"\\\"\"} 20.5 21x20 _x5 30-0.25x30",
    "latency_bucket{le=\"0.1\"} 0+1x60",
    "latency_bucket{le=\"1\"} 0+3x60",
    "latency_bucket{le=\"+Inf\"} 0+4x60",
];

fn store() -> Fixture {
    let mut store = Fixture::default();
    for line in SERIES {
        store.load(line, START * 1000, 15_000).unwrap();
    }
    store
}

/// The same series as `OpenMetrics`, from which promtool makes blocks.
fn open_metrics() -> String {
    let mut text = String::new();
    for (labels, points) in store().series() {
        for point in points {
            let pairs: Vec<String> = labels
                .iter()
                .filter(|(name, _)| *name != "__name__")
                .map(|(name, value)| format!("{name}=\"{}\"", value.replace('\\', "\\\\").replace('"', "\\\"")))
                .collect();
            text += &format!(
                "{}{{{}}} {} {}\n",
                labels.name(),
                pairs.join(","),
                point.value,
                point.at / 1000
            );
        }
    }
    text + "# EOF\n"
}

async fn ask(port: u16, path: &str, pairs: &[(&str, &str)]) -> Value {
    let url = reqwest::Url::parse_with_params(&format!("http://127.0.0.1:{port}/api/v1/{path}"), pairs).unwrap();
    reqwest::get(url).await.unwrap().json().await.unwrap()
}

/// Numbers as text may differ in the last digit; everything else must be the same.
fn same(ours: &Value, theirs: &Value) -> bool {
    match (ours, theirs) {
        (Value::Object(a), Value::Object(b)) => {
            a.len() == b.len()
                && a.iter()
                    .all(|(key, value)| b.get(key).is_some_and(|other| same(value, other)))
        }
        (Value::Array(a), Value::Array(b)) => a.len() == b.len() && a.iter().zip(b).all(|(a, b)| same(a, b)),
        (Value::Number(a), Value::Number(b)) => a.as_f64() == b.as_f64(),
        (Value::String(a), Value::String(b)) => {
            let near = |a: f64, b: f64| (a - b).abs() <= 1e-12 * a.abs().max(b.abs());
            a == b || matches!((a.parse::<f64>(), b.parse::<f64>()), (Ok(a), Ok(b)) if near(a, b))
        }
        (a, b) => a == b,
    }
}

/// The order of a vector's elements means nothing, and notes are of later versions.
fn tidy(mut answer: Value) -> Value {
    if let Some(map) = answer.as_object_mut() {
        map.remove("infos");
        map.remove("warnings");
    }
    if let Some(list) = answer.pointer_mut("/data/result").and_then(Value::as_array_mut)
        && list.iter().all(|element| element.get("metric").is_some())
    {
        list.sort_by_key(|element| element["metric"].to_string());
    }
    answer
}

#[tokio::test]
async fn answers_are_those_of_a_real_prometheus() {
    let _ = rustls::crypto::ring::default_provider().install_default();
    if skipped("PromQL answers", &["prometheus", "promtool"]) {
        return;
    }
    let dir = tempfile::tempdir().unwrap();
    let (text, data) = (dir.path().join("om.txt"), dir.path().join("data"));
    std::fs::write(&text, open_metrics()).unwrap();
    let made = Command::new(find("promtool").unwrap())
        .args(["tsdb", "create-blocks-from", "openmetrics"])
        .args([&text, &data])
        .output()
        .unwrap();
    assert!(made.status.success(), "{}", String::from_utf8_lossy(&made.stderr));
    let rules = "groups:\n- name: g\n  interval: 1s\n  rules:\n  - alert: Always\n    expr: vector(3) > 1\n    labels: {severity: page}\n    annotations: {summary: 'at {{ $value }}'}\n  - alert: Later\n    expr: vector(1)\n    for: 1h\n  - record: a:b\n    expr: vector(2)\n    labels: {x: y}\n";
    std::fs::write(dir.path().join("rules.yml"), rules).unwrap();
    std::fs::write(dir.path().join("prometheus.yml"), "rule_files: [rules.yml]\n").unwrap();
    let port = free_port();
    let listen = format!("--web.listen-address=127.0.0.1:{port}");
    let arguments = [
        "--config.file=prometheus.yml",
        "--storage.tsdb.path=data",
        "--storage.tsdb.retention.time=100y",
        &listen,
    ];
    let _server = Server::start(dir.path(), &find("prometheus").unwrap(), &arguments);
    let mut up = false;
    for _ in 0..600 {
        up = reqwest::get(format!("http://127.0.0.1:{port}/-/ready"))
            .await
            .is_ok_and(|answer| answer.status().is_success());
        if up {
            break;
        }
        tokio::time::sleep(Duration::from_millis(50)).await;
    }
    assert!(up, "Prometheus did not come up");
    let store = store();
    let options = Options {
        semantics: Semantics::V2,
        ..Options::default()
    };
    let at = (START + 600).to_string();
    let (start, end) = ((START + 60).to_string(), (START + 900).to_string());
    let mut wrong = Vec::new();
    let mut check = |what: &str, ours: Value, theirs: Value| {
        if !same(&tidy(ours.clone()), &tidy(theirs.clone())) {
            wrong.push(format!("{what}\n  ours:   {}\n  theirs: {}", tidy(ours), tidy(theirs)));
        }
    };
    let params = |pairs: &[(&str, &str)]| {
        Params(
            pairs
                .iter()
                .map(|(name, value)| ((*name).to_owned(), (*value).to_owned()))
                .collect(),
        )
    };
    let told = |answer: Result<Value, answer::Refused>| answer.unwrap_or_else(|refused| refused.body());
    for query in [
        "http_requests_total",
        "sum by (job) (rate(http_requests_total[5m]))",
        "increase(http_requests_total{code=\"500\"}[10m])",
        "temperature",
        "temperature offset 2m + 1",
        "avg_over_time(temperature[7m])",
        "max_over_time(sum(rate(http_requests_total[1m]))[5m:30s])",
        "histogram_quantile(0.9, rate(latency_bucket[5m]))",
        "predict_linear(temperature[5m], 3600)",
        "http_requests_total / on (job) group_left sum by (job) (http_requests_total)",
        "topk(1, http_requests_total)",
        "label_replace(temperature, \"n\", \"$1\", \"entity\", \"pump (.*)\")",
        "absent(nothing{a=\"b\"})",
        "stddev(http_requests_total) > bool 1",
        "time()",
        "\"text\"",
        "1/0",
        "http_requests_total[1m]",
        "nothing",
    ] {
        let pairs = [("query", query), ("time", at.as_str())];
        check(
            query,
            told(answer::query(&store, &params(&pairs), 0, options)),
            ask(port, "query", &pairs).await,
        );
        if query.starts_with('"') || query.ends_with("[1m]") {
            continue;
        }
        let pairs = [
            ("query", query),
            ("start", start.as_str()),
            ("end", end.as_str()),
            ("step", "37"),
        ];
        let what = format!("range: {query}");
        check(
            &what,
            told(answer::query_range(&store, &params(&pairs), options)),
            ask(port, "query_range", &pairs).await,
        );
    }
    let window = [("start", start.as_str()), ("end", end.as_str())];
    let matched = [("match[]", "{job=\"api\"}"), window[0], window[1]];
    check(
        "series",
        told(answer::series(&store, &params(&matched), 0)),
        ask(port, "series", &matched).await,
    );
    check(
        "labels",
        told(answer::labels(&store, &params(&matched), 0)),
        ask(port, "labels", &matched).await,
    );
    for label in ["code", "__name__"] {
        let theirs = ask(port, &format!("label/{label}/values"), &matched).await;
        check(
            label,
            told(answer::label_values(&store, label, &params(&matched), 0)),
            theirs,
        );
    }
    // Errors: the same kind; the words are each one's own.
    for (path, pairs) in [
        ("query", vec![("query", "up{")]),
        ("query", vec![("query", "up"), ("time", "soon")]),
        ("series", vec![]),
    ] {
        let ours = match path {
            "query" => told(answer::query(&store, &params(&pairs), 0, options)),
            _ => told(answer::series(&store, &params(&pairs), 0)),
        };
        let theirs = ask(port, path, &pairs).await;
        assert_eq!(
            (&ours["status"], &ours["errorType"]),
            (&theirs["status"], &theirs["errorType"]),
            "{path} {pairs:?}"
        );
    }
    assert!(wrong.is_empty(), "{}", wrong.join("\n"));
    // Rules and alerts: every key that Prometheus gives is there, of the same type, and what does not depend on the time is the same.
    let mut theirs = Value::Null;
    for _ in 0..200 {
        theirs = ask(port, "rules", &[]).await;
        let all = theirs["data"]["groups"][0]["rules"].as_array();
        if all.is_some_and(|rules| {
            rules.iter().all(|rule| rule["health"] == "ok")
                && rules[0]["alerts"].as_array().is_some_and(|alerts| !alerts.is_empty())
        }) {
            break;
        }
        tokio::time::sleep(Duration::from_millis(100)).await;
    }
    let mut engine = engine("rules: {interval: 1s}", &[("rules.yml", rules)]);
    let mut effects = Effects::default();
    engine.handle(Input::Tick(Timestamp::from_secs(START)), &mut effects);
    let alerts = ask(port, "alerts", &[]).await;
    let book = engine.rules().read();
    let groups = &book.as_ref().unwrap().groups;
    shape("rules", &answer::rules(groups, &Params::default()), &theirs);
    shape("alerts", &answer::alerts(groups), &alerts);
}

/// Times and paths differ by nature.
const OWN: [&str; 6] = [
    "lastEvaluation",
    "evaluationTime",
    "activeAt",
    "file",
    "query",
    "keepFiringSince",
];

fn shape(place: &str, ours: &Value, theirs: &Value) {
    match (ours, theirs) {
        (Value::Object(a), Value::Object(b)) => {
            for (key, value) in b {
                let own = a
                    .get(key)
                    .unwrap_or_else(|| panic!("{place}.{key} is missing in {ours}"));
                if OWN.contains(&key.as_str()) {
                    assert_eq!(
                        std::mem::discriminant(own),
                        std::mem::discriminant(value),
                        "{place}.{key}"
                    );
                } else {
                    shape(&format!("{place}.{key}"), own, value);
                }
            }
        }
        (Value::Array(a), Value::Array(b)) => {
            assert_eq!(a.len(), b.len(), "{place}: {ours} and {theirs}");
            for (a, b) in a.iter().zip(b) {
                shape(place, a, b);
            }
        }
        (Value::Number(a), Value::Number(b)) => assert_eq!(a.as_f64(), b.as_f64(), "{place}"),
        (a, b) => assert_eq!(a, b, "{place}"),
    }
}

fn engine(yaml: &str, files: &[(&str, &str)]) -> Engine {
    let mut config = Config::parse(yaml).unwrap_or_else(|error| panic!("{}", error.message));
    config.rules.alert_files = files
        .iter()
        .map(|(name, text)| ((*name).to_owned(), (*text).to_owned()))
        .collect();
    engine_of(&config, &Catalog::new())
}

fn engine_of(config: &Config, catalog: &Catalog) -> Engine {
    let (library, playbooks) = (Arc::new(Library::builtin()), Arc::new(Playbooks::builtin()));
    Engine::new(engine_setup(
        config,
        library,
        playbooks,
        catalog.clone(),
        Box::new(Sequential),
    ))
    .unwrap()
}

const HOT: &str = "groups:\n- name: g\n  interval: 10s\n  rules:\n  - record: entity:temp:avg1m\n    expr: avg_over_time(temp_celsius[1m])\n  - alert: Hot\n    expr: entity:temp:avg1m > 80\n    for: 20s\n    labels: {severity: critical}\n    annotations: {summary: '{{ $labels.entity }} is at {{ $value }}'}\n";

/// Two devices over MQTT, one of which grows hot and cools down again; ticks each second.
fn play(config: &Config, backwards: bool) -> Vec<String> {
    let catalog = Catalog::new();
    let mut engine = engine_of(config, &catalog);
    let mut effects = Effects::default();
    let mut log = Vec::new();
    for second in 0..400_i64 {
        let at = Timestamp::from_secs(START + second);
        let value = if (100..200).contains(&second) { 95.0 } else { 40.0 };
        let sample = |entity: &str, value: f64, at: Timestamp| Sample {
            series: catalog.series(entity, "temp.celsius"),
            retained: false,
            at,
            seen: Timestamp::from_secs(START + second),
            value,
        };
        let half = Timestamp::from_millis((START + second) * 1000 - 500);
        let mut samples = vec![
            sample("press-1", value, half),
            sample("press-1", value, at),
            sample("press-2", 40.0, at),
        ];
        if backwards {
            samples.reverse();
        }
        engine.handle(
            Input::Batch(Batch {
                samples,
                events: Vec::new(),
            }),
            &mut effects,
        );
        engine.handle(Input::Tick(at), &mut effects);
        log.extend(
            effects
                .log
                .drain(..)
                .map(|record| serde_json::to_string(&record).unwrap()),
        );
        effects.log.clear();
    }
    log
}

#[test]
fn an_alert_on_the_engine_s_clock_is_a_symptom_of_its_entity() {
    let mut config = Config::parse("rules: {interval: 15s}").unwrap_or_else(|error| panic!("{}", error.message));
    config.rules.alert_files = vec![("hot.yml".into(), HOT.into())];
    let log = play(&config, false);
    let findings: Vec<Finding> = log
        .iter()
        .filter_map(|line| match serde_json::from_str(line).unwrap() {
            Record::Finding { finding, .. } if finding.key().kind == SymptomKind::Alert => Some(finding),
            _ => None,
        })
        .collect();
    let [Finding::Raised(symptom), Finding::Cleared { key, at }] = &findings[..] else {
        panic!("{findings:?}");
    };
    assert_eq!(
        (symptom.key.entity.as_str(), symptom.key.signal.as_str()),
        ("press-1", "Hot")
    );
    assert!(
        symptom.evidence.text.contains("press-1 is at "),
        "{}",
        symptom.evidence.text
    );
    // Over 80 in the mean of a minute some 44 s after it began, then pending for 20 s, evaluated each 10 s.
    let after = symptom.raised.since(Timestamp::from_secs(START + 100)).as_secs();
    assert!((60..=80).contains(&after), "{after}");
    assert_eq!(*key, symptom.key);
    assert!(*at > symptom.raised);
    // The order of arrival within a tick means nothing.
    assert_eq!(log, play(&config, true));
    // Without rules nothing of it is there.
    config.rules.alert_files.clear();
    assert!(!play(&config, false).iter().any(|line| line.contains("Hot")));
}

#[test]
fn telemetry_by_mqtt_is_found_by_name_and_labels() {
    let config = Config::parse("rules: {history: 10m}").unwrap_or_else(|error| panic!("{}", error.message));
    let catalog = Catalog::new();
    let mut engine = engine_of(&config, &catalog);
    let mut effects = Effects::default();
    for second in 0..60 {
        let at = Timestamp::from_secs(START + second);
        let sample = Sample {
            series: catalog.series("press-1", "temp.celsius"),
            retained: false,
            at,
            seen: at,
            value: second as f64,
        };
        engine.handle(
            Input::Batch(Batch {
                samples: vec![sample],
                events: Vec::new(),
            }),
            &mut effects,
        );
        engine.handle(Input::Tick(at), &mut effects);
    }
    let book = engine.rules().read();
    let book = book.as_ref().unwrap();
    let pairs = [
        ("query", "max_over_time(temp_celsius{entity=\"press-1\"}[30s])"),
        ("time", "1700000059"),
    ];
    let params = Params(pairs.map(|(name, value)| (name.to_owned(), value.to_owned())).to_vec());
    let answer = answer::query(&book.history, &params, 0, book.options).unwrap();
    assert_eq!(answer["data"]["result"][0]["value"][1], "59", "{answer}");
    assert_eq!(answer["data"]["result"][0]["metric"]["signal"], "temp.celsius");
}

/// Every rule of the pack has a test in which it fires and one in which it does not; promtool agrees.
#[test]
fn the_rule_pack_passes_its_tests() {
    let root = Path::new(env!("CARGO_MANIFEST_DIR")).join("rules/alerts");
    let mut tested: BTreeMap<String, usize> = BTreeMap::new();
    for broker in ["mosquitto", "emqx", "hivemq", "vernemq"] {
        let rules = std::fs::read_to_string(root.join(format!("{broker}.yml"))).unwrap();
        let file = RuleFile::parse(broker, &rules).unwrap_or_else(|errors| panic!("{errors:?}"));
        let path = root.join(format!("tests/{broker}.yml"));
        let unit = UnitFile::parse(&std::fs::read_to_string(&path).unwrap()).unwrap();
        for semantics in [Semantics::V3, Semantics::V2] {
            let results = unit.run(
                &[(broker.to_owned(), file.clone())],
                Options {
                    semantics,
                    ..Options::default()
                },
            );
            for result in results {
                assert!(
                    result.problems.is_empty(),
                    "{broker}: {}: {}",
                    result.test,
                    result.problems.join("\n")
                );
                for alert in result.expects {
                    *tested.entry(alert).or_default() += 1;
                }
            }
        }
        for rule in file.rules() {
            assert!(tested.contains_key(rule.name()), "no test expects {}", rule.name());
        }
        if !skipped("the rule pack by promtool", &["promtool"]) {
            let answer = Command::new(find("promtool").unwrap())
                .args(["test", "rules"])
                .arg(&path)
                .output()
                .unwrap();
            assert!(answer.status.success(), "{}", String::from_utf8_lossy(&answer.stdout));
        }
    }
}

/// What the dashboard asks is PromQL that is answered here, and what its variables ask is served.
#[test]
fn the_dashboard_asks_what_is_answered() {
    let path = Path::new(env!("CARGO_MANIFEST_DIR")).join("deploy/grafana/jurymast.json");
    let dashboard: Value = serde_json::from_str(&std::fs::read_to_string(path).unwrap()).unwrap();
    let mut asked = 0;
    for panel in dashboard["panels"].as_array().unwrap() {
        for target in panel["targets"].as_array().unwrap() {
            let query = target["expr"]
                .as_str()
                .unwrap()
                .replace("$signal", "temp_celsius")
                .replace("$entity", ".+");
            let params = Params(vec![("query".into(), query.clone())]);
            let answer = answer::query(&store(), &params, START * 1000, Options::default());
            assert!(answer.is_ok(), "{query}: {answer:?}");
            asked += 1;
        }
    }
    assert!(asked >= 10);
}

/// The command and promtool say the same of the same files: of those that pass, and of those that do not.
#[test]
fn the_command_ends_as_promtool_does() {
    let rules = "groups:\n- name: g\n  rules:\n  - alert: Down\n    expr: up == 0\n    for: 2m\n    labels: {severity: page}\n    annotations: {summary: '{{ $labels.job }} {{ $value }} {{ $value | humanizeDuration }}'}\n  - record: job:up:sum\n    expr: sum by (job) (up)\n";
    let unit = |at: &str, annotation: &str, sum: &str| {
        format!(
            "rule_files: [rules.yml]\nevaluation_interval: 1m\ntests:\n- interval: 1m\n  input_series:\n  - series: 'up{{job=\"a\", instance=\"1\"}}'\n    values: '1 0x10'\n  - series: 'up{{job=\"a\", instance=\"2\"}}'\n    values: '1x11'\n  alert_rule_test:\n  - eval_time: {at}\n    alertname: Down\n    exp_alerts:\n    - exp_labels: {{severity: page, job: a, instance: '1'}}\n      exp_annotations: {{summary: '{annotation}'}}\n  promql_expr_test:\n  - expr: job:up:sum\n    eval_time: 5m\n    exp_samples: [{{labels: 'job:up:sum{{job=\"a\"}}', value: {sum}}}]\n"
        )
    };
    let dir = tempfile::tempdir().unwrap();
    std::fs::write(dir.path().join("rules.yml"), rules).unwrap();
    let ends = |program: &Path, arguments: &[&str], path: &Path| {
        let answer = Command::new(program).args(arguments).arg(path).output().unwrap();
        (
            answer.status.code(),
            String::from_utf8_lossy(&answer.stdout).into_owned() + &String::from_utf8_lossy(&answer.stderr),
        )
    };
    for (place, (at, annotation, sum, good)) in [
        ("3m", "a 0 0s", "1", true),
        ("2m", "a 0 0s", "1", false),
        ("3m", "a 0", "1", false),
        ("3m", "a 0 0s", "2", false),
    ]
    .into_iter()
    .enumerate()
    {
        let path = dir.path().join(format!("unit{place}.yml"));
        std::fs::write(&path, unit(at, annotation, sum)).unwrap();
        let (code, told) = ends(
            Path::new(env!("CARGO_BIN_EXE_jurymast")),
            &["test", "rules", "--prometheus", "2"],
            &path,
        );
        assert_eq!(code, Some(i32::from(!good)), "{told}");
        if !skipped("unit tests by promtool", &["promtool"]) {
            let (theirs, text) = ends(&find("promtool").unwrap(), &["test", "rules"], &path);
            assert_eq!(theirs, code, "{text}");
        }
    }
    // A folder with the rules in it is tested as a whole.
    std::fs::remove_file(dir.path().join("unit1.yml")).unwrap();
    std::fs::remove_file(dir.path().join("unit2.yml")).unwrap();
    std::fs::remove_file(dir.path().join("unit3.yml")).unwrap();
    let (code, told) = ends(
        Path::new(env!("CARGO_BIN_EXE_jurymast")),
        &["test", "rules"],
        dir.path(),
    );
    assert_eq!(code, Some(0), "{told}");
    assert!(told.contains("1 unit tests, 0 failed"), "{told}");
}

/// A reload with one rule more keeps what the others know; one without rules takes their symptoms back.
#[test]
fn a_reload_keeps_alerts_of_the_same_rules() {
    let config = |files: &[(&str, &str)]| {
        let mut config = Config::parse("rules: {interval: 15s}").unwrap_or_else(|error| panic!("{}", error.message));
        config.rules.alert_files = files
            .iter()
            .map(|(name, text)| ((*name).to_owned(), (*text).to_owned()))
            .collect();
        config
    };
    let other = "groups:\n- name: o\n  rules:\n  - alert: Other\n    expr: absent(nothing)\n";
    let catalog = Catalog::new();
    let mut engine = engine_of(&config(&[("hot.yml", HOT)]), &catalog);
    let mut log = String::new();
    let mut run = |engine: &mut Engine, from: i64, to: i64| {
        let mut effects = Effects::default();
        for second in from..to {
            let at = Timestamp::from_secs(START + second);
            let sample = Sample {
                series: catalog.series("press-1", "temp_celsius"),
                retained: false,
                at,
                seen: at,
                value: 95.0,
            };
            engine.handle(
                Input::Batch(Batch {
                    samples: vec![sample],
                    events: Vec::new(),
                }),
                &mut effects,
            );
            engine.handle(Input::Tick(at), &mut effects);
        }
        let found = effects
            .log
            .iter()
            .map(|record| serde_json::to_string(record).unwrap())
            .filter(|line| line.contains("\"alert\""))
            .collect::<Vec<_>>()
            .join("\n");
        log += &found;
        found
    };
    assert!(run(&mut engine, 0, 100).contains("Hot"));
    let setup = |config: &Config| {
        let (library, playbooks) = (Arc::new(Library::builtin()), Arc::new(Playbooks::builtin()));
        engine_setup(config, library, playbooks, catalog.clone(), Box::new(Sequential))
    };
    engine
        .reload(setup(&config(&[("hot.yml", HOT), ("other.yml", other)])))
        .unwrap();
    let found = run(&mut engine, 100, 200);
    assert!(found.contains("Other") && !found.contains("Hot"), "{found}");
    engine.reload(setup(&config(&[]))).unwrap();
    let found = run(&mut engine, 200, 210);
    assert!(
        found.contains("Hot") && found.contains("Other") && found.contains("cleared"),
        "{found}"
    );
}
