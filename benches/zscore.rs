//! Guards CPU per series and evaluation beside what a user runs today: Prometheus' z-score rule over one minute, per series.
//!
//! One Prometheus scrapes series of this program every five seconds: first without rules, then with
//! `abs(m - avg_over_time(m[1m])) > 4 * stddev_over_time(m[1m])` evaluated every five seconds; what the second costs more is the rule's.
//! The portfolio judges the same values of the same series in the order of the scrape, before and after, every term of it.
//! `SERIES=100000` for more of them. CPU time, not wall time: other work on the machine hardly moves it.

use std::hint::black_box;
use std::io::{Read, Write};
use std::net::{TcpListener, TcpStream};
use std::process::{Child, Command, Stdio};
use std::sync::Arc;
use std::sync::atomic::{AtomicU32, Ordering};
use std::time::{Duration, Instant};

use jurymast::detect::univariate::Portfolio;
use jurymast::model::Timestamp;

const METRICS: usize = 10;
const EVERY_S: u32 = 5;
/// A minute's window has to be full first.
const WARM_S: u64 = 75;
const MEASURED_S: u64 = 40;
/// Samples of warm-up of the portfolio, and evaluations that are measured.
const LEARN: u32 = 520;
const EVALUATIONS: u32 = 60;
/// Ticks of `/proc/PID/stat` in a second.
const TICKS: f64 = 100.0;

fn main() {
    let series: usize = std::env::var("SERIES")
        .ok()
        .and_then(|n| n.parse().ok())
        .unwrap_or(20_000);
    if Command::new("prometheus")
        .arg("--version")
        .stderr(Stdio::null())
        .stdout(Stdio::null())
        .status()
        .is_err()
    {
        println!("SKIPPED zscore: prometheus is not installed");
        return;
    }
    let first = ours(series);
    let Some(rule) = prometheus(series) else {
        println!("SKIPPED zscore: prometheus did not evaluate the rule (see its log)");
        return;
    };
    let ours = f64::midpoint(first, ours(series));
    println!("Prometheus z-score rule [1m], CPU per series and evaluation: {rule:.2} us ({series} series)");
    println!("portfolio, CPU per series and evaluation:                    {ours:.3} us");
    println!(
        "portfolio / Prometheus:                                      1/{:.0} (bar: 1/50)",
        rule / ours
    );
}

/// Rough, with a slow wave.
fn value(series: usize, n: u32) -> f64 {
    let phase = (series % 1440) as f64;
    20.0 + 5.0 * ((f64::from(n) + phase) * 0.004_363).sin() + (f64::from(n) * 0.618_034 + phase * 0.37).fract()
}

/// Microseconds of CPU for each.
fn ours(series: usize) -> f64 {
    let at = |n: u32| Timestamp::from_secs(1_767_225_600 + i64::from(n) * i64::from(EVERY_S));
    let mut states = vec![Portfolio::default(); series];
    for n in 0..LEARN {
        for (place, state) in states.iter_mut().enumerate() {
            black_box(state.observe(at(n), value(place, n)));
        }
    }
    // The values are made beforehand: what they cost is no detector's.
    let mut spent = 0.0;
    for n in LEARN..LEARN + EVALUATIONS {
        let values: Vec<f64> = (0..series).map(|place| value(place, n)).collect();
        let begun = cpu(std::process::id());
        for (state, value) in states.iter_mut().zip(&values) {
            black_box(state.observe(at(n), *value));
        }
        spent += cpu(std::process::id()) - begun;
    }
    spent / (series as f64 * f64::from(EVALUATIONS)) * 1e6
}

/// User and system time of a process, in seconds; of this one to the microsecond.
fn cpu(id: u32) -> f64 {
    if id == std::process::id()
        && let Ok(text) = std::fs::read_to_string("/proc/thread-self/schedstat")
    {
        let nanos = text.split_whitespace().next().and_then(|n| n.parse::<f64>().ok());
        return nanos.unwrap_or(f64::NAN) / 1e9;
    }
    let stat = std::fs::read_to_string(format!("/proc/{id}/stat")).unwrap_or_default();
    let fields: Vec<f64> = stat
        .rsplit(')')
        .next()
        .unwrap_or_default()
        .split_whitespace()
        .map(|field| field.parse().unwrap_or(0.0))
        .collect();
    (fields.get(11).unwrap_or(&0.0) + fields.get(12).unwrap_or(&0.0)) / TICKS
}

/// A process that ends with this one.
struct Server(Child);

impl Drop for Server {
    fn drop(&mut self) {
        let _ = self.0.kill();
        let _ = self.0.wait();
    }
}

