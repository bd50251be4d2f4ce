//! CPU time (user + system, from /proc) per JSON message: the agent with its MQTT source, decoding and detecting, beside `mosquitto_sub`
//! that only prints to /dev/null.
//!
//! With `--memory` instead: resident bytes of the agent per series above its idle self, 10,000 devices of 10 signals each, each seen so many times: the
//! closely watched are chosen at the eighth.
//!
//! `cargo bench --bench mqtt_cpu -- [--seconds 20] [--rounds 3] [--rate 25000] [--memory] [--sightings 30]`. Needs mosquitto and mosquitto-clients. One real broker; the two take
//! turns as its only subscriber. Messages are 130 bytes of JSON with 6 numbers from 10,000 topics, as in the measurements that the bar of
//! one third was taken from. Every topic has been seen before the clock starts. Everything that the agent does in that time counts.

use std::io::{Read as _, Write as _};
use std::net::{TcpListener, TcpStream};
use std::path::Path;
use std::process::{Child, Command, Stdio};
use std::time::{Duration, Instant, SystemTime};

const TOPICS: usize = 10_000;

/// Packets written at once, as fast as the rate asks for.
const BLOCK: usize = 64;

/// Of a tick in /proc/PID/stat: user space sees 100 in a second on every Linux.
const TICKS_PER_S: f64 = 100.0;

fn main() {
    let number = |name: &str, default: usize| {
        let args: Vec<String> = std::env::args().collect();
        let at = args.iter().position(|arg| arg == name);
        at.and_then(|at| args.get(at + 1)?.parse().ok()).unwrap_or(default)
    };
    let (seconds, rounds, rate) = (number("--seconds", 20), number("--rounds", 3), number("--rate", 25_000));
    let absent = |program: &&str| {
        let found = ["/usr/sbin", "/usr/bin", "/usr/local/sbin", "/usr/local/bin"];
        !found.iter().any(|dir| Path::new(dir).join(program).is_file())
    };
    let missing: Vec<&str> = ["mosquitto", "mosquitto_sub"].into_iter().filter(absent).collect();
    if !missing.is_empty() {
        println!("SKIPPED: CPU of the MQTT source ({} not installed)", missing.join(", "));
        return;
    }
    let dir = tempfile::tempdir().expect("a folder");
    let port = free_port();
    let config = format!(
        "listener {port} 127.0.0.1\nallow_anonymous true\npersistence false\nlog_dest none\nmax_queued_messages 100000\nset_tcp_nodelay true\n"
    );
    std::fs::write(dir.path().join("mosquitto.conf"), config).expect("a config");
    let _broker = start(dir.path(), "mosquitto", &["-c", "mosquitto.conf"]);
    until("mosquitto listens", || TcpStream::connect(("127.0.0.1", port)).is_ok());
    if std::env::args().any(|arg| arg == "--memory") {
        memory(dir.path(), port, number("--sightings", 30));
        return;
    }
    let mut publisher = Publisher::new(port, telemetry);
    let (mut ours, mut theirs) = (Vec::new(), Vec::new());
    for round in 1..=rounds {
        let agent = measure(&Agent::start(dir.path(), port), &mut publisher, rate, seconds);
        let peer = measure(&Peer::start(dir.path(), port), &mut publisher, rate, seconds);
        println!("round {round}: jurymast {agent:.2} us, mosquitto_sub {peer:.2} us per message");
        ours.push(agent);
        theirs.push(peer);
    }
    let (ours, theirs) = (median(&mut ours), median(&mut theirs));
    println!("CPU per JSON message at {rate} msg/s, medians of {rounds} rounds of {seconds} s:");
    println!("  jurymast (decode + detect)        {ours:.2} us");
    println!("  mosquitto_sub (prints to /dev/null) {theirs:.2} us");
    println!("  ratio                             {:.3} (bar: 0.333)", ours / theirs);
}

