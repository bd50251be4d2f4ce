//! Remote write, decode to store: snappy, protobuf, series numbers, and the push into the columns, on one core.
//!
//! `cargo bench --bench remote_write`. Warm: every series has been seen before, as in each request but the first. Two thousand series a request with nine labels
//! each, as a node exporter's have them, one sample a series: what Prometheus sends by default.
//!
//! Then the same requests over HTTP to a running agent, with all of its detectors, and to a Prometheus with `--web.enable-remote-write-receiver`, by turns in one
//! run: CPU time (user and system, from /proc) per sample of each. Guards: two million a second, and at most a third of Prometheus' CPU. `SKIPPED` without
//! `prometheus` in the path.

use std::hint::black_box;
use std::io::{Read, Write};
use std::net::{TcpListener, TcpStream};
use std::path::Path;
use std::process::{Child, Command, Stdio};
use std::time::{Duration, Instant, SystemTime};

use jurymast::ingest::push::{PushSettings, SeriesBook, Version, read_remote_write};
use jurymast::model::{Catalog, SignalId, Timestamp};
use jurymast::store::{Columns, Tag};

/// No detector looks at the samples: receiving is what is measured.
const TAG: Tag = Tag {
    entity: 0,
    signal: SignalId(0),
    wants: 0,
};

const REQUESTS: usize = 50;
const SERIES: usize = 2000;
const ROUNDS: usize = 7;

fn varint(mut value: u64, out: &mut Vec<u8>) {
    while value >= 0x80 {
        out.push((value & 0x7f) as u8 | 0x80);
        value >>= 7;
    }
    out.push(value as u8);
}

fn field(number: u64, bytes: &[u8], out: &mut Vec<u8>) {
    varint(number << 3 | 2, out);
    varint(bytes.len() as u64, out);
    out.extend_from_slice(bytes);
}

fn labels(number: usize) -> Vec<(&'static str, String)> {
    vec![
        ("__name__", format!("node_cpu_seconds_{}_total", number % 40)),
        ("cluster", "eu-west-1".into()),
        ("cpu", (number % 64).to_string()),
        ("device", format!("/dev/sd{}", number % 97)),
        ("instance", format!("10.0.{}.{}:9100", number / 1000, number % 250)),
        ("job", "node".into()),
        ("mode", format!("m{}", number % 8)),
        ("namespace", "monitoring".into()),
        ("series", number.to_string()),
    ]
}

/// The beginning of time here, in milliseconds.
const BASE: u64 = 1_767_225_600_000;

fn sample(base: u64, round: usize) -> Vec<u8> {
    let mut sample = vec![0x09];
    sample.extend_from_slice(&(round as f64 + 0.5).to_le_bytes());
    sample.push(0x10);
    varint(base + round as u64 * 15_000, &mut sample);
    sample
}

fn v1(base: u64, request: usize, round: usize) -> Vec<u8> {
    let mut body = Vec::new();
    for number in request * SERIES..(request + 1) * SERIES {
        let mut series = Vec::new();
        for (name, value) in labels(number) {
            let mut label = Vec::new();
            field(1, name.as_bytes(), &mut label);
            field(2, value.as_bytes(), &mut label);
            field(1, &label, &mut series);
        }
        field(2, &sample(base, round), &mut series);
        field(1, &series, &mut body);
    }
    snap::raw::Encoder::new().compress_vec(&body).expect("it fits")
}

fn v2(base: u64, request: usize, round: usize) -> Vec<u8> {
    let (mut symbols, mut places) = (vec![String::new()], std::collections::BTreeMap::new());
    let mut all = Vec::new();
    for number in request * SERIES..(request + 1) * SERIES {
        let mut references = Vec::new();
        for text in labels(number)
            .into_iter()
            .flat_map(|(name, value)| [name.to_owned(), value])
        {
            let place = *places.entry(text.clone()).or_insert_with(|| {
                symbols.push(text);
                symbols.len() - 1
            });
            varint(place as u64, &mut references);
        }
        let mut series = Vec::new();
        field(1, &references, &mut series);
        field(2, &sample(base, round), &mut series);
        field(5, &series, &mut all);
    }
    let mut body = Vec::new();
    for symbol in &symbols {
        field(4, symbol.as_bytes(), &mut body);
    }
    body.extend(all);
    snap::raw::Encoder::new().compress_vec(&body).expect("it fits")
}

