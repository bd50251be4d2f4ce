//! Rule evaluation at 100,000 series and 100 rules, beside Prometheus on the same series and the same rule file in the same run.
//!
//! Guards: evaluation takes at most half of what Prometheus says of itself in `prometheus_rule_group_last_duration_seconds`.
//! `cargo bench --bench rules`; without `prometheus` in the path only our own figures are printed.

use std::io::{Read, Write};
use std::net::{TcpListener, TcpStream};
use std::path::Path;
use std::process::{Command, Stdio};
use std::time::{Duration, Instant};

use jurymast::model::{Catalog, Sample, Timestamp};
use jurymast::promql::Options;
use jurymast::promql::history::{History, Origins};
use jurymast::promql::rules::{Groups, RuleFile, RuleRun, TemplateContext};

const METRICS: usize = 10;
const ENTITIES: usize = 10_000;
const EVERY_SECS: usize = 5;
const SCRAPES: usize = 24;

/// A value that differs by series and moves with time.
fn value(metric: usize, entity: usize, round: usize) -> f64 {
    ((entity * 31 + metric * 7) % 1000) as f64 + (round * (1 + entity % 5)) as f64
}

/// Two groups: a hundred thresholds of 10,000 series each, and a hundred that reckon with rates and sums over windows.
fn rules() -> String {
    let mut text = format!("groups:\n- name: thresholds\n  interval: {EVERY_SECS}s\n  rules:\n");
    for n in 0..100 {
        let (metric, bound) = (n % METRICS, 1090 + n / METRICS);
        text += &format!(
            "  - alert: High{n}\n    expr: bench_m{metric}_total > {bound}\n    for: 1m\n    labels: {{severity: warning}}\n    annotations: {{summary: '{{{{ $labels.entity }}}} at {{{{ $value }}}}'}}\n"
        );
    }
    text += &format!("- name: windows\n  interval: {EVERY_SECS}s\n  rules:\n");
    for n in 0..100 {
        let metric = n % METRICS;
        text += &format!(
            "  - alert: Fast{n}\n    expr: sum by (site) (rate(bench_m{metric}_total{{line=\"{}\"}}[1m])) > {}\n    labels: {{severity: warning}}\n",
            n / METRICS,
            1_000_000
        );
    }
    text
}

fn labels(entity: usize) -> String {
    format!(
        "entity=\"e{entity}\",site=\"s{}\",line=\"{}\"",
        entity % 50,
        entity % 10
    )
}

fn ours(text: &str) -> Vec<(String, f64, usize)> {
    let file = RuleFile::parse("rules.yml", text).unwrap();
    let mut groups = Groups::new([("rules.yml", &file)], 5000, &TemplateContext::default()).unwrap();
    let mut history = History::new(groups.rules().map(RuleRun::query), 0, 300_000, Origins::new());
    let catalog = Catalog::new();
    let mut series = Vec::new();
    for metric in 0..METRICS {
        for entity in 0..ENTITIES {
            let signal = format!("bench_m{metric}_total{{{}}}", labels(entity));
            series.push((catalog.series(&format!("e{entity}"), &signal), metric, entity));
        }
    }
    let mut took: Vec<(String, Vec<f64>)> = groups
        .all
        .iter()
        .map(|group| (group.spec.name.clone(), Vec::new()))
        .collect();
    let mut fed = Vec::new();
    for round in 0..SCRAPES {
        let at = Timestamp::from_secs(1_800_000_000 + i64::try_from(round * EVERY_SECS).unwrap_or(0));
        let begin = Instant::now();
        for (id, metric, entity) in &series {
            let sample = Sample {
                series: *id,
                retained: false,
                at,
                seen: at,
                value: value(*metric, *entity, round),
            };
            history.take(&sample);
        }
        fed.push(begin.elapsed().as_secs_f64());
        history.settle(at.millis(), &catalog);
        for (group, (_, times)) in groups.all.iter_mut().zip(&mut took) {
            let begin = Instant::now();
            group.evaluate(&mut history, at.millis(), Options::default());
            times.push(begin.elapsed().as_secs_f64());
        }
    }
    fed.sort_by(f64::total_cmp);
    println!(
        "history: {} series, {:.0} ns a sample (median)",
        history.series_count(),
        fed[fed.len() / 2] * 1e9 / series.len() as f64
    );
    let firing = groups.active().count();
    let mut found = Vec::new();
    for (name, mut times) in took {
        // The first rounds see new series and empty windows.
        times.drain(..SCRAPES / 2);
        times.sort_by(f64::total_cmp);
        found.push((name, times[times.len() / 2], firing));
    }
    found
}

