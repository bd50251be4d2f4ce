//! `jurymast plan`: names that mean nothing in the file, and numbers that mean nothing anywhere, are refused.

use std::process::Command;

const FLEET: &str = "
nodes:
  - { name: a, zone: x, labels: [ssd], capacity: { cpu: 4 } }
  - { name: b, zone: y, capacity: { cpu: 4 } }
latency:
  - { between: [x, office], ms: 3 }
pairs: [[a, b]]
services:
  - { name: db, needs: [ssd], zones: [x], clients: office, demands: { cpu: 1 }, on: a, cold: { activation: 5s } }
";

/// Exit code, and all that is said.
fn plan(text: &str, arguments: &[&str]) -> (Option<i32>, String) {
    let dir = tempfile::tempdir().unwrap();
    let file = dir.path().join("fleet.yml");
    std::fs::write(&file, text).unwrap();
    let said = Command::new(env!("CARGO_BIN_EXE_jurymast"))
        .arg("plan")
        .arg(&file)
        .args(arguments)
        .output()
        .unwrap();
    (
        said.status.code(),
        String::from_utf8([said.stdout, said.stderr].concat()).unwrap(),
    )
}

#[test]
fn a_name_that_nothing_has_is_refused_with_what_was_probably_meant() {
    let (code, text) = plan(FLEET, &[]);
    assert_eq!(code, Some(1), "nobody else has an ssd: {text}");
    for (right, wrong, told) in [
        (
            "needs: [ssd]",
            "needs: [sdd]",
            "db names \"sdd\", which is no label of a node of this fleet; did you mean 'ssd'?",
        ),
        (
            "zones: [x]",
            "zones: [xx]",
            "db names \"xx\", which is no zone of this fleet; did you mean 'x'?",
        ),
        (
            "clients: office",
            "clients: offce",
            "db names \"offce\", which is no zone of this fleet; did you mean 'office'?",
        ),
        (
            "pairs: [[a, b]]",
            "pairs: [[a, dc]]",
            "pairs names \"dc\", which is no thing that can be lost of this fleet; did you mean",
        ),
    ] {
        let text = FLEET.replace(right, wrong);
        assert_ne!(text, FLEET);
        let (code, said) = plan(&text, &[]);
        assert!(code == Some(2) && said.contains(told), "{said}");
    }
    let (code, said) = plan(FLEET, &["--lose", "bb"]);
    assert!(
        code == Some(2) && said.contains("nothing here is called \"bb\"; did you mean '"),
        "{said}"
    );
}

#[test]
fn a_number_beyond_all_sense_is_refused_with_its_place_and_few_digits() {
    let (code, said) = plan(&FLEET.replace("cpu: 1 }", "cpu: 1e308 }"), &[]);
    assert!(
        code == Some(2) && said.contains("db: cpu is 1e308; it must lie in 0..=1e9"),
        "{said}"
    );
    let config = "
agent: {name: here}
services:
  - {name: web, active: a, standbys: [{entity: b}], playbook: exec-scripts, demands: {cpu: 1e308}, probe: {uses: tcp}}
";
    let (code, said) = plan(config, &[]);
    let told = "service 'web': demands.cpu: 1e308 must be a number of at least 0, and at most 1000000000";
    assert!(code == Some(2) && said.contains(told), "{said}");
}