/// What 100,000 series add to the resident memory of an agent that has nothing to do.
fn memory(dir: &Path, port: u16, sightings: usize) {
    let agent = Agent::start(dir, port);
    std::thread::sleep(Duration::from_secs(2));
    let idle = agent.process.resident();
    let mut publisher = Publisher::new(port, ten_signals);
    let sent = publisher.send(sightings * TOPICS, 5000);
    settle(&agent, sent as u64);
    std::thread::sleep(Duration::from_secs(2));
    let loaded = agent.process.resident();
    let series = 10 * TOPICS;
    println!("resident memory, {TOPICS} devices of 10 signals, each seen {sightings} times:");
    println!("  idle                              {:.1} MB", idle / 1e6);
    println!("  loaded                            {:.1} MB", loaded / 1e6);
    println!(
        "  per series above idle             {:.0} bytes (bar: 320)",
        (loaded - idle) / series as f64
    );
}

fn median(values: &mut [f64]) -> f64 {
    values.sort_by(f64::total_cmp);
    values[values.len() / 2]
}

fn free_port() -> u16 {
    let listener = TcpListener::bind("127.0.0.1:0").expect("a port");
    listener.local_addr().expect("an address").port()
}

fn until(what: &str, mut so: impl FnMut() -> bool) {
    let begin = Instant::now();
    while !so() {
        assert!(begin.elapsed() < Duration::from_secs(60), "waited in vain until {what}");
        std::thread::sleep(Duration::from_millis(20));
    }
}

/// A process of ours; ends with its guard.
struct Running(Child);

impl Drop for Running {
    fn drop(&mut self) {
        let _ = self.0.kill();
        let _ = self.0.wait();
    }
}

impl Running {
    /// Seconds of CPU time, in user space and in the kernel.
    fn cpu(&self) -> f64 {
        let stat = std::fs::read_to_string(format!("/proc/{}/stat", self.0.id())).expect("a running process");
        let fields: Vec<&str> = stat.rsplit(')').next().unwrap_or_default().split_whitespace().collect();
        let ticks = |n: usize| fields[n].parse::<f64>().expect("a number of ticks");
        (ticks(11) + ticks(12)) / TICKS_PER_S
    }

    /// Bytes in memory.
    fn resident(&self) -> f64 {
        let pages = std::fs::read_to_string(format!("/proc/{}/statm", self.0.id())).expect("a running process");
        let pages: f64 = pages
            .split_whitespace()
            .nth(1)
            .and_then(|n| n.parse().ok())
            .expect("pages");
        pages * 4096.0
    }
}

fn start(dir: &Path, program: &str, arguments: &[&str]) -> Running {
    let child = Command::new(program)
        .args(arguments)
        .current_dir(dir)
        .env("PATH", "/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin")
        .stdin(Stdio::null())
        .stdout(Stdio::null())
        .stderr(Stdio::null())
        .spawn();
    Running(child.unwrap_or_else(|error| panic!("{program}: {error}")))
}

trait Subscriber {
    fn process(&self) -> &Running;
    /// Messages taken in so far, if it can tell.
    fn taken(&self) -> Option<u64>;
}

struct Peer(Running);

impl Peer {
    fn start(dir: &Path, port: u16) -> Self {
        let port = port.to_string();
        let arguments = ["-h", "127.0.0.1", "-p", &port, "-t", "site/#", "-q", "0", "-F", "%p"];
        let peer = Self(start(dir, "mosquitto_sub", &arguments));
        std::thread::sleep(Duration::from_millis(700));
        peer
    }
}

impl Subscriber for Peer {
    fn process(&self) -> &Running {
        &self.0
    }

    fn taken(&self) -> Option<u64> {
        None
    }
}

struct Agent {
    process: Running,
    api: u16,
}

