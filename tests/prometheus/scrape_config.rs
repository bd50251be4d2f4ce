//! Scrape configs as Prometheus has them, beside a real Prometheus that reads the same file.

use std::collections::{BTreeMap, BTreeSet};
use std::path::Path;
use std::process::Command;
use std::time::{Duration, Instant};

use axum::Router;
use axum::routing::get;
use jurymast::engine::Input;
use jurymast::ingest::Source;
use jurymast::ingest::prometheus::ScrapeSource;
use jurymast::ingest::prometheus::exposition::SeriesParts;
use jurymast::ingest::prometheus::native::{Discovery, PrometheusFile};
use serde_json::Value;

use crate::harness::feed::feed;
use crate::harness::{Server, find, free_port, skipped};

const CONFIG: &str = r"
global: {scrape_interval: 1s, scrape_timeout: 1s, external_labels: {region: eu}}
rule_files: []
scrape_configs:
  - job_name: plain
    static_configs:
      - targets: ['127.0.0.1:1', 'localhost:2']
        labels: {env: prod, empty: ''}
  - job_name: ports
    scheme: https
    scrape_interval: 2s
    metrics_path: probe
    params: {module: [http 2xx, b], target: [x]}
    static_configs: [{targets: [localhost, '[::1]:4', '127.0.0.1:5']}]
  - job_name: blackbox
    metrics_path: /probe
    params: {module: [icmp]}
    static_configs: [{targets: ['127.0.0.9', '127.0.0.8']}]
    relabel_configs:
      - {source_labels: [__address__], target_label: __param_target}
      - {source_labels: [__param_target], target_label: instance}
      - {target_label: __address__, replacement: '127.0.0.1:9115'}
  - job_name: files
    file_sd_configs: [{files: ['sd/*.yml', 'sd/one.json']}]
    relabel_configs:
      - {source_labels: [__meta_filepath], regex: '.*/(.*)\.(yml|json)', target_label: file, replacement: '${1}'}
      - {regex: '__meta_dc_(.+)', action: labelmap}
      - {source_labels: [drop], regex: 'yes', action: drop}
      - {source_labels: [team, env], separator: '-', target_label: owner, action: uppercase}
      - {source_labels: [__address__], modulus: 7, target_label: shard, action: hashmod}
      - {regex: 'te.*', action: labeldrop}
      - {source_labels: [__address__], regex: '(.*):.*', target_label: __address__, replacement: '$1:99'}
  - job_name: http
    http_sd_configs: [{url: 'http://127.0.0.1:PORT/sd', refresh_interval: 1s}]
    relabel_configs:
      - {source_labels: [__meta_url], target_label: from}
      - {source_labels: [job, region], target_label: both}
  - job_name: series
    static_configs: [{targets: ['127.0.0.1:PORT'], labels: {env: prod, room: target}}]
    metric_relabel_configs:
      - {source_labels: [__name__], regex: 'noise_.*', action: drop}
      - {source_labels: [__name__], regex: '(old)_(.*)', target_label: __name__, replacement: 'new_${2}'}
      - {source_labels: [code], regex: '(\d)..', target_label: class, replacement: '${1}xx'}
      - {regex: secret, action: labeldrop}
  - job_name: honoring
    honor_labels: true
    static_configs: [{targets: ['127.0.0.1:PORT'], labels: {room: target}}]
";

const METRICS: &str = "# TYPE noise_a gauge\nnoise_a 1\nold_temp{room=\"a\",secret=\"x\"} 2\nrequests_total{code=\"200\",exported_room=\"z\",room=\"b\"} 3\nrequests_total{code=\"404\"} 4\npushed{instance=\"other\",job=\"else\"} 5\n";

async fn target() -> u16 {
    let router = Router::new().route("/metrics", get(|| async { METRICS })).route(
        "/sd",
        get(|| async {
            (
                [("content-type", "application/json")],
                r#"[{"targets":["127.0.0.1:7","h:8"],"labels":{"__meta_x":"y","region":"r1"}}]"#,
            )
        }),
    );
    let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await.unwrap();
    let port = listener.local_addr().unwrap().port();
    tokio::spawn(async move { axum::serve(listener, router).await });
    port
}

fn write(dir: &Path, port: u16) -> String {
    std::fs::create_dir_all(dir.join("sd")).unwrap();
    std::fs::write(dir.join("sd/two.yml"), "- targets: ['a:1', 'b:2']\n  labels: {__meta_dc_name: x, team: red, env: prod}\n- targets: ['c:3']\n  labels: {drop: 'yes'}\n").unwrap();
    std::fs::write(
        dir.join("sd/one.json"),
        r#"[{"targets":["d:4"],"labels":{"team":"blue","tenant":"t"}}]"#,
    )
    .unwrap();
    CONFIG.replace("PORT", &port.to_string())
}

