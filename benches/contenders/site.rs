//! The network and what stands in it: two hosts with an instance each, a third one with the database and the broker that both need, and the machine
//! from which all is watched. Each is a network namespace; they meet in a bridge.

use std::os::unix::process::CommandExt;
use std::path::PathBuf;
use std::process::{Child, Command, Stdio};
use std::time::{Duration, Instant};

use crate::shared::find;

/// Where the service listens, on both hosts.
pub const PORT: u16 = 8000;
/// Where the database and the broker listen.
pub const DATABASE: u16 = 5432;
pub const BROKER: u16 = 1883;

pub const HOST_A: &str = "10.77.0.2";
pub const HOST_B: &str = "10.77.0.3";
pub const HOST_C: &str = "10.77.0.4";
/// The address that keepalived carries about.
pub const VIRTUAL: &str = "10.77.0.100";

/// Runs a command that must end well.
pub fn must(line: &str) {
    let words: Vec<&str> = line.split_whitespace().collect();
    let program = find(words[0]).unwrap_or_else(|| panic!("{} is not installed", words[0]));
    let output = Command::new(program)
        .args(&words[1..])
        .output()
        .expect("a started program");
    let said = String::from_utf8_lossy(&output.stderr);
    assert!(output.status.success(), "{line}: {said}");
}

/// A child process that leads a group of its own and ends with its guard, and all of the group with it.
pub struct Running(Child);

impl Drop for Running {
    fn drop(&mut self) {
        self.signal("KILL");
        let _ = self.0.kill();
        let _ = self.0.wait();
    }
}

impl Running {
    fn spawn(command: &mut Command) -> Self {
        Self(command.process_group(0).spawn().expect("a started program"))
    }

    pub fn signal(&self, name: &str) {
        let _ = Command::new("kill")
            .args([&format!("-{name}"), "--", &format!("-{}", self.0.id())])
            .stderr(Stdio::null())
            .status();
    }
}

/// A host: a namespace that lives as long as the process in it.
struct Host(Running);

impl Host {
    fn start(name: &str, address: &str) -> Self {
        let host = Self(Running::spawn(
            Command::new("unshare").args(["-n", "sleep", "infinity"]),
        ));
        // `unshare` is in its own network only once it has become `sleep`.
        let comm = format!("/proc/{}/comm", host.pid());
        let began = Instant::now();
        while std::fs::read_to_string(&comm).unwrap_or_default().trim() != "sleep" {
            assert!(began.elapsed() < Duration::from_secs(5), "no namespace");
            std::thread::sleep(Duration::from_millis(5));
        }
        let pid = host.pid();
        must(&format!("ip link add v-{name} type veth peer name e-{name}"));
        must(&format!("ip link set e-{name} netns {pid}"));
        must(&format!("ip link set v-{name} master bridge up"));
        for line in [
            "link set lo up".to_owned(),
            format!("addr add {address}/24 dev e-{name}"),
            format!("link set e-{name} up"),
        ] {
            must(&format!("nsenter -t {pid} -n ip {line}"));
        }
        host
    }

    fn pid(&self) -> u32 {
        self.0.0.id()
    }
}

/// All of it, until this process ends.
pub struct Network {
    a: Host,
    b: Host,
    c: Host,
}

impl Network {
    pub fn build() -> Self {
        must("ip link set lo up");
        must("ip link add bridge type bridge");
        must("ip link set bridge up");
        // The watching machine hangs on a cable of its own, so that it alone can be cut off.
        must("ip link add v-w type veth peer name e-w");
        must("ip link set v-w master bridge up");
        must("ip addr add 10.77.0.1/24 dev e-w");
        must("ip link set e-w up");
        Self {
            a: Host::start("a", HOST_A),
            b: Host::start("b", HOST_B),
            c: Host::start("c", HOST_C),
        }
    }
}

/// One service in its world, for one fault.
pub struct Site {
    pub dir: tempfile::TempDir,
    hosts: [u32; 3],
    kids: Vec<(String, Running)>,
    pulled: Vec<char>,
    pub haproxy_socket: PathBuf,
}

/// The next one finds all cables plugged in.
impl Drop for Site {
    fn drop(&mut self) {
        for host in &self.pulled {
            must(&format!("ip link set v-{host} up"));
        }
    }
}

impl Site {
    pub fn start(network: &Network) -> Self {
        let dir = tempfile::tempdir().expect("a folder");
        let mut site = Self {
            haproxy_socket: dir.path().join("haproxy.sock"),
            dir,
            hosts: [network.a.pid(), network.b.pid(), network.c.pid()],
            kids: Vec::new(),
            pulled: Vec::new(),
        };
        let conf = format!("listener {BROKER} 0.0.0.0\nallow_anonymous true\nset_tcp_nodelay true\n");
        site.write("mosquitto.conf", &conf);
        site.start_on('c', "broker", "mosquitto", &["-c", "mosquitto.conf"]);
        site.start_instance("db");
        site.start_instance("a");
        site.start_instance("b");
        site
    }