fn in_process() -> Vec<f64> {
    let mut each = Vec::new();
    for (name, version, make) in [
        ("v1", Version::V1, v1 as fn(u64, usize, usize) -> Vec<u8>),
        ("v2", Version::V2, v2),
    ] {
        let (catalog, mut columns) = (Catalog::new(), Columns::default());
        let mut book = SeriesBook::new(&PushSettings::default());
        let (mut samples, mut body) = (Vec::new(), Vec::new());
        let mut rates = Vec::new();
        for round in 0..=ROUNDS {
            let requests: Vec<Vec<u8>> = (0..REQUESTS).map(|request| make(BASE, request, round)).collect();
            let begin = Instant::now();
            let mut count = 0;
            for request in &requests {
                body.resize(snap::raw::decompress_len(request).expect("snappy"), 0);
                snap::raw::Decoder::new()
                    .decompress(request, &mut body)
                    .expect("snappy");
                samples.clear();
                let seen = Timestamp::from_millis(1_767_225_700_000);
                read_remote_write(&body, version, seen, &mut book, &catalog, &mut samples).expect("a request");
                for sample in &samples {
                    while columns.len() <= sample.series.0 as usize {
                        columns.add(TAG);
                    }
                    black_box(columns.push(sample.series.0 as usize, sample));
                }
                count += samples.len();
            }
            // The first round meets every series for the first time.
            if round > 0 {
                rates.push(count as f64 / begin.elapsed().as_secs_f64());
            }
            assert_eq!(count, REQUESTS * SERIES);
        }
        rates.sort_by(f64::total_cmp);
        println!(
            "{name}: {:.2} million samples/s (median of {ROUNDS}; {:.0} ns each)",
            rates[ROUNDS / 2] / 1e6,
            1e9 / rates[ROUNDS / 2]
        );
        each.push(1e6 / rates[ROUNDS / 2]);
    }
    each
}

/// Of a tick in /proc/PID/stat: user space sees 100 in a second on every Linux.
const TICKS_PER_S: f64 = 100.0;

/// A server that is written to.
struct Server {
    name: &'static str,
    child: Child,
    port: u16,
    path: &'static str,
}

impl Drop for Server {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

fn free_port() -> u16 {
    TcpListener::bind("127.0.0.1:0")
        .and_then(|listener| listener.local_addr())
        .expect("a port")
        .port()
}

impl Server {
    fn start(
        name: &'static str,
        dir: &Path,
        program: &Path,
        arguments: &[&str],
        port: u16,
        path: &'static str,
    ) -> Self {
        let child = Command::new(program)
            .current_dir(dir)
            .args(arguments)
            .stdout(Stdio::null())
            .stderr(Stdio::null())
            .spawn()
            .expect("it starts");
        let server = Self {
            name,
            child,
            port,
            path,
        };
        let begin = Instant::now();
        while TcpStream::connect(("127.0.0.1", port)).is_err() {
            assert!(begin.elapsed() < Duration::from_secs(30), "{name} does not listen");
            std::thread::sleep(Duration::from_millis(50));
        }
        server
    }

    /// Seconds of CPU so far.
    fn cpu(&self) -> f64 {
        let stat = std::fs::read_to_string(format!("/proc/{}/stat", self.child.id())).unwrap_or_default();
        let fields: Vec<f64> = stat
            .rsplit(')')
            .next()
            .into_iter()
            .flat_map(str::split_whitespace)
            .map(|field| field.parse().unwrap_or(0.0))
            .collect();
        (fields[11] + fields[12]) / TICKS_PER_S
    }

    /// Posts a body until it is taken.
    fn post(&self, connection: &mut Option<TcpStream>, body: &[u8]) {
        let head = format!(
            "POST {} HTTP/1.1\r\nHost: x\r\nContent-Type: application/x-protobuf\r\nContent-Encoding: snappy\r\nX-Prometheus-Remote-Write-Version: 0.1.0\r\nContent-Length: {}\r\n\r\n",
            self.path,
            body.len()
        );
        for _ in 0..1000 {
            let mut stream = connection
                .take()
                .unwrap_or_else(|| TcpStream::connect(("127.0.0.1", self.port)).expect("it listens"));
            let mut answer = [0; 2048];
            let sent = stream.write_all(head.as_bytes()).and_then(|()| stream.write_all(body));
            let count = sent.and_then(|()| stream.read(&mut answer)).unwrap_or(0);
            let said = String::from_utf8_lossy(&answer[..count]).into_owned();
            if said.starts_with("HTTP/1.1 2") {
                *connection = Some(stream);
                return;
            }
            assert!(
                said.is_empty() || said.starts_with("HTTP/1.1 5"),
                "{}: {said}",
                self.name
            );
            std::thread::sleep(Duration::from_millis(20));
        }
        panic!("{} takes nothing any more", self.name);
    }

