//! `jurymast drill` looks at all that a move needs and changes nothing; `jurymast audit verify` finds what somebody has changed.

mod harness;

use std::net::TcpListener;
use std::path::Path;
use std::process::Command;

use harness::free_port;
use jurymast::act::Journal;
use jurymast::act::journal::Record;
use jurymast::model::Timestamp;

fn jurymast(dir: &Path, arguments: &[&str]) -> (i32, String) {
    let output = Command::new(env!("CARGO_BIN_EXE_jurymast"))
        .args(arguments)
        .current_dir(dir)
        .output()
        .unwrap();
    let text = String::from_utf8(output.stdout).unwrap() + &String::from_utf8(output.stderr).unwrap();
    (output.status.code().unwrap(), text)
}

const PLAYBOOK: &str = "
name: p
summary: One command.
steps:
  - {name: 'fence {from}', phase: fence, on: from, uses: exec, with: {argv: [touch, done], observe: ['false']}}
  - {name: 'switch to {to}', phase: switch, uses: exec, with: {argv: [touch, done]}}
  - {name: look, phase: verify, uses: probe}
";

#[test]
fn a_drill_finds_the_standby_that_is_down_and_touches_nothing() {
    let dir = tempfile::tempdir().unwrap();
    let active = TcpListener::bind("127.0.0.1:0").unwrap();
    let standby = TcpListener::bind("127.0.0.1:0").unwrap();
    let ports = [
        active.local_addr().unwrap().port(),
        standby.local_addr().unwrap().port(),
        free_port(),
    ];
    let entity = |(name, port): (&str, u16)| {
        format!("{{name: {name}, kind: service, attributes: {{address: '127.0.0.1:{port}'}}}}")
    };
    let entities: Vec<String> = ["a", "b", "c"].into_iter().zip(ports).map(entity).collect();
    let config = |standbys: &str| {
        format!(
            "topology: {{entities: [{}]}}\nrules: {{playbooks: [p.yml]}}\nservices:\n  - {{name: web, active: a, standbys: [{standbys}], playbook: p, \
             probe: {{uses: tcp, with: {{address: '{{address}}'}}}}}}\n",
            entities.join(", ")
        )
    };
    std::fs::write(dir.path().join("p.yml"), PLAYBOOK).unwrap();
    std::fs::write(dir.path().join("jurymast.yml"), config("{entity: b}")).unwrap();
    let (code, text) = jurymast(dir.path(), &["drill"]);
    assert_eq!(code, 0, "{text}");
    assert!(
        text.contains("the standby b answers its probe") && text.contains("not seen: exec"),
        "{text}"
    );
    std::fs::write(dir.path().join("jurymast.yml"), config("{entity: b}, {entity: c}")).unwrap();
    let (code, text) = jurymast(dir.path(), &["drill", "--junit", "report.xml"]);
    assert_eq!(code, 1, "{text}");
    assert!(text.contains("BAD: Refused"), "{text}");
    let report = std::fs::read_to_string(dir.path().join("report.xml")).unwrap();
    assert!(
        report.contains("<testsuite name=\"web\"") && report.contains("<failure message=\"Refused\"/>"),
        "{report}"
    );
    assert!(!dir.path().join("done").exists());
    assert_eq!(jurymast(dir.path(), &["drill", "--service", "wen"]).0, 2);
}

#[test]
fn a_changed_line_is_found() {
    let dir = tempfile::tempdir().unwrap();
    let data = dir.path().join("data");
    let mut journal = Journal::open(&data, Timestamp::EPOCH).unwrap().journal;
    for epoch in 1..=3 {
        journal.append(&Record::Epoch { epoch }).unwrap();
    }
    drop(journal);
    let (code, text) = jurymast(dir.path(), &["audit", "verify", "--data-dir", "data"]);
    assert!(
        code == 0 && text.contains("3 records in 1 files, the chain is whole"),
        "{text}"
    );
    let path = data.join("audit");
    let log = std::fs::read_to_string(&path).unwrap();
    std::fs::write(&path, log.replacen("\"epoch\":2", "\"epoch\":9", 1)).unwrap();
    let (code, text) = jurymast(dir.path(), &["audit", "verify", "--data-dir", "data"]);
    assert!(code == 1 && text.contains("line 3"), "{text}");
    let (code, _) = jurymast(dir.path(), &["audit", "verify", "--data-dir", "elsewhere"]);
    assert_eq!(code, 2);
}
