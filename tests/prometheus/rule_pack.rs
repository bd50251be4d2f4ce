//! The rule pack passes its tests, and `jurymast test rules` ends as promtool does.

use std::collections::BTreeMap;
use std::path::Path;
use std::process::Command;

use jurymast::promql::rules::{RuleFile, UnitFile};
use jurymast::promql::{Options, Semantics};

use crate::harness::{find, skipped};

/// Every rule of the pack has a test in which it fires and one in which it does not; promtool agrees.
#[test]
fn the_rule_pack_passes_its_tests() {
    let root = Path::new(env!("CARGO_MANIFEST_DIR")).join("rules/alerts");
    let mut tested: BTreeMap<String, usize> = BTreeMap::new();
    for broker in ["mosquitto", "emqx", "hivemq", "vernemq"] {
        let rules = std::fs::read_to_string(root.join(format!("{broker}.yml"))).unwrap();
        let file = RuleFile::parse(broker, &rules).unwrap_or_else(|errors| panic!("{errors:?}"));
        let path = root.join(format!("tests/{broker}.yml"));
        let unit = UnitFile::parse(&std::fs::read_to_string(&path).unwrap()).unwrap();
        for semantics in [Semantics::V3, Semantics::V2] {
            let results = unit.run(
                &[(broker.to_owned(), file.clone())],
                Options {
                    semantics,
                    ..Options::default()
                },
            );
            for result in results {
                assert!(
                    result.problems.is_empty(),
                    "{broker}: {}: {}",
                    result.test,
                    result.problems.join("\n")
                );
                for alert in result.expects {
                    *tested.entry(alert).or_default() += 1;
                }
            }
        }
        for rule in file.rules() {
            assert!(tested.contains_key(rule.name()), "no test expects {}", rule.name());
        }
        if !skipped("the rule pack by promtool", &["promtool"]) {
            let answer = Command::new(find("promtool").unwrap())
                .args(["test", "rules"])
                .arg(&path)
                .output()
                .unwrap();
            assert!(answer.status.success(), "{}", String::from_utf8_lossy(&answer.stdout));
        }
    }
}

/// The command and promtool say the same of the same files: of those that pass, and of those that do not.
#[test]
fn the_command_ends_as_promtool_does() {
    let rules = "groups:\n- name: g\n  rules:\n  - alert: Down\n    expr: up == 0\n    for: 2m\n    labels: {severity: page}\n    annotations: {summary: '{{ $labels.job }} {{ $value }} {{ $value | humanizeDuration }}'}\n  - record: job:up:sum\n    expr: sum by (job) (up)\n";
    let unit = |at: &str, annotation: &str, sum: &str| {
        format!(
            "rule_files: [rules.yml]\nevaluation_interval: 1m\ntests:\n- interval: 1m\n  input_series:\n  - series: 'up{{job=\"a\", instance=\"1\"}}'\n    values: '1 0x10'\n  - series: 'up{{job=\"a\", instance=\"2\"}}'\n    values: '1x11'\n  alert_rule_test:\n  - eval_time: {at}\n    alertname: Down\n    exp_alerts:\n    - exp_labels: {{severity: page, job: a, instance: '1'}}\n      exp_annotations: {{summary: '{annotation}'}}\n  promql_expr_test:\n  - expr: job:up:sum\n    eval_time: 5m\n    exp_samples: [{{labels: 'job:up:sum{{job=\"a\"}}', value: {sum}}}]\n"
        )
    };
    let dir = tempfile::tempdir().unwrap();
    std::fs::write(dir.path().join("rules.yml"), rules).unwrap();
    let ends = |program: &Path, arguments: &[&str], path: &Path| {
        let answer = Command::new(program).args(arguments).arg(path).output().unwrap();
        (
            answer.status.code(),
            String::from_utf8_lossy(&answer.stdout).into_owned() + &String::from_utf8_lossy(&answer.stderr),
        )
    };
    for (place, (at, annotation, sum, good)) in [
        ("3m", "a 0 0s", "1", true),
        ("2m", "a 0 0s", "1", false),
        ("3m", "a 0", "1", false),
        ("3m", "a 0 0s", "2", false),
    ]
    .into_iter()
    .enumerate()
    {
        let path = dir.path().join(format!("unit{place}.yml"));
        std::fs::write(&path, unit(at, annotation, sum)).unwrap();
        let (code, told) = ends(
            Path::new(env!("CARGO_BIN_EXE_jurymast")),
            &["test", "rules", "--prometheus", "2"],
            &path,
        );
        assert_eq!(code, Some(i32::from(!good)), "{told}");
        if !skipped("unit tests by promtool", &["promtool"]) {
            let (theirs, text) = ends(&find("promtool").unwrap(), &["test", "rules"], &path);
            assert_eq!(theirs, code, "{text}");
        }
    }
    // A folder with the rules in it is tested as a whole.
    std::fs::remove_file(dir.path().join("unit1.yml")).unwrap();
    std::fs::remove_file(dir.path().join("unit2.yml")).unwrap();
    std::fs::remove_file(dir.path().join("unit3.yml")).unwrap();
    let (code, told) = ends(
        Path::new(env!("CARGO_BIN_EXE_jurymast")),
        &["test", "rules"],
        dir.path(),
    );
    assert_eq!(code, Some(0), "{told}");
    assert!(told.contains("1 unit tests, 0 failed"), "{told}");
}