    pub fn path(&self, name: &str) -> String {
        self.dir.path().join(name).display().to_string()
    }

    pub fn write(&self, name: &str, text: &str) {
        // Put in place whole: it is read while it is written.
        let aside = self.dir.path().join(format!("{name}.new"));
        std::fs::write(&aside, text).expect("a file");
        std::fs::rename(aside, self.dir.path().join(name)).expect("a file");
    }

    /// Starts a program on a host, `a`, `b` or `c`, or on the watching machine, `w`.
    pub fn start_on(&mut self, host: char, name: &str, program: &str, arguments: &[&str]) {
        let log = std::fs::File::options()
            .create(true)
            .append(true)
            .open(self.dir.path().join(format!("{name}.log")))
            .expect("a log");
        let program = find(program).unwrap_or_else(|| panic!("{program} is not installed"));
        let mut command = match "abc".find(host) {
            Some(at) => {
                let mut command = Command::new("nsenter");
                command
                    .args(["-t", &self.hosts[at].to_string(), "-n", "--"])
                    .arg(program);
                command
            }
            None => Command::new(program),
        };
        command
            .args(arguments)
            .current_dir(self.dir.path())
            .stdin(Stdio::null())
            .stdout(log.try_clone().expect("a log"))
            .stderr(log);
        self.kids.retain(|(known, _)| known != name);
        self.kids.push((name.to_owned(), Running::spawn(&mut command)));
    }

    pub fn start_instance(&mut self, name: &str) {
        let this = std::env::current_exe().expect("this program").display().to_string();
        let mode = self.path(&format!("mode-{name}"));
        let (host, port) = match name {
            "db" => ('c', DATABASE),
            _ => (name.chars().next().unwrap_or('a'), PORT),
        };
        let (port, database) = (port.to_string(), format!("{HOST_C}:{DATABASE}"));
        let mut arguments = vec!["instance", name, &port, &mode];
        if name != "db" {
            arguments.push(&database);
        }
        self.start_on(host, name, &this, &arguments);
    }

    pub fn mode(&self, name: &str, mode: &str) {
        self.write(&format!("mode-{name}"), mode);
    }

    pub fn signal(&self, name: &str, signal: &str) {
        for (_, kid) in self.kids.iter().filter(|(known, _)| known == name) {
            kid.signal(signal);
        }
    }

    /// Waits for its end and forgets it.
    pub fn kill(&mut self, name: &str) {
        self.kids.retain(|(known, _)| known != name);
    }

    /// Pulls the cable of a host, or plugs it in again.
    pub fn cable(&mut self, host: char, state: &str) {
        must(&format!("ip link set v-{host} {state}"));
        self.pulled.push(host);
    }

    /// Devices of two lines that speak each second for as long as the task lives.
    pub fn devices(&self) -> tokio::task::JoinHandle<()> {
        let modes = self.dir.path().join("mode-devices");
        tokio::spawn(async move {
            let mut options = rumqttc::MqttOptions::new("devices", HOST_C, BROKER);
            options.set_keep_alive(Duration::from_secs(5));
            let (client, mut events) = rumqttc::AsyncClient::new(options, 100);
            tokio::spawn(async move {
                loop {
                    if events.poll().await.is_err() {
                        tokio::time::sleep(Duration::from_millis(500)).await;
                    }
                }
            });
            let mut rng = fastrand::Rng::with_seed(7);
            loop {
                let mode = std::fs::read_to_string(&modes).unwrap_or_default();
                for device in 0..6 {
                    let line = device / 3;
                    let value = 20.0 + rng.f64();
                    let payload = match (mode.trim(), device) {
                        ("silent-line", 0..3) => continue,
                        ("stuck", 0) => r#"{"temperature":20.5}"#.to_owned(),
                        ("jump", 0) => r#"{"temperature":9999}"#.to_owned(),
                        ("bad", 0) => r#"{"temperature": 20.,,"#.to_owned(),
                        _ => format!(r#"{{"temperature":{value:.3}}}"#),
                    };
                    let topic = format!("plant/line-{line}/device-{device}/telemetry");
                    let _ = client.try_publish(topic, rumqttc::QoS::AtMostOnce, false, payload);
                }
                tokio::time::sleep(Duration::from_secs(1)).await;
            }
        })
    }

    /// The last lines of what everybody has said.
    pub fn logs(&self) -> String {
        let mut text = String::new();
        for name in [
            "jurymast",
            "prometheus",
            "alertmanager",
            "haproxy",
            "keepalived-a",
            "keepalived-b",
            "broker",
            "a",
            "b",
        ] {
            let log = std::fs::read_to_string(self.dir.path().join(format!("{name}.log"))).unwrap_or_default();
            let lines: Vec<&str> = log.lines().collect();
            let last = &lines[lines.len().saturating_sub(if name == "jurymast" { 60 } else { 5 })..];
            text += &format!("--- {name}\n{}\n", last.join("\n"));
        }
        text
    }
}
