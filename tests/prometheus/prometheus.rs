//! Prometheus as it is: the recorded cases of the exposition formats, the bodies of alerts, and a real server's own metrics.

use std::collections::{BTreeMap, BTreeSet};
use std::path::Path;
use std::time::{Duration, Instant};

use jurymast::ingest::prometheus::exposition::{Format, parse, split_series};
use serde_json::Value;

use crate::harness::{self, PATIENCE, Server, free_port, skipped};

type Found = (String, BTreeMap<String, String>, f64, Option<i64>);

fn data(name: &str) -> Option<String> {
    std::fs::read_to_string(harness::data(&format!("ecosystem/{name}"))?).ok()
}

fn read(text: &str, format: Format) -> Result<Vec<Found>, String> {
    let mut found = Vec::new();
    parse(text.as_bytes(), format, |line| {
        let parts = split_series(line.series);
        found.push((parts.name, parts.labels.into_iter().collect(), line.value, line.at_ms));
    })
    .map(|()| found)
    .map_err(|error| error.to_string())
}

#[test]
fn every_recorded_case_of_the_exposition_formats_is_read_or_refused() {
    let Some(cases) = data("exposition/cases.jsonl") else {
        return;
    };
    let mut wrong = Vec::new();
    for case in cases.lines().map(|line| serde_json::from_str::<Value>(line).unwrap()) {
        let format = match case["format"].as_str().unwrap() {
            "openmetrics-1.0" => Format::OpenMetrics,
            _ => Format::Text,
        };
        let found = read(case["text"].as_str().unwrap(), format);
        let right = match &case["expect"] {
            Value::String(text) if text.starts_with("reject") => found.is_err(),
            // Duplicates are the scrape's business: the parser hands both out.
            Value::String(text) if text.starts_with("first sample") => found.as_ref().is_ok_and(|all| all.len() == 2),
            Value::String(_) => true,
            Value::Array(expected) => {
                let expected: Vec<Found> = expected
                    .iter()
                    .map(|sample| {
                        (
                            sample["name"].as_str().unwrap().to_owned(),
                            serde_json::from_value(sample["labels"].clone()).unwrap(),
                            sample["value"].as_f64().unwrap(),
                            sample["ts_ms"].as_i64(),
                        )
                    })
                    .collect();
                found.as_ref() == Ok(&expected)
            }
            _ => false,
        };
        if !right {
            wrong.push(format!("{}: {found:?}", case["name"]));
        }
    }
    assert!(wrong.is_empty(), "{}", wrong.join("\n"));
}

async fn get(url: &str) -> Option<String> {
    let answer = reqwest::get(url).await.ok()?.error_for_status().ok()?;
    answer.text().await.ok()
}

#[tokio::test]
async fn a_real_server_s_own_metrics_are_the_series_that_it_stores() {
    let _ = rustls::crypto::ring::default_provider().install_default();
    if skipped("a real Prometheus' own metrics", &["prometheus"]) {
        return;
    }
    let port = free_port();
    let folder = tempfile::tempdir().unwrap();
    let config = format!(
        "scrape_configs: [{{job_name: own, scrape_interval: 1s, scrape_timeout: 1s, static_configs: [{{targets: ['127.0.0.1:{port}']}}]}}]\n"
    );
    let _server = Server::prometheus(folder.path(), port, &config);
    let base = format!("http://127.0.0.1:{port}");
    let until = Instant::now() + Duration::from_secs(30);
    // Series appear as the server does new things, so both sides are read until they agree.
    loop {
        let ours: Option<BTreeSet<String>> = get(&format!("{base}/metrics")).await.map(|text| {
            let samples = read(&text, Format::Text).unwrap();
            samples
                .into_iter()
                .map(|(name, labels, ..)| format!("{name}{labels:?}"))
                .collect()
        });
        let theirs: BTreeSet<String> = get(&format!("{base}/api/v1/query?query=%7Bjob%3D%22own%22%7D"))
            .await
            .and_then(|text| serde_json::from_str::<Value>(&text).ok())
            .and_then(|answer| serde_json::from_value(answer["data"]["result"].clone()).ok())
            .unwrap_or_else(Vec::<Value>::new)
            .into_iter()
            .map(|row| {
                let mut labels: BTreeMap<String, String> = serde_json::from_value(row["metric"].clone()).unwrap();
                let name = labels.remove("__name__").unwrap();
                labels.retain(|label, _| label != "job" && label != "instance");
                format!("{name}{labels:?}")
            })
            .filter(|series| !series.starts_with("scrape_") && series != "up{}")
            .collect();
        if let Some(ours) = ours {
            if ours.len() > 300 && ours == theirs {
                return;
            }
            assert!(
                Instant::now() < until,
                "only ours: {:?}\nonly theirs: {:?}",
                ours.difference(&theirs).collect::<Vec<_>>(),
                theirs.difference(&ours).collect::<Vec<_>>()
            );
        }
        assert!(Instant::now() < until, "Prometheus never answered");
        tokio::time::sleep(Duration::from_millis(300)).await;
    }
}