fn prometheus(series: usize) -> Option<f64> {
    let exporter = export(series);
    let dir = std::env::temp_dir().join(format!("jurymast-zscore-{}", std::process::id()));
    std::fs::create_dir_all(&dir).ok()?;
    let rules: String = (0..METRICS)
        .map(|m| {
            let m = format!("device_signal_{m}");
            format!("  - alert: Z{m}\n    expr: abs({m} - avg_over_time({m}[1m])) > 4 * stddev_over_time({m}[1m])\n")
        })
        .collect();
    std::fs::write(
        dir.join("rules.yml"),
        format!("groups:\n- name: zscore\n  rules:\n{rules}"),
    )
    .ok()?;
    let config = |rules: &str| {
        format!(
            "global: {{scrape_interval: {EVERY_S}s, scrape_timeout: {EVERY_S}s, evaluation_interval: {EVERY_S}s}}\n{rules}\
             scrape_configs:\n- job_name: devices\n  static_configs: [{{targets: ['127.0.0.1:{exporter}']}}]\n"
        )
    };
    let file = dir.join("prometheus.yml");
    std::fs::write(&file, config("")).ok()?;
    let port = TcpListener::bind("127.0.0.1:0").ok()?.local_addr().ok()?.port();
    let log = std::fs::File::create(dir.join("log")).ok()?;
    let server = Command::new("prometheus")
        .arg(format!("--config.file={}", file.display()))
        .arg(format!("--storage.tsdb.path={}", dir.join("data").display()))
        .arg(format!("--web.listen-address=127.0.0.1:{port}"))
        .arg("--web.enable-lifecycle")
        .stdout(Stdio::null())
        .stderr(log)
        .spawn()
        .ok()?;
    let server = Server(server);
    std::thread::sleep(Duration::from_secs(WARM_S));
    let measure = || {
        let (begun, before, from) = (Instant::now(), cpu(server.0.id()), iterations(port));
        std::thread::sleep(Duration::from_secs(MEASURED_S));
        let spent = (cpu(server.0.id()) - before) / begun.elapsed().as_secs_f64();
        (spent, (iterations(port) - from) / begun.elapsed().as_secs_f64())
    };
    let (without, _) = measure();
    std::fs::write(
        &file,
        config(&format!("rule_files: ['{}']\n", dir.join("rules.yml").display())),
    )
    .ok()?;
    ask(port, "POST", "/-/reload")?;
    std::thread::sleep(Duration::from_secs(u64::from(2 * EVERY_S)));
    let (with, rate) = measure();
    drop(server);
    let _ = std::fs::remove_dir_all(&dir);
    (rate > 0.0).then(|| (with - without) / rate / series as f64 * 1e6)
}

/// Evaluations of the rule group so far.
fn iterations(port: u16) -> f64 {
    let text = ask(port, "GET", "/metrics").unwrap_or_default();
    let line = text
        .lines()
        .find(|line| line.starts_with("prometheus_rule_group_iterations_total") && line.contains("zscore"));
    line.and_then(|line| line.rsplit(' ').next()?.trim().parse().ok())
        .unwrap_or(0.0)
}

fn ask(port: u16, method: &str, path: &str) -> Option<String> {
    let mut stream = TcpStream::connect(("127.0.0.1", port)).ok()?;
    write!(
        stream,
        "{method} {path} HTTP/1.0\r\nHost: localhost\r\nContent-Length: 0\r\n\r\n"
    )
    .ok()?;
    let mut text = String::new();
    stream.read_to_string(&mut text).ok()?;
    Some(text)
}

/// Serves the series as an exporter would, from a thread that lives as long as the process.
fn export(series: usize) -> u16 {
    let listener = TcpListener::bind("127.0.0.1:0").expect("a free port");
    let port = listener.local_addr().expect("it is bound").port();
    let round = Arc::new(AtomicU32::new(0));
    std::thread::spawn(move || {
        for stream in listener.incoming().flatten() {
            let round = round.clone();
            std::thread::spawn(move || serve(stream, series, &round));
        }
    });
    port
}

fn serve(mut stream: TcpStream, series: usize, round: &AtomicU32) {
    let mut request = [0; 4096];
    while stream.read(&mut request).is_ok_and(|read| read > 0) {
        let n = round.fetch_add(1, Ordering::Relaxed);
        let each = series / METRICS;
        let mut body = String::with_capacity(series * 48);
        for place in 0..each * METRICS {
            let (metric, device) = (place / each, place % each);
            body.push_str(&format!(
                "device_signal_{metric}{{device=\"d{device}\"}} {:.4}\n",
                value(place, n)
            ));
        }
        let head = format!(
            "HTTP/1.1 200 OK\r\nContent-Type: text/plain; version=0.0.4\r\nContent-Length: {}\r\n\r\n",
            body.len()
        );
        if stream.write_all(&[head.as_bytes(), body.as_bytes()].concat()).is_err() {
            return;
        }
    }
}
