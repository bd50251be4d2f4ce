//! Several jobs that scrape one instance: each is an entity of its own with series of its own, as Prometheus tells them apart.

use std::collections::BTreeMap;
use std::io::{Read, Write};
use std::net::TcpListener;
use std::path::Path;

use serde_json::Value;

use crate::harness::{Server, free_port, get, wait};

/// Answers for its metrics everywhere but on `/slow`.
fn target() -> u16 {
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let port = listener.local_addr().unwrap().port();
    std::thread::spawn(move || {
        for stream in listener.incoming() {
            let Ok(mut stream) = stream else { return };
            let mut bytes = [0; 8192];
            let length = stream.read(&mut bytes).unwrap_or(0);
            let slow = bytes[..length].starts_with(b"GET /slow");
            let (status, body) = if slow { (503, "") } else { (200, "temperature 20.5\n") };
            let answer = format!(
                "HTTP/1.1 {status} X\r\nContent-Type: text/plain; version=0.0.4\r\nContent-Length: {}\r\nConnection: close\r\n\r\n{body}",
                body.len()
            );
            let _ = stream.write_all(answer.as_bytes());
        }
    });
    port
}

/// Of each series of a query: entity, job and instance, and the value.
fn found(api: u16, query: &str) -> BTreeMap<(String, String, String), String> {
    let body = get(api, &format!("/api/v1/query?query={query}")).unwrap_or_default();
    let told: Value = serde_json::from_str(&body).unwrap_or_default();
    let series = told["data"]["result"].as_array().cloned().unwrap_or_default();
    let of = |one: &Value| {
        let label = |name: &str| one["metric"][name].as_str().unwrap_or_default().to_owned();
        let value = one["value"][1].as_str().unwrap_or_default().to_owned();
        ((label("entity"), label("job"), label("instance")), value)
    };
    series.iter().map(of).collect()
}

#[test]
fn two_jobs_of_one_instance_are_two_things() {
    let (dir, api, port) = (tempfile::tempdir().unwrap(), free_port(), target());
    let instance = format!("127.0.0.1:{port}");
    std::fs::write(dir.path().join("found.yml"), format!("- targets: ['{instance}']\n")).unwrap();
    let config = format!(
        "agent: {{data_dir: data}}\napi: {{listen: '127.0.0.1:{api}'}}\nrules: {{history: 5m}}\nsources:\n  scrape:\n  - {{job: app, interval: 200ms, targets: ['{instance}']}}\n\
         \x20 - {{job: slow, interval: 200ms, path: /slow, targets: ['{instance}']}}\n  - {{job: named, interval: 200ms, targets: [{{address: '{instance}', entity: pump}}]}}\n\
         \x20 scrape_configs:\n  - {{job_name: listed, scrape_interval: 200ms, scrape_timeout: 100ms, static_configs: [{{targets: ['{instance}']}}]}}\n\
         \x20 - {{job_name: discovered, scrape_interval: 200ms, scrape_timeout: 100ms, file_sd_configs: [{{files: [found.yml]}}]}}\n"
    );
    std::fs::write(dir.path().join("jurymast.yml"), config).unwrap();
    let program = Path::new(env!("CARGO_BIN_EXE_jurymast"));
    let arguments = ["run", "--observe-only", "-c", "jurymast.yml"];
    let _agent = Server::start(dir.path(), program, &arguments);
    let due: BTreeMap<_, _> = ["app", "slow", "named", "listed", "discovered"]
        .into_iter()
        .map(|job| {
            let entity = match job {
                "app" => instance.clone(),
                "named" => "pump".to_owned(),
                job => format!("{job}/{instance}"),
            };
            let up = if job == "slow" { "0" } else { "1" };
            ((entity, job.to_owned(), instance.clone()), up.to_owned())
        })
        .collect();
    wait("each job has its own up", || found(api, "up") == due);
    // Each target has what it said, and none what another one said.
    let of_jobs = |found: BTreeMap<(String, String, String), String>| -> Vec<String> {
        found.into_keys().map(|(_, job, _)| job).collect()
    };
    let mut jobs = of_jobs(found(api, "temperature"));
    jobs.sort();
    assert_eq!(jobs, ["app", "discovered", "listed", "named"]);
    // Only the one that answers wrongly is told of.
    wait("the bad one is not well", || {
        let status: Value = serde_json::from_str(&get(api, "/api/status").unwrap_or_default()).unwrap_or_default();
        let entities = status["entities"].as_array().cloned().unwrap_or_default();
        let bad: Vec<String> = entities
            .iter()
            .filter(|entity| entity["health"] == "bad")
            .map(|entity| entity["name"].as_str().unwrap_or_default().to_owned())
            .collect();
        bad == [format!("slow/{instance}")]
    });
}