/// Jurymast is listed as one more Alertmanager: what Prometheus' rules find is evidence at once, and is over when they say so.
#[tokio::test]
async fn a_real_prometheus_tells_us_as_it_tells_an_alertmanager() {
    if skipped("alerts of a real Prometheus", &["prometheus"]) {
        return;
    }
    let _ = rustls::crypto::ring::default_provider().install_default();
    let dir = tempfile::tempdir().unwrap();
    let (port, api, target) = (free_port(), free_port(), free_port());
    let own = "topology: {entities: [{name: pump-1, kind: device}]}\n";
    let config = format!("agent: {{name: jurymast, data_dir: data}}\napi: {{listen: '127.0.0.1:{api}'}}\n{own}");
    std::fs::write(dir.path().join("jurymast.yml"), config).unwrap();
    let binary = Path::new(env!("CARGO_BIN_EXE_jurymast"));
    let _agent = Server::start(dir.path(), binary, &["run", "-c", "jurymast.yml"]);
    let rules = "groups: [{name: g, rules: [{alert: TargetDown, expr: 'up == 0', labels: {entity: pump-1}}]}]\n";
    std::fs::write(dir.path().join("rules.yml"), rules).unwrap();
    let config = format!(
        "global: {{evaluation_interval: 1s}}\nrule_files: [rules.yml]\nalerting: {{alertmanagers: [{{static_configs: [{{targets: ['127.0.0.1:{api}']}}]}}]}}\n\
         scrape_configs: [{{job_name: own, scrape_interval: 1s, scrape_timeout: 1s, static_configs: [{{targets: ['127.0.0.1:{target}']}}]}}]\n"
    );
    let _prometheus = Server::prometheus(dir.path(), port, &config);
    let symptoms = async || {
        let text = get(&format!("http://127.0.0.1:{api}/api/status"))
            .await
            .unwrap_or_default();
        let status: Value = serde_json::from_str(&text).unwrap_or_default();
        let of = |view: &&Value| view["name"] == "pump-1";
        let found = status["entities"].as_array().into_iter().flatten().find(of);
        found.map_or_else(String::new, |view| view["symptoms"].to_string())
    };
    let begin = Instant::now();
    while !symptoms().await.contains("TargetDown") {
        assert!(begin.elapsed() < PATIENCE, "no alert came");
        tokio::time::sleep(Duration::from_millis(100)).await;
    }
    // The target comes up, and Prometheus tells that it is over.
    let listener = tokio::net::TcpListener::bind(("127.0.0.1", target)).await.unwrap();
    let router = axum::Router::new().route("/metrics", axum::routing::get(|| async { "m 1\n" }));
    tokio::spawn(async move { axum::serve(listener, router).await });
    let begin = Instant::now();
    while symptoms().await != "[]" {
        assert!(begin.elapsed() < PATIENCE, "the alert never ended");
        tokio::time::sleep(Duration::from_millis(100)).await;
    }
}