fn page(round: usize) -> String {
    let mut text = String::with_capacity(METRICS * ENTITIES * 70);
    for metric in 0..METRICS {
        text += &format!("# TYPE bench_m{metric}_total counter\n");
        for entity in 0..ENTITIES {
            text += &format!(
                "bench_m{metric}_total{{{}}} {}\n",
                labels(entity),
                value(metric, entity, round)
            );
        }
    }
    text
}

fn serve(listener: TcpListener) {
    std::thread::spawn(move || {
        for (round, stream) in listener.incoming().enumerate() {
            let Ok(mut stream) = stream else { continue };
            let mut request = [0; 4096];
            let _ = stream.read(&mut request);
            let body = page(round);
            let head = format!(
                "HTTP/1.1 200 OK\r\nContent-Type: text/plain; version=0.0.4\r\nContent-Length: {}\r\nConnection: close\r\n\r\n",
                body.len()
            );
            let _ = stream.write_all((head + &body).as_bytes());
        }
    });
}

fn get(port: u16, path: &str) -> Option<String> {
    let mut stream = TcpStream::connect(("127.0.0.1", port)).ok()?;
    stream
        .write_all(format!("GET {path} HTTP/1.0\r\nHost: x\r\n\r\n").as_bytes())
        .ok()?;
    let mut answer = String::new();
    stream.read_to_string(&mut answer).ok()?;
    Some(answer)
}

/// The median of what Prometheus says of its groups over the rounds after its first minute.
fn prometheus(program: &Path, text: &str) -> Vec<(String, f64)> {
    let dir = std::env::temp_dir().join(format!("jurymast-bench-rules-{}", std::process::id()));
    std::fs::create_dir_all(&dir).unwrap();
    let target = TcpListener::bind("127.0.0.1:0").unwrap();
    let scraped = target.local_addr().unwrap().port();
    serve(target);
    let port = TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap().port();
    std::fs::write(dir.join("rules.yml"), text).unwrap();
    let config = format!(
        "global: {{scrape_interval: {EVERY_SECS}s, scrape_timeout: {EVERY_SECS}s, evaluation_interval: {EVERY_SECS}s}}\nrule_files: [rules.yml]\nscrape_configs:\n- job_name: bench\n  static_configs: [{{targets: ['127.0.0.1:{scraped}']}}]\n"
    );
    std::fs::write(dir.join("prometheus.yml"), config).unwrap();
    let mut child = Command::new(program)
        .current_dir(&dir)
        .args([
            "--config.file=prometheus.yml",
            "--storage.tsdb.path=data",
            &format!("--web.listen-address=127.0.0.1:{port}"),
        ])
        .stdout(Stdio::null())
        .stderr(Stdio::null())
        .spawn()
        .unwrap();
    std::thread::sleep(Duration::from_secs(75));
    let mut seen: Vec<(String, Vec<f64>)> = Vec::new();
    for _ in 0..8 {
        std::thread::sleep(Duration::from_secs(5));
        let answer = get(port, "/metrics").unwrap_or_default();
        for line in answer
            .lines()
            .filter(|line| line.starts_with("prometheus_rule_group_last_duration_seconds{"))
        {
            let name = if line.contains("thresholds") {
                "thresholds"
            } else {
                "windows"
            };
            let Some(value) = line.rsplit(' ').next().and_then(|text| text.parse().ok()) else {
                continue;
            };
            match seen.iter_mut().find(|(known, _)| known == name) {
                Some((_, list)) => list.push(value),
                None => seen.push((name.into(), vec![value])),
            }
        }
    }
    let _ = child.kill();
    let _ = child.wait();
    let _ = std::fs::remove_dir_all(&dir);
    seen.into_iter()
        .map(|(name, mut list)| {
            list.sort_by(f64::total_cmp);
            (name, list[list.len() / 2])
        })
        .collect()
}

fn main() {
    let text = rules();
    let before = ours(&text);
    let path = std::env::var("PATH").unwrap_or_default();
    let program = path
        .split(':')
        .map(|dir| Path::new(dir).join("prometheus"))
        .find(|file| file.is_file());
    let theirs = program.map(|program| prometheus(&program, &text)).unwrap_or_default();
    // Once more behind it: the machine may have been busier in between.
    let after = ours(&text);
    for ((name, first, alerts), (_, second, _)) in before.iter().zip(&after) {
        let own = first.max(*second);
        print!(
            "{name}: 100 rules over {} series: {:.1} ms ({:.1} before, {:.1} after; {alerts} alerts)",
            METRICS * ENTITIES,
            own * 1e3,
            first * 1e3,
            second * 1e3
        );
        match theirs.iter().find(|(known, _)| known == name) {
            Some((_, theirs)) => println!("; Prometheus {:.1} ms: ratio {:.3}", theirs * 1e3, own / theirs),
            None => println!("; SKIPPED: Prometheus is not installed or said nothing"),
        }
    }
}
