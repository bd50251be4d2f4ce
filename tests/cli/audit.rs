//! The audit log over HTTP: a log of years is shown page by page, and asking for a page reads no more than that page.

use std::fmt::Write as _;
use std::path::Path;

use ring::digest::{SHA256, digest};
use serde_json::Value;

use crate::harness::{self, Server, free_port, get, wait};

/// Records in each file; the last one is being written.
const RECORDS: [u64; 3] = [30_000, 30_000, 500];

fn hash(before: &str, json: &str) -> String {
    let digest = digest(&SHA256, format!("{before}\n{json}").as_bytes());
    digest.as_ref().iter().fold(String::new(), |mut text, byte| {
        let _ = write!(text, "{byte:02x}");
        text
    })
}

/// A log as an agent would have left it: with epochs from 1 on. Its length in bytes.
fn leave_log(data: &Path) -> usize {
    std::fs::create_dir_all(data).unwrap();
    let (mut last, mut length) = ("0".repeat(64), 0);
    let mut epochs = 1..;
    for (file, count) in RECORDS.into_iter().enumerate() {
        let mut text = String::new();
        let follows = format!("{{\"follows\":\"{last}\"}}");
        let records = epochs.by_ref().take(count as usize).map(|epoch| {
            format!("{{\"written\":\"2026-01-01T00:00:00Z\",\"record\":{{\"record\":\"epoch\",\"epoch\":{epoch}}}}}")
        });
        for json in [follows].into_iter().chain(records) {
            last = hash(&last, &json);
            text += &format!("{last} {json}\n");
        }
        length += text.len();
        let name = if file + 1 == RECORDS.len() {
            "audit".to_owned()
        } else {
            format!("audit.{}", file + 1)
        };
        std::fs::write(data.join(name), text).unwrap();
    }
    length
}

/// Bytes that a process has read so far, from files and sockets.
fn read_by(id: u32) -> usize {
    let text = std::fs::read_to_string(format!("/proc/{id}/io")).unwrap();
    let line = text.lines().find_map(|line| line.strip_prefix("rchar: "));
    line.unwrap().parse().unwrap()
}

fn epochs(page: &Value) -> Vec<u64> {
    let records = page["records"].as_array().unwrap();
    records
        .iter()
        .filter_map(|one| one["record"]["epoch"].as_u64())
        .collect()
}

#[test]
fn a_long_log_is_shown_page_by_page() {
    let dir = tempfile::tempdir().unwrap();
    let length = leave_log(&dir.path().join("data"));
    let port = free_port();
    let config = format!(
        "agent: {{data_dir: data}}\napi: {{listen: '127.0.0.1:{port}'}}\n{}",
        harness::GOOD
    );
    std::fs::write(dir.path().join("jurymast.yml"), config).unwrap();
    let program = Path::new(env!("CARGO_BIN_EXE_jurymast"));
    let server = Server::start(dir.path(), program, &["run", "-c", "jurymast.yml"]);
    wait("the agent is ready", || get(port, "/-/ready").is_some());
    let page = |query: &str| -> Value {
        let body = get(port, &format!("/api/audit{query}"));
        serde_json::from_str(&body.unwrap_or_else(|| panic!("{query} is not answered"))).unwrap()
    };
    // The agent itself has written since it started.
    let latest = page("");
    assert_eq!(latest["records"].as_array().unwrap().len(), 100);
    assert_eq!(latest["chain"]["whole"], true);
    assert_eq!(latest["chain"]["files"], RECORDS.len());
    let all = latest["chain"]["records"].as_u64().unwrap();
    let left: Vec<u64> = (1..=RECORDS.iter().sum()).collect();
    assert!(all >= left.len() as u64);

    // From page to page to the very first record, without a gap.
    let (mut before, mut seen, mut pages) = (String::new(), Vec::new(), 0);
    loop {
        let told = page(&format!("?limit=1000{before}"));
        let mut here = epochs(&told);
        here.extend(seen);
        seen = here;
        pages += 1;
        match told["before"].as_str() {
            Some(place) => before = format!("&before={place}"),
            None => break,
        }
    }
    assert_eq!(pages, all.div_ceil(1000));
    assert_eq!(&seen[..left.len()], left);

    // A page of the middle, once the chain was looked at.
    let text = std::fs::read(dir.path().join("data/audit.2")).unwrap();
    let at = text[..text.len() / 2].iter().rposition(|byte| *byte == b'\n').unwrap() + 1;
    let quiet = read_by(server.id());
    let told = page(&format!("?limit=10&before=2:{at}"));
    let read = read_by(server.id()) - quiet;
    assert_eq!(epochs(&told).len(), 10);
    assert!(
        read < length / 10,
        "{read} bytes were read for a page of a log of {length}"
    );

    for wrong in [
        "?limit=0",
        "?limit=1001",
        "?limit=x",
        "?before=7",
        "?before=2:1",
        "?before=9:0",
        "?befor=2:0",
    ] {
        assert!(get(port, &format!("/api/audit{wrong}")).is_none(), "{wrong}");
    }
}
