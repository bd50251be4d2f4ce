//! Prometheus rule files unchanged: every published rule loads and evaluates, and what they say is what `promtool test rules` says of the same series.

use std::collections::BTreeMap;
use std::fmt::Write as _;
use std::path::{Path, PathBuf};
use std::process::Command;

use jurymast::promql::fixture::Fixture;
use jurymast::promql::rules::{AlertState, Groups, Health, RuleFile, RuleSpec, TemplateContext};
use jurymast::promql::{Evaluator, Matcher, Options, Query, Semantics, Test, Value, text};

use crate::harness::{data, find, skipped};

fn rule_files(root: &Path) -> Vec<PathBuf> {
    let mut found = Vec::new();
    for entry in std::fs::read_dir(root).unwrap() {
        let path = entry.unwrap().path();
        if path.is_dir() {
            found.extend(rule_files(&path));
        } else if path.extension().is_some_and(|ext| ext == "yml") {
            found.push(path);
        }
    }
    found.sort();
    found
}

/// As Prometheus 2.42 cuts windows.
fn options() -> Options {
    Options {
        semantics: Semantics::V2,
        ..Options::default()
    }
}

/// Values that make different rules fire: standing still, rising, falling, small and large.
const VARIANTS: [[&str; 2]; 7] = [
    ["0x90", "0x90"],
    ["1x90", "1x90"],
    ["1000000x90", "3x90"],
    ["0+1000x90", "0+3x90"],
    ["5000000-50000x90", "100-1x90"],
    ["0.5x90", "0.97x90"],
    ["1.5x40 7000000x49", "0 1 0 1x87"],
];

/// A value that passes the matcher, if one is easily found.
fn value_for(matcher: &Matcher) -> Option<String> {
    if matcher.negated {
        return ["other", "x", ""]
            .into_iter()
            .find(|value| matcher.passes(value))
            .map(str::to_owned);
    }
    match &matcher.test {
        Test::Equal(value) => Some(value.clone()),
        Test::OneOf(values) => values.first().cloned(),
        Test::Some | Test::Any => Some("any".into()),
        Test::Regex(regex) => {
            let pattern = regex
                .as_str()
                .trim_start_matches("^(?s:")
                .trim_end_matches(")$")
                .to_owned();
            let mut tries = vec![
                "any".to_owned(),
                "5xx".into(),
                "500".into(),
                "a.b".into(),
                "/".into(),
                "/data".into(),
                "node-1".into(),
            ];
            for part in pattern.split('|') {
                let plain = part
                    .replace(".*", "x")
                    .replace(".+", "x")
                    .replace("\\\\", "")
                    .replace(['(', ')', '^', '$', '?', '\\'], "");
                tries.push(plain.clone());
                tries.push(
                    plain
                        .replace("[0-9]", "1")
                        .replace("[1-9]", "1")
                        .replace('+', "")
                        .replace('.', "a")
                        .replace("5..", "500"),
                );
            }
            tries.into_iter().find(|value| matcher.passes(value))
        }
    }
}

/// Series that the rule's selectors fit: two of each selector, alike in the labels by which rules group and join.
fn series_for(query: &Query, variant: [&str; 2]) -> Vec<(String, String)> {
    let mut series: BTreeMap<String, String> = BTreeMap::new();
    for selector in query.selectors() {
        for (instance, values) in [("a:9100", variant[0]), ("b:9100", variant[1])] {
            let mut labels: BTreeMap<String, String> = [
                ("instance", instance),
                ("job", "test"),
                ("namespace", "shop"),
                ("pod", "web-1"),
                ("node", "n1"),
                ("cluster", "c1"),
                ("name", "thing"),
            ]
            .map(|(name, value)| (name.to_owned(), value.to_owned()))
            .into();
            let buckets = if selector.matchers.metric().is_some_and(|name| name.ends_with("_bucket")) {
                vec!["0.1", "5", "+Inf"]
            } else {
                vec![""]
            };
            let mut good = true;
            for matcher in &selector.matchers.0 {
                match value_for(matcher) {
                    Some(value) => labels.insert(matcher.name.clone(), value),
                    None => {
                        good = false;
                        None
                    }
                };
            }
            let metric = labels.remove("__name__").unwrap_or_else(|| "any_metric".into());
            if !good {
                continue;
            }
            for le in buckets {
                if !le.is_empty() {
                    labels.insert("le".into(), le.into());
                }
                let text: Vec<String> = labels
                    .iter()
                    .filter(|(_, value)| !value.is_empty())
                    .map(|(name, value)| format!("{name}={value:?}"))
                    .collect();
                series
                    .entry(format!("{metric}{{{}}}", text.join(",")))
                    .or_insert_with(|| values.to_owned());
            }
        }
    }
    series.into_iter().collect()
}

