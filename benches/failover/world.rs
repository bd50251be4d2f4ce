//! The services, the proxy and the client that all contenders share.

use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::{Duration, Instant};

use tokio::io::{AsyncReadExt, AsyncWriteExt};

use crate::shared::{find, free_port};

/// A child process that ends with its guard.
pub struct Running(Child);

impl Drop for Running {
    fn drop(&mut self) {
        let _ = self.0.kill();
        let _ = self.0.wait();
    }
}

impl Running {
    pub fn start(dir: &Path, log: &str, program: &str, args: &[String]) -> Self {
        let log = std::fs::File::create(dir.join(log)).expect("a log file");
        let errors = log.try_clone().expect("a log file");
        let child = Command::new(find(program).expect("an installed program"))
            .args(args)
            .current_dir(dir)
            .stdin(Stdio::null())
            .stdout(log)
            .stderr(errors)
            .spawn()
            .expect("a started program");
        Self(child)
    }
}

/// One service with its two instances and its front.
pub struct Served {
    pub bad: Arc<AtomicBool>,
    pub primary: u16,
    pub standby: u16,
    pub front: u16,
}

pub struct World {
    pub dir: tempfile::TempDir,
    pub services: Vec<Served>,
    pub exporter: u16,
    pub mqtt: u16,
    pub haproxy_socket: PathBuf,
    _kids: Vec<Running>,
}

impl World {
    pub async fn start(count: usize) -> Self {
        let dir = tempfile::tempdir().expect("a folder");
        let mut services = Vec::new();
        for _ in 0..count {
            let bad = Arc::new(AtomicBool::new(false));
            let primary = serve("primary", Arc::clone(&bad), Vec::new()).await;
            let standby = serve("standby", Arc::default(), Vec::new()).await;
            services.push(Served {
                bad,
                primary,
                standby,
                front: free_port(),
            });
        }
        let flags = services.iter().map(|s| Arc::clone(&s.bad)).collect();
        let exporter = serve("exporter", Arc::default(), flags).await;
        let haproxy_socket = dir.path().join("haproxy.sock");
        let mut config = format!(
            "global\n stats socket {} level admin\n maxconn 2000\ndefaults\n mode http\n timeout client 60s\n timeout server 5s\n timeout connect 2s\n",
            haproxy_socket.display()
        );
        for (i, s) in services.iter().enumerate() {
            config += &format!(
                "frontend f{i}\n bind 127.0.0.1:{}\n default_backend be{i}\nbackend be{i}\n server primary-{i} 127.0.0.1:{}\n server standby-{i} 127.0.0.1:{} disabled\n",
                s.front, s.primary, s.standby
            );
        }
        let file = dir.path().join("haproxy.cfg");
        std::fs::write(&file, config).expect("a config");
        let haproxy = Running::start(
            dir.path(),
            "haproxy.log",
            "haproxy",
            &["-db".into(), "-f".into(), file.display().to_string()],
        );
        let mqtt = free_port();
        let file = dir.path().join("mosquitto.conf");
        std::fs::write(
            &file,
            format!("listener {mqtt} 127.0.0.1\nallow_anonymous true\nset_tcp_nodelay true\n"),
        )
        .expect("a config");
        let mosquitto = Running::start(
            dir.path(),
            "mosquitto.log",
            "mosquitto",
            &["-c".into(), file.display().to_string()],
        );
        Self {
            dir,
            services,
            exporter,
            mqtt,
            haproxy_socket,
            _kids: vec![haproxy, mosquitto],
        }
    }

    /// The last lines of a program's log.
    pub fn log_end(&self, name: &str) -> String {
        let text = std::fs::read_to_string(self.dir.path().join(name)).unwrap_or_default();
        let lines: Vec<&str> = text.lines().collect();
        lines[lines.len().saturating_sub(60)..].join("\n")
    }

    pub async fn settle(&self, span: Duration) {
        tokio::time::sleep(span).await;
    }