    /// Microseconds of CPU for a sample, over some rounds of all requests.
    fn measure(&self, requests: &[Vec<Vec<u8>>]) -> f64 {
        let mut connection = None;
        let before = self.cpu();
        for body in requests.iter().flatten() {
            self.post(&mut connection, body);
        }
        // What was taken is worked on for a while.
        let mut last = self.cpu();
        loop {
            std::thread::sleep(Duration::from_millis(500));
            let now = self.cpu();
            if now - last < 0.03 {
                break;
            }
            last = now;
        }
        (self.cpu() - before) * 1e6 / (requests.len() * REQUESTS * SERIES) as f64
    }
}

fn beside_prometheus() {
    let path = std::env::var("PATH").unwrap_or_default();
    let found = path
        .split(':')
        .map(|dir| Path::new(dir).join("prometheus"))
        .find(|file| file.is_file());
    let Some(prometheus) = found else {
        println!("SKIPPED: CPU beside Prometheus (prometheus not installed)");
        return;
    };
    let dir = tempfile::tempdir().expect("a folder");
    let (own, their) = (free_port(), free_port());
    std::fs::write(dir.path().join("prometheus.yml"), "").expect("a config");
    std::fs::write(
        dir.path().join("jurymast.yml"),
        format!("agent: {{data_dir: data}}\napi: {{listen: '127.0.0.1:{own}'}}\n"),
    )
    .expect("a config");
    let listen = format!("--web.listen-address=127.0.0.1:{their}");
    let arguments = [
        "--config.file=prometheus.yml",
        "--storage.tsdb.path=tsdb",
        "--web.enable-remote-write-receiver",
        &listen,
    ];
    let theirs = Server::start(
        "prometheus",
        dir.path(),
        &prometheus,
        &arguments,
        their,
        "/api/v1/write",
    );
    let arguments = ["run", "--observe-only", "-c", "jurymast.yml"];
    let ours = Server::start(
        "jurymast",
        dir.path(),
        Path::new(env!("CARGO_BIN_EXE_jurymast")),
        &arguments,
        own,
        "/api/v1/write",
    );
    let now = SystemTime::now()
        .duration_since(SystemTime::UNIX_EPOCH)
        .unwrap_or_default();
    let base = u64::try_from(now.as_millis()).unwrap_or(BASE) - 3_600_000;
    let rounds = |from: usize, count: usize| -> Vec<Vec<Vec<u8>>> {
        (from..from + count)
            .map(|round| (0..REQUESTS).map(|request| v1(base, request, round)).collect())
            .collect()
    };
    // Every series is met once before the clock starts.
    for server in [&ours, &theirs] {
        server.measure(&rounds(0, 2));
    }
    let (mut own, mut their) = (Vec::new(), Vec::new());
    for turn in 0..3 {
        let requests = rounds(2 + turn * 10, 10);
        own.push(ours.measure(&requests));
        their.push(theirs.measure(&requests));
        println!(
            "turn {}: jurymast {:.2} us, prometheus {:.2} us of CPU per sample",
            turn + 1,
            own[turn],
            their[turn]
        );
    }
    own.sort_by(f64::total_cmp);
    their.sort_by(f64::total_cmp);
    println!(
        "over HTTP, with everything that each does with a sample (median of 3): jurymast {:.2} us, prometheus {:.2} us: ratio {:.3}",
        own[1],
        their[1],
        own[1] / their[1]
    );
    for (name, each) in ["v1", "v2"].into_iter().zip(in_process()) {
        println!(
            "{name} decode to store alone: {each:.3} us of prometheus' {:.2} us: ratio {:.3}",
            their[1],
            each / their[1]
        );
    }
}

fn main() {
    in_process();
    beside_prometheus();
}