#[test]
fn every_published_rule_loads_and_evaluates() {
    let Some(root) = data("ecosystem/alert-rules") else {
        return;
    };
    let (mut rules, mut fired) = (0, 0);
    let mut problems = Vec::new();
    for path in rule_files(&root) {
        let name = path.display().to_string();
        let file = match RuleFile::parse(&name, &std::fs::read_to_string(&path).unwrap()) {
            Ok(file) => file,
            Err(errors) => {
                problems.extend(errors.iter().map(ToString::to_string));
                continue;
            }
        };
        for rule in file.rules() {
            rules += 1;
            let query = Query::parse(rule.expr()).unwrap();
            let mut any = false;
            for variant in VARIANTS {
                let mut store = Fixture::default();
                for (series, values) in series_for(&query, variant) {
                    store.load(&format!("{series} {values}"), 0, 60_000).unwrap();
                }
                let run = Evaluator::new(&query, &store, (80 * 60_000, 80 * 60_000), options());
                match run.instant() {
                    Ok(Value::Vector(items)) => any |= !items.is_empty(),
                    Ok(_) => any = true,
                    // Series made up for a rule need not pair one to one.
                    Err(error) if error.to_string().contains("match") => {}
                    Err(error) => problems.push(format!("{name}: {}: {error}", rule.name())),
                }
            }
            fired += usize::from(any);
        }
    }
    println!("{rules} rules load and evaluate; {fired} find something in some of the series made up for them");
    assert!(problems.is_empty(), "{}", problems.join("\n"));
    assert!(
        rules > 0 && fired * 2 > rules,
        "{fired} of {rules} rules find something: the series prove little"
    );
}

fn quoted(text: &str) -> String {
    serde_json::to_string(text).unwrap()
}

/// The values of a rule's query and its alerts with rendered labels and annotations, written as a test for promtool: what we say is what it must find.
fn unit_test(file: &RuleFile, variant: [&str; 2], out: &mut String) -> (usize, usize) {
    let rule = file.rules().next().unwrap();
    let query = Query::parse(rule.expr()).unwrap();
    let series = series_for(&query, variant);
    if series.is_empty() {
        return (0, 0);
    }
    let mut store = Fixture::default();
    for (name, values) in &series {
        store.load(&format!("{name} {values}"), 0, 60_000).unwrap();
    }
    let at = 80 * 60_000;
    let run = Evaluator::new(&query, &store, (at, at), options());
    let Ok(Value::Vector(items)) = run.instant() else {
        return (0, 0);
    };
    drop(run);
    if items.is_empty() {
        return (0, 0);
    }
    let mut groups = Groups::new([("rules.yml", file)], 60_000, &TemplateContext::default()).unwrap();
    let mut now = 0;
    while now <= at {
        for group in &mut groups.all {
            group.evaluate(&mut store, now, options());
        }
        // promtool gives up a test in which any rule of the file fails.
        if groups.rules().any(|rule| matches!(rule.health, Health::Err(_))) {
            return (0, 0);
        }
        now += 300_000;
    }
    let mut written = String::from("- interval: 1m\n  input_series:\n");
    for (name, values) in &series {
        writeln!(written, "  - series: {}\n    values: {}", quoted(name), quoted(values)).unwrap();
    }
    writeln!(
        written,
        "  promql_expr_test:\n  - expr: {}\n    eval_time: 80m\n    exp_samples:",
        quoted(rule.expr())
    )
    .unwrap();
    for item in &items {
        writeln!(
            written,
            "    - labels: {}\n      value: {}",
            quoted(&item.labels.set_text()),
            text(item.value).replace("NaN", ".nan").replace("Inf", ".inf")
        )
        .unwrap();
    }
    let mut alerts = 0;
    writeln!(
        written,
        "  alert_rule_test:\n  - eval_time: 80m\n    alertname: {}\n    exp_alerts:",
        quoted(rule.name())
    )
    .unwrap();
    let active = groups
        .active()
        .filter(|(run, alert)| run.spec.alert == rule.alert && alert.state == AlertState::Firing);
    for (_, alert) in active {
        alerts += 1;
        written += "    - exp_labels:\n";
        for (name, value) in alert.labels.iter().filter(|(name, _)| *name != "alertname") {
            writeln!(written, "        {name}: {}", quoted(value)).unwrap();
        }
        written += "      exp_annotations:\n";
        for (name, value) in &alert.annotations {
            writeln!(written, "        {name}: {}", quoted(value)).unwrap();
        }
    }
    *out += &written;
    (items.len(), alerts)
}