    /// One fault per service, each in a random one of five seconds. What a poller adds depends on where in its second a
    /// fault falls, so the n faults are spread evenly over it (stratified): with few faults chance alone would decide the
    /// median. Milliseconds until the standby served.
    pub async fn break_all(&self, push: bool, seed: u64) -> Vec<f64> {
        let mut rng = fastrand::Rng::with_seed(seed);
        let (client, mut events) =
            rumqttc::AsyncClient::new(rumqttc::MqttOptions::new("fault", "127.0.0.1", self.mqtt), 100);
        let poll = tokio::spawn(async move { while events.poll().await.is_ok() {} });
        let mut waits = Vec::new();
        let mut strata: Vec<usize> = (0..self.services.len()).collect();
        rng.shuffle(&mut strata);
        for ((i, service), stratum) in self.services.iter().enumerate().zip(&strata) {
            let (front, bad, client) = (service.front, Arc::clone(&service.bad), client.clone());
            let within = (*stratum as f64 + rng.f64()) / self.services.len() as f64;
            let phase = Duration::from_secs_f64(rng.u32(0..5).into()) + Duration::from_secs_f64(within);
            waits.push(tokio::spawn(async move {
                tokio::time::sleep(phase).await;
                let begin = Instant::now();
                bad.store(true, Ordering::SeqCst);
                if push {
                    let topic = format!("health/primary-{i}");
                    client
                        .publish(topic, rumqttc::QoS::AtMostOnce, false, r#"{"ok":0}"#)
                        .await
                        .expect("a queue");
                }
                while begin.elapsed() < Duration::from_secs(30) {
                    if get(front).await.is_some_and(|body| body == "standby") {
                        return Some(begin.elapsed().as_secs_f64() * 1e3);
                    }
                    tokio::time::sleep(Duration::from_millis(5)).await;
                }
                None
            }));
        }
        let mut times = Vec::new();
        for wait in waits {
            times.extend(wait.await.ok().flatten());
        }
        poll.abort();
        times
    }
}

async fn get(port: u16) -> Option<String> {
    let mut stream = tokio::net::TcpStream::connect(("127.0.0.1", port)).await.ok()?;
    stream
        .write_all(b"GET / HTTP/1.1\r\nHost: x\r\nConnection: close\r\n\r\n")
        .await
        .ok()?;
    let mut answer = String::new();
    stream.read_to_string(&mut answer).await.ok()?;
    let (head, body) = answer.split_once("\r\n\r\n")?;
    head.starts_with("HTTP/1.1 200").then(|| body.to_owned())
}

/// A tiny HTTP server: its name, or 503 while it is bad; the exporter tells every flag.
async fn serve(name: &'static str, bad: Arc<AtomicBool>, flags: Vec<Arc<AtomicBool>>) -> u16 {
    let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await.expect("a port");
    let port = listener.local_addr().expect("a port").port();
    tokio::spawn(async move {
        while let Ok((mut stream, _)) = listener.accept().await {
            let (bad, flags) = (Arc::clone(&bad), flags.clone());
            tokio::spawn(async move {
                let _ = stream.set_nodelay(true);
                let mut buffer = vec![0; 4096];
                while let Ok(read @ 1..) = stream.read(&mut buffer).await {
                    let close = String::from_utf8_lossy(&buffer[..read]).contains("Connection: close");
                    let body = if flags.is_empty() {
                        name.to_owned()
                    } else {
                        let line = |(i, f): (usize, &Arc<AtomicBool>)| {
                            format!("svc_up{{inst=\"{i}\"}} {}\n", u8::from(!f.load(Ordering::SeqCst)))
                        };
                        format!(
                            "# TYPE svc_up gauge\n{}",
                            flags.iter().enumerate().map(line).collect::<String>()
                        )
                    };
                    let status = if bad.load(Ordering::SeqCst) {
                        "503 Service Unavailable"
                    } else {
                        "200 OK"
                    };
                    let answer = format!(
                        "HTTP/1.1 {status}\r\nContent-Type: text/plain; version=0.0.4\r\nContent-Length: {}\r\n\r\n{body}",
                        body.len()
                    );
                    if stream.write_all(answer.as_bytes()).await.is_err() || close {
                        break;
                    }
                }
            });
        }
    });
    port
}