impl Agent {
    fn start(dir: &Path, port: u16) -> Self {
        let api = free_port();
        let config = format!(
            "agent: {{name: jurymast, data_dir: '{data}'}}\napi: {{listen: '127.0.0.1:{api}'}}\n\
             sources:\n  mqtt:\n    - name: plant\n      url: 'mqtt://127.0.0.1:{port}'\n      subscribe:\n        \
             - {{filter: 'site/{{site}}/{{device}}/telemetry', decode: json, entity: '{{device}}'}}\n\
             detect:\n  threshold:\n    - {{name: hot, signal: temp, above: 90, clear: 85, for: 2s}}\n",
            data = dir.join(format!("data-{api}")).display(),
        );
        let file = dir.join(format!("jurymast-{api}.yml"));
        std::fs::write(&file, config).expect("a config");
        let binary = env!("CARGO_BIN_EXE_jurymast");
        let agent = Self {
            process: start(dir, binary, &["run", "-c", &file.to_string_lossy()]),
            api,
        };
        until("the agent is connected", || {
            agent.metric("jurymast_source_up{source=\"plant\"}") == Some(1)
        });
        agent
    }

    fn metric(&self, name: &str) -> Option<u64> {
        let mut stream = TcpStream::connect(("127.0.0.1", self.api)).ok()?;
        stream
            .write_all(b"GET /metrics HTTP/1.1\r\nHost: localhost\r\nConnection: close\r\n\r\n")
            .ok()?;
        let mut page = String::new();
        stream.read_to_string(&mut page).ok()?;
        let line = page.lines().find_map(|line| line.strip_prefix(name))?;
        line.trim().parse().ok()
    }
}

impl Subscriber for Agent {
    fn process(&self) -> &Running {
        &self.process
    }

    fn taken(&self) -> Option<u64> {
        self.metric("jurymast_messages_total{source=\"plant\"}")
    }
}

/// Microseconds of CPU per message.
fn measure(subscriber: &dyn Subscriber, publisher: &mut Publisher, rate: usize, seconds: usize) -> f64 {
    // Each topic once or more, so that learning a name is not what is measured.
    let before = subscriber.taken().unwrap_or_default();
    let taught = publisher.send(2 * TOPICS, rate);
    let taken = before + taught as u64;
    settle(subscriber, taken);
    let before = subscriber.process().cpu();
    let begin = Instant::now();
    let sent = publisher.send(rate * seconds, rate);
    let took = begin.elapsed().as_secs_f64();
    settle(subscriber, taken + sent as u64);
    let cpu = subscriber.process().cpu() - before;
    let reached = sent as f64 / took;
    if reached < rate as f64 * 0.98 {
        println!("note: only {reached:.0} msg/s were reached");
    }
    cpu * 1e6 / sent as f64
}

/// Waits until everything has been taken in; of a subscriber that cannot tell, until it rests for a while.
fn settle(subscriber: &dyn Subscriber, count: u64) {
    if subscriber.taken().is_some() {
        // What the broker still had for the one before may come on top.
        until("every message has been taken in", || {
            subscriber.taken().is_some_and(|taken| taken >= count)
        });
        return;
    }
    let (mut last, mut rested) = (-1.0, 0);
    until("the subscriber rests", || {
        std::thread::sleep(Duration::from_millis(300));
        let cpu = subscriber.process().cpu();
        let rests = (cpu - last).abs() < 1.0 / TICKS_PER_S;
        rested = if rests { rested + 1 } else { 0 };
        last = cpu;
        rested >= 3
    });
}

/// Writes PUBLISH packets that were made beforehand; only their times are filled in.
struct Publisher {
    socket: TcpStream,
    blocks: Vec<Block>,
    next: usize,
}

struct Block {
    bytes: Vec<u8>,
    /// Where the times stand.
    times: Vec<usize>,
}