/// A file with that rule alone.
fn single(rule: &RuleSpec) -> String {
    let list = |pairs: &mut dyn Iterator<Item = (&str, &str)>| {
        pairs
            .map(|(name, value)| (name.to_owned(), value.into()))
            .collect::<serde_json::Map<String, serde_json::Value>>()
    };
    serde_json::json!({"groups": [{"name": "g", "rules": [{
        "alert": rule.alert,
        "expr": rule.expr(),
        "for": rule.hold.unwrap_or_default(),
        "labels": list(&mut rule.labels()),
        "annotations": list(&mut rule.annotations()),
    }]}]})
    .to_string()
}

/// Our values, labels and rendered annotations are put into a unit test that real `promtool` runs.
#[test]
fn values_and_templates_are_those_of_promtool() {
    if skipped("rules against promtool", &["promtool"]) {
        return;
    }
    let Some(root) = data("ecosystem/alert-rules") else {
        return;
    };
    let dir = tempfile::tempdir().unwrap();
    let (mut tests, mut values, mut alerts, mut rules) = (0, 0, 0, 0);
    let mut wrong = Vec::new();
    let mut units = Vec::new();
    for path in rule_files(&root) {
        let all = RuleFile::parse("rules.yml", &std::fs::read_to_string(&path).unwrap()).unwrap();
        for rule in all.rules() {
            // Alone in its file, so that promtool gives up no test for the sake of another rule.
            let yaml = single(rule);
            let file = RuleFile::parse("rules.yml", &yaml).unwrap();
            let number = units.len();
            let mut out = format!("rule_files: [{number}.yml]\nevaluation_interval: 5m\ntests:\n");
            let before = tests;
            for variant in VARIANTS {
                let (items, firing) = unit_test(&file, variant, &mut out);
                tests += usize::from(items + firing > 0);
                values += items;
                alerts += firing;
                // Two kinds of series in which it finds something show enough of a rule.
                if tests - before >= 2 {
                    break;
                }
            }
            if tests > before {
                rules += 1;
                std::fs::write(dir.path().join(format!("{number}.yml")), &yaml).unwrap();
                let unit = dir.path().join(format!("{number}_test.yml"));
                std::fs::write(&unit, &out).unwrap();
                units.push(unit);
            }
        }
    }
    let promtool = |units: &[PathBuf]| {
        let answer = Command::new(find("promtool").unwrap())
            .args(["test", "rules"])
            .args(units)
            .output()
            .unwrap();
        String::from_utf8_lossy(&answer.stdout).into_owned() + &String::from_utf8_lossy(&answer.stderr)
    };
    let failed = |told: &str| -> Vec<PathBuf> {
        let parts = told.split("Unit Testing: ").skip(1);
        let good = |part: &&str| part.lines().nth(1).is_some_and(|line| line.trim() == "SUCCESS");
        let bad = parts.filter(|part| !good(part));
        bad.filter_map(|part| Some(PathBuf::from(part.lines().next()?.trim())))
            .collect()
    };
    let told = promtool(&units);
    assert_eq!(told.matches("Unit Testing: ").count(), units.len(), "{told}");
    let mut left = failed(&told);
    println!("{} of {} files differ at first", left.len(), units.len());
    // promtool 2.42 loads series in the order of a Go map, which changes from run to run, and the last digit of a sum depends on it.
    for _ in 0..10 {
        if !left.is_empty() {
            left = failed(&promtool(&left));
        }
    }
    if !left.is_empty() {
        wrong.push(promtool(&left));
    }
    println!(
        "{rules} rules, {tests} tests, {values} values and {alerts} firing alerts with their texts are what promtool finds"
    );
    assert!(wrong.is_empty(), "promtool finds something else:\n{}", wrong.join("\n"));
    assert!(alerts > 0);
}
