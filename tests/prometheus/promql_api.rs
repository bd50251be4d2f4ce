//! Queries over HTTP have the shapes and the values of a real Prometheus' answers.

use std::path::Path;
use std::process::Command;
use std::time::Duration;

use jurymast::engine::{Effects, Input};
use jurymast::model::{Catalog, Timestamp};
use jurymast::promql::answer::{self, Params};
use jurymast::promql::fixture::Fixture;
use jurymast::promql::{Options, Semantics};
use serde_json::Value;

use crate::harness::answers::{same, tidy};
use crate::harness::engine::{engine_of, with_rules};
use crate::harness::{Server, find, free_port, skipped};

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
        let (ours, theirs) = (tidy(ours, &[]), tidy(theirs, &[]));
        if !same(&ours, &theirs) {
            wrong.push(format!("{what}\n  ours:   {ours}\n  theirs: {theirs}"));
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
    for _ in 0..600 {
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
    let mut engine = engine_of(
        &with_rules("rules: {interval: 1s}", &[("rules.yml", rules)]),
        &Catalog::new(),
    );
    let mut effects = Effects::default();
    engine.handle(Input::Tick(Timestamp::from_secs(START)), &mut effects);
    let alerts = ask(port, "alerts", &[]).await;
    let book = engine.rules().read();
    let groups = &book.as_ref().unwrap().groups;
    shape("rules", &answer::rules(groups, &Params::default()).unwrap(), &theirs);
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