async fn ask(port: u16, path: &str) -> Value {
    let client = reqwest::Client::builder().no_proxy().build().unwrap();
    match client.get(format!("http://127.0.0.1:{port}{path}")).send().await {
        Ok(answer) => answer.json().await.unwrap_or_default(),
        Err(_) => Value::Null,
    }
}

type Found = BTreeSet<(String, BTreeMap<String, String>)>;

#[tokio::test(flavor = "multi_thread")]
async fn the_targets_and_series_are_those_of_prometheus_on_the_same_file() {
    if skipped("scrape configs beside Prometheus", &["prometheus", "promtool"]) {
        return;
    }
    jurymast::net::install_crypto();
    let (dir, own, port) = (tempfile::tempdir().unwrap(), target().await, free_port());
    let config = write(dir.path(), own);
    let _server = Server::prometheus(dir.path(), port, &config);
    let file = dir.path().join("prometheus.yml");
    let checked = Command::new(find("promtool").unwrap())
        .args(["check", "config"])
        .arg(&file)
        .output()
        .unwrap();
    assert!(checked.status.success(), "{}", String::from_utf8_lossy(&checked.stderr));

    let configs = PrometheusFile::read(&file).unwrap();
    let mut ours = Found::new();
    for config in &configs {
        config.check().unwrap();
        let (targets, errors) = Discovery::new(config).targets().await;
        assert!(errors.is_empty(), "{errors:?}");
        ours.extend(targets.into_iter().map(|target| {
            (
                target.url,
                target
                    .labels
                    .into_iter()
                    .filter(|(_, value)| !value.is_empty())
                    .collect(),
            )
        }));
    }
    let begin = Instant::now();
    loop {
        let answer = ask(port, "/api/v1/targets?state=active").await;
        let theirs: Found = answer["data"]["activeTargets"]
            .as_array()
            .into_iter()
            .flatten()
            .map(|target| {
                (
                    target["scrapeUrl"].as_str().unwrap().to_owned(),
                    serde_json::from_value(target["labels"].clone()).unwrap(),
                )
            })
            .collect();
        if theirs == ours {
            break;
        }
        assert!(
            begin.elapsed() < Duration::from_secs(25),
            "theirs: {:#?}\nours: {:#?}",
            theirs.difference(&ours).collect::<Vec<_>>(),
            ours.difference(&theirs).collect::<Vec<_>>()
        );
        tokio::time::sleep(Duration::from_millis(200)).await;
    }

    for job in ["series", "honoring"] {
        let config = configs.iter().find(|config| config.job_name == job).unwrap();
        let ours = scraped(config.clone()).await;
        let begin = Instant::now();
        loop {
            // Series of another job by honoured labels are of this scrape all the same.
            let answer = ask(port, "/api/v1/series?match[]={job=~\"series|honoring|else\"}").await;
            let own = format!("127.0.0.1:{own}");
            let mut theirs = BTreeSet::new();
            for labels in answer["data"].as_array().into_iter().flatten() {
                let mut labels: BTreeMap<String, String> = serde_json::from_value(labels.clone()).unwrap();
                let honoured = labels.get("job").is_some_and(|job| job == "else");
                if labels.get("job").map(String::as_str) != Some(job) && !(honoured && job == "honoring") {
                    continue;
                }
                let name = labels.remove("__name__").unwrap();
                if name == "up" || name.starts_with("scrape_") {
                    continue;
                }
                let instance = labels.remove("instance").unwrap();
                if !honoured {
                    labels.remove("job");
                }
                let parts = SeriesParts {
                    name,
                    labels: labels.into_iter().collect(),
                };
                theirs.insert(format!(
                    "{}/{}",
                    if instance == own { "target" } else { instance.as_str() },
                    parts.signal(&[])
                ));
            }
            let ours: BTreeSet<String> = ours.iter().map(|said| said.replace(&own, "target")).collect();
            if theirs == ours {
                break;
            }
            assert!(
                begin.elapsed() < Duration::from_secs(25),
                "{job}: theirs {theirs:#?}\nours {ours:#?}"
            );
            tokio::time::sleep(Duration::from_millis(200)).await;
        }
    }
}

/// The series of one scrape of ours.
async fn scraped(config: jurymast::ingest::prometheus::native::ScrapeConfig) -> BTreeSet<String> {
    let (feed, mut waiting) = feed(64);
    let (catalog, stop) = (feed.catalog.clone(), feed.stop.clone());
    tokio::spawn(Box::new(ScrapeSource::native(config)).run(feed));
    loop {
        let Some(Input::Batch(batch)) = waiting.recv().await else {
            continue;
        };
        // What a scrape says of itself is five.
        if batch.samples.len() <= 5 {
            continue;
        }
        stop.cancel();
        let word = |sample: &jurymast::model::Sample| {
            let (entity, signal) = catalog.parts(sample.series).unwrap();
            format!("{}/{}", catalog.entity_name(entity), catalog.signal_name(signal))
        };
        return batch
            .samples
            .iter()
            .map(word)
            .filter(|said| !said.contains("/up") && !said.contains("/scrape_"))
            .collect();
    }
}