impl Publisher {
    fn new(port: u16, payload: fn(usize, &mut fastrand::Rng) -> String) -> Self {
        let mut socket = TcpStream::connect(("127.0.0.1", port)).expect("the broker");
        socket.set_nodelay(true).expect("a socket");
        // CONNECT of MQTT 3.1.1: clean session, keep-alive 300 s, client id "bench".
        socket
            .write_all(b"\x10\x11\x00\x04MQTT\x04\x02\x01\x2c\x00\x05bench")
            .expect("the broker");
        let mut answer = [0; 4];
        socket.read_exact(&mut answer).expect("the broker's answer");
        assert_eq!(answer, [0x20, 2, 0, 0], "the broker takes us");
        let mut rng = fastrand::Rng::with_seed(1);
        let mut order: Vec<usize> = (0..TOPICS).collect();
        rng.shuffle(&mut order);
        let blocks = order
            .chunks(BLOCK)
            .map(|devices| Block::new(devices, payload, &mut rng))
            .collect();
        Self {
            socket,
            blocks,
            next: 0,
        }
    }

    /// Sends so many or a few more, paced. How many.
    fn send(&mut self, count: usize, rate: usize) -> usize {
        let (begin, mut sent) = (Instant::now(), 0);
        while sent < count {
            let count_of_blocks = self.blocks.len();
            let block = &mut self.blocks[self.next];
            self.next = (self.next + 1) % count_of_blocks;
            sent += block.times.len();
            let now = SystemTime::now()
                .duration_since(SystemTime::UNIX_EPOCH)
                .expect("a clock that is set");
            block.date(&now.as_millis().to_string());
            self.socket.write_all(&block.bytes).expect("the broker");
            let due = Duration::from_secs_f64(sent as f64 / rate as f64);
            std::thread::sleep(due.saturating_sub(begin.elapsed()));
        }
        sent
    }
}

/// 130 bytes with 6 numbers; the time stands where [`Block`] expects it.
fn telemetry(device: usize, rng: &mut fastrand::Rng) -> String {
    format!(
        "{{\"ts\":1700000000000,\"dev\":\"dev-{device:06}\",\"seq\":{},\"temp\":{:.2},\"hum\":{:.1},\"rssi\":{},\"batt\":{:.3},\"vib\":{:.5},\"ok\":true}}",
        rng.u32(0..BLOCK as u32),
        15.0 + 10.0 * rng.f64(),
        30.0 + 40.0 * rng.f64(),
        -40 - rng.i32(0..50),
        3.0 + rng.f64(),
        rng.f64() * 0.1,
    )
}

/// 10 numbers.
fn ten_signals(_: usize, rng: &mut fastrand::Rng) -> String {
    let mut text = String::from("{\"ts\":1700000000000");
    for signal in 0..10 {
        text += &format!(",\"signal-{signal}\":{:.2}", 20.0 + 10.0 * rng.f64());
    }
    text + "}"
}

impl Block {
    fn new(devices: &[usize], payload: fn(usize, &mut fastrand::Rng) -> String, rng: &mut fastrand::Rng) -> Self {
        let mut block = Self {
            bytes: Vec::new(),
            times: Vec::new(),
        };
        for device in devices {
            let topic = format!("site/s{:02}/dev-{device:06}/telemetry", device % 40);
            let payload = payload(*device, rng);
            let length = 2 + topic.len() + payload.len();
            let (low, high) = ((length & 0x7f) as u8, (length >> 7) as u8);
            block.bytes.push(0x30);
            if high == 0 {
                block.bytes.push(low);
            } else {
                block.bytes.extend([low | 0x80, high]);
            }
            block.bytes.extend((topic.len() as u16).to_be_bytes());
            block.bytes.extend(topic.as_bytes());
            block.times.push(block.bytes.len() + "{\"ts\":".len());
            block.bytes.extend(payload.as_bytes());
        }
        block
    }

    fn date(&mut self, millis: &str) {
        for at in &self.times {
            self.bytes[*at..at + millis.len()].copy_from_slice(millis.as_bytes());
        }
    }
}
