//! The service whose faults are acted: an HTTP server with health, metrics and a database that it asks, ill as the words in a file say.
//!
//! `instance NAME PORT MODE_FILE [DATABASE]`. Without a database it is one: it answers every request well.

use std::path::PathBuf;
use std::process::ExitCode;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::{TcpListener, TcpStream};

/// A database that has not answered by then is down for whoever asks.
const DATABASE_LATE: Duration = Duration::from_millis(250);

struct Instance {
    name: String,
    mode: PathBuf,
    database: Option<String>,
    good: AtomicU64,
    bad: AtomicU64,
    refused: AtomicU64,
}

pub fn main(arguments: &[String]) -> ExitCode {
    let [name, port, mode, rest @ ..] = arguments else {
        return ExitCode::from(2);
    };
    let instance = Arc::new(Instance {
        name: name.clone(),
        mode: mode.into(),
        database: rest.first().cloned(),
        good: AtomicU64::new(0),
        bad: AtomicU64::new(0),
        refused: AtomicU64::new(0),
    });
    let port: u16 = port.parse().expect("a port");
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build();
    runtime.expect("a runtime").block_on(serve(instance, port));
    ExitCode::SUCCESS
}

async fn serve(instance: Arc<Instance>, port: u16) {
    loop {
        let listener = TcpListener::bind(("0.0.0.0", port)).await.expect("its port");
        loop {
            if instance.mode().0 == "closed" {
                break;
            }
            // Looked at again and again: a port is closed without a request.
            let accepted = tokio::time::timeout(Duration::from_millis(20), listener.accept()).await;
            if let Ok(Ok((stream, _))) = accepted {
                tokio::spawn(answer(Arc::clone(&instance), stream));
            }
        }
        drop(listener);
        while instance.mode().0 == "closed" {
            tokio::time::sleep(Duration::from_millis(20)).await;
        }
    }
}

async fn answer(instance: Arc<Instance>, mut stream: TcpStream) {
    let _ = stream.set_nodelay(true);
    let mut buffer = vec![0; 4096];
    while let Ok(read @ 1..) = stream.read(&mut buffer).await {
        let request = String::from_utf8_lossy(&buffer[..read]).into_owned();
        let path = request.split(' ').nth(1).unwrap_or("/").to_owned();
        let (mode, number) = instance.mode();
        let metrics = path == "/metrics";
        let work = !metrics && path != "/healthz";
        match mode.as_str() {
            "silent" => {
                tokio::time::sleep(Duration::from_secs(60)).await;
                return;
            }
            "reset" => return,
            "garbage" => {
                let _ = stream.write_all(b"\x00\x01\x02 SSH-2.0-nonsense\r\n\r\n").await;
                return;
            }
            "slow" => tokio::time::sleep(Duration::from_millis(number)).await,
            "slow-metrics" if metrics => tokio::time::sleep(Duration::from_millis(number)).await,
            _ => {}
        }
        let mut status = match mode.as_str() {
            "status" => number as u16,
            "status-but-metrics" if !metrics => number as u16,
            "status-of-work" if work => number as u16,
            "no-metrics" if metrics => 404,
            _ => 200,
        };
        let database = status >= 400 || metrics || instance.database_answers().await;
        if !database {
            status = 503;
        }
        if work {
            let count = match status {
                500.. => &instance.bad,
                400.. => &instance.refused,
                _ => &instance.good,
            };
            count.fetch_add(1, Ordering::Relaxed);
        }
        let body = if mode == "garbage-metrics" && metrics {
            "\u{1}{{{{ nonsense\n".repeat(50)
        } else if metrics {
            instance.metrics(&(mode, number)).await
        } else {
            instance.name.clone()
        };
        let answer = format!(
            "HTTP/1.1 {status} X\r\nContent-Type: text/plain; version=0.0.4\r\nContent-Length: {}\r\nConnection: close\r\n\r\n{body}",
            body.len()
        );
        let _ = stream.write_all(answer.as_bytes()).await;
        return;
    }
}

impl Instance {
    /// `word number`.
    fn mode(&self) -> (String, u64) {
        let text = std::fs::read_to_string(&self.mode).unwrap_or_default();
        let mut words = text.split_whitespace();
        let word = words.next().unwrap_or_default().to_owned();
        (word, words.next().and_then(|n| n.parse().ok()).unwrap_or(0))
    }

    async fn database_answers(&self) -> bool {
        let Some(database) = &self.database else { return true };
        let ask = async {
            let mut stream = TcpStream::connect(database).await.ok()?;
            stream.write_all(b"GET /row HTTP/1.1\r\n\r\n").await.ok()?;
            let mut answer = String::new();
            stream.read_to_string(&mut answer).await.ok()?;
            answer.starts_with("HTTP/1.1 200").then_some(())
        };
        tokio::time::timeout(DATABASE_LATE, ask)
            .await
            .is_ok_and(|answer| answer.is_some())
    }

    async fn metrics(&self, mode: &(String, u64)) -> String {
        let (mode, number) = mode;
        let ill = ["status", "status-but-metrics", "status-of-work"].contains(&mode.as_str()) && *number >= 500;
        let healthy = !ill && self.database_answers().await;
        let mut text = format!(
            "# TYPE service_healthy gauge\nservice_healthy {}\n# TYPE http_requests_total counter\n",
            u8::from(healthy)
        );
        for (code, count) in [(200, &self.good), (404, &self.refused), (500, &self.bad)] {
            text += &format!(
                "http_requests_total{{code=\"{code}\"}} {}\n",
                count.load(Ordering::Relaxed)
            );
        }
        text
    }
}
