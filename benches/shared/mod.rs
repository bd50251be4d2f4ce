//! What benches that run other programs have in common.

use std::net::TcpListener;
use std::path::{Path, PathBuf};

use tokio::io::{AsyncReadExt, AsyncWriteExt};

/// Where an installed program is.
pub fn find(program: &str) -> Option<PathBuf> {
    if program.contains('/') {
        return Some(program.into());
    }
    let path = std::env::var("PATH").unwrap_or_default() + ":/usr/sbin:/sbin";
    path.split(':')
        .map(|dir| Path::new(dir).join(program))
        .find(|file| file.is_file())
}

/// Those that are not installed.
pub fn missing<'a>(programs: &[&'a str]) -> Vec<&'a str> {
    let gone = |program: &&str| find(program).is_none();
    programs.iter().copied().filter(gone).collect()
}

/// A port of this machine's own network that nobody listens on.
pub fn free_port() -> u16 {
    let listener = TcpListener::bind("127.0.0.1:0").expect("a port");
    listener.local_addr().expect("a port").port()
}

/// A connection on which webhooks come, one after the other.
pub struct Webhooks(pub tokio::net::TcpStream);

impl Webhooks {
    /// The body of the next one; to be answered.
    pub async fn next(&mut self) -> Option<serde_json::Value> {
        let mut text = Vec::new();
        let mut buffer = vec![0; 65_536];
        while let Ok(read @ 1..) = self.0.read(&mut buffer).await {
            text.extend_from_slice(&buffer[..read]);
            let whole = String::from_utf8_lossy(&text);
            let Some((head, body)) = whole.split_once("\r\n\r\n") else {
                continue;
            };
            let length = head.lines().find_map(|line| {
                let line = line.to_ascii_lowercase();
                let length = line.strip_prefix("content-length:")?;
                length.trim().parse::<usize>().ok()
            });
            if length.is_none_or(|length| body.len() >= length) {
                return Some(serde_json::from_str(body).unwrap_or_default());
            }
        }
        None
    }

    pub async fn answer(&mut self) {
        let _ = self.0.write_all(b"HTTP/1.1 200 OK\r\nContent-Length: 0\r\n\r\n").await;
    }
}

/// The alerts of a webhook that fire.
pub fn firing(webhook: &serde_json::Value) -> impl Iterator<Item = &serde_json::Value> {
    let alerts = webhook["alerts"].as_array().into_iter().flatten();
    alerts.filter(|alert| alert["status"] == "firing")
}
