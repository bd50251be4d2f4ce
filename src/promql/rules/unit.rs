//! promtool's unit tests of rules, as they are: series in, alerts and values at stated times out.

use std::collections::{BTreeMap, BTreeSet};

use serde::Deserialize;

use super::super::eval::{Evaluator, Options};
use super::super::fixture::{self, Fixture};
use super::super::number::almost_equal;
use super::super::{Labels, Point, Query, duration_text, is_native_histogram, text};
use super::alert::AlertState;
use super::file::{RuleFile, Scalar, Spelled};
use super::group::{Groups, Health, Store};
use super::template::{self, TemplateContext};

/// Evaluations of one test.
const EVALUATIONS_MAX: i64 = 1_000_000;

/// A file of unit tests.
#[derive(Debug, Clone, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct UnitFile {
    /// Rule files, relative to this file; `*` stands for any.
    #[serde(default)]
    pub rule_files: Vec<String>,
    #[serde(default)]
    evaluation_interval: Option<Spelled>,
    #[serde(default)]
    group_eval_order: Vec<String>,
    #[serde(default)]
    fuzzy_compare: bool,
    #[serde(default)]
    tests: Vec<UnitTest>,
}

#[derive(Debug, Clone, Deserialize)]
#[serde(deny_unknown_fields)]
struct UnitTest {
    #[serde(default)]
    name: String,
    #[serde(default)]
    interval: Option<Spelled>,
    #[serde(default)]
    input_series: Vec<InputSeries>,
    #[serde(default)]
    alert_rule_test: Vec<AlertTest>,
    #[serde(default)]
    promql_expr_test: Vec<ExprTest>,
    #[serde(default)]
    external_labels: BTreeMap<String, Scalar>,
    #[serde(default)]
    external_url: String,
}

#[derive(Debug, Clone, Deserialize)]
#[serde(deny_unknown_fields)]
struct InputSeries {
    series: String,
    values: Scalar,
}

#[derive(Debug, Clone, Deserialize)]
#[serde(deny_unknown_fields)]
struct AlertTest {
    eval_time: Spelled,
    alertname: String,
    #[serde(default)]
    exp_alerts: Vec<ExpectedAlert>,
}

#[derive(Debug, Clone, Deserialize)]
#[serde(deny_unknown_fields)]
struct ExpectedAlert {
    #[serde(default)]
    exp_labels: BTreeMap<String, Scalar>,
    #[serde(default)]
    exp_annotations: BTreeMap<String, Scalar>,
}

#[derive(Debug, Clone, Deserialize)]
#[serde(deny_unknown_fields)]
struct ExprTest {
    expr: Scalar,
    eval_time: Spelled,
    #[serde(default)]
    exp_samples: Vec<ExpectedSample>,
}

#[derive(Debug, Clone, Deserialize)]
#[serde(deny_unknown_fields)]
struct ExpectedSample {
    #[serde(default)]
    labels: String,
    #[serde(default)]
    value: Option<Scalar>,
    #[serde(default)]
    histogram: Option<String>,
}

/// What became of one test.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct UnitResult {
    /// Its name, or its place in the file.
    pub test: String,
    /// What was checked: alerts and expressions at a time.
    pub checks: usize,
    /// The alerts whose firing was expected at some time.
    pub expects: BTreeSet<String>,
    /// What was not as expected; empty if the test has passed.
    pub problems: Vec<String>,
}

/// Is that a file of promtool's unit tests?
pub fn holds_unit_tests(text: &str) -> bool {
    text.lines()
        .any(|line| line.starts_with("tests:") || line.starts_with("rule_files:"))
}

impl Store for Fixture {
    fn record(&mut self, labels: &Labels, point: Point) {
        self.push(labels, point);
    }
}

impl UnitFile {
    /// Reads a file.
    pub fn parse(text: &str) -> Result<Self, String> {
        serde_saphyr::from_str(text).map_err(|error| error.to_string())
    }

    /// Runs all its tests against the rule files that it names, which the caller has read.
    pub fn run(&self, files: &[(String, RuleFile)], options: Options) -> Vec<UnitResult> {
        let run = |(place, test): (usize, &UnitTest)| {
            let name = if test.name.is_empty() {
                format!("test {}", place + 1)
            } else {
                test.name.clone()
            };
            let checks = test.alert_rule_test.len() + test.promql_expr_test.len();
            let firing = test.alert_rule_test.iter().filter(|case| !case.exp_alerts.is_empty());
            let mut problems = Vec::new();
            if let Err(why) = self.play(test, files, options, &mut problems) {
                problems.push(why);
            }
            UnitResult {
                test: name,
                checks,
                expects: firing.map(|case| case.alertname.clone()).collect(),
                problems,
            }
        };
        self.tests.iter().enumerate().map(run).collect()
    }

    fn play(
        &self,
        test: &UnitTest,
        files: &[(String, RuleFile)],
        options: Options,
        problems: &mut Vec<String>,
    ) -> Result<(), String> {
        let every = self
            .evaluation_interval
            .filter(|every| every.0 > 0)
            .map_or(60_000, |every| every.0);
        let interval = test
            .interval
            .filter(|interval| interval.0 > 0)
            .map_or(every, |interval| interval.0);
        let mut store = Fixture::default();
        for input in &test.input_series {
            store
                .load(&format!("{} {}", input.series, input.values.0), 0, interval)
                .map_err(|error| error.to_string())?;
        }
        let context = TemplateContext {
            external_labels: test
                .external_labels
                .iter()
                .map(|(name, value)| (name, &value.0))
                .collect(),
            external_url: test.external_url.clone(),
        };
        let mut groups = Groups::new(
            files.iter().map(|(name, file)| (name.as_str(), file)),
            interval,
            &context,
        )?;
        let order = |name: &str| {
            self.group_eval_order
                .iter()
                .position(|known| known == name)
                .unwrap_or(usize::MAX)
        };
        groups.all.sort_by_key(|group| order(&group.spec.name));
        let alerts = test.alert_rule_test.iter().map(|case| case.eval_time.0);
        let last = alerts
            .chain(test.promql_expr_test.iter().map(|case| case.eval_time.0))
            .max()
            .unwrap_or(0);
        if last / every > EVALUATIONS_MAX {
            return Err(format!("{} evaluations are more than {EVALUATIONS_MAX}", last / every));
        }
        let mut now = 0;
        while now <= last {
            for group in &mut groups.all {
                group.evaluate(&mut store, now, options);
            }
            for rule in groups.rules() {
                if let Health::Err(why) = &rule.health {
                    problems.push(format!("rule {}, time {}: {why}", rule.spec.name(), duration_text(now)));
                }
            }
            if !problems.is_empty() {
                return Ok(());
            }
            for case in test
                .alert_rule_test
                .iter()
                .filter(|case| (now..now + every).contains(&case.eval_time.0))
            {
                check_alerts(case, &groups, problems);
            }
            now += every;
        }
        for case in &test.promql_expr_test {
            if let Err(why) = self.check_expr(case, &store, options) {
                problems.push(format!(
                    "expr {:?}, time {}: {why}",
                    case.expr.0,
                    duration_text(case.eval_time.0)
                ));
            }
        }
        Ok(())
    }

    fn check_expr(&self, case: &ExprTest, store: &Fixture, options: Options) -> Result<(), String> {
        let mut due: Vec<(Labels, f64)> = Vec::new();
        for sample in &case.exp_samples {
            if sample.histogram.is_some() {
                return Err("native histograms are not supported".into());
            }
            let labels = if sample.labels.trim().is_empty() {
                Labels::default()
            } else {
                fixture::metric(&sample.labels)?.0
            };
            let value = sample.value.as_ref().map_or("0", |value| value.0.trim());
            let value = match value
                .trim_start_matches('+')
                .to_ascii_lowercase()
                .trim_start_matches('.')
            {
                "inf" => f64::INFINITY,
                "-inf" => f64::NEG_INFINITY,
                "nan" => f64::NAN,
                _ => fast_float2::parse(value).map_err(|_| format!("'{value}' is no number"))?,
            };
            due.push((labels, value));
        }
        let query = Query::parse(&case.expr.0).map_err(|error| error.to_string())?;
        let run = Evaluator::new(&query, store, (case.eval_time.0, case.eval_time.0), options);
        let items = template::items(run.instant().map_err(|error| error.to_string())?)?;
        let mut found: Vec<(Labels, f64)> = items.into_iter().map(|item| (item.labels, item.value)).collect();
        found.sort_by(|a, b| a.0.cmp(&b.0));
        due.sort_by(|a, b| a.0.cmp(&b.0));
        let same_value =
            |a: f64, b: f64| a == b || (a.is_nan() && b.is_nan()) || (self.fuzzy_compare && almost_equal(a, b, 1e-6));
        let same = due.len() == found.len()
            && due
                .iter()
                .zip(&found)
                .all(|(due, is)| due.0 == is.0 && same_value(due.1, is.1));
        if same {
            return Ok(());
        }
        let told = |list: &[(Labels, f64)]| {
            let list: Vec<String> = list
                .iter()
                .map(|(labels, value)| {
                    if is_native_histogram(*value) {
                        format!("{labels} histogram")
                    } else {
                        format!("{labels} {}", text(*value))
                    }
                })
                .collect();
            if list.is_empty() {
                "nothing".into()
            } else {
                list.join(", ")
            }
        };
        Err(format!("expected {}, got {}", told(&due), told(&found)))
    }
}

type Told = (Labels, BTreeMap<String, String>);

fn check_alerts(case: &AlertTest, groups: &Groups, problems: &mut Vec<String>) {
    let mut due: Vec<Told> = case
        .exp_alerts
        .iter()
        .map(|alert| {
            let labels: Labels = alert.exp_labels.iter().map(|(name, value)| (name, &value.0)).collect();
            let annotations = alert
                .exp_annotations
                .iter()
                .map(|(name, value)| (name.clone(), value.0.clone()))
                .collect();
            (labels.with("alertname", &case.alertname), annotations)
        })
        .collect();
    let named = groups
        .active()
        .filter(|(rule, alert)| rule.spec.alert == case.alertname && alert.state == AlertState::Firing);
    let mut found: Vec<Told> = named
        .map(|(_, alert)| (alert.labels.clone(), alert.annotations.clone()))
        .collect();
    due.sort();
    found.sort();
    if due == found {
        return;
    }
    let told = |list: &[Told]| {
        let list: Vec<String> = list
            .iter()
            .map(|(labels, annotations)| format!("\n      {} {annotations:?}", labels.set_text()))
            .collect();
        if list.is_empty() { " none".into() } else { list.concat() }
    };
    problems.push(format!(
        "alert {}, time {}:\n    expected{}\n    got{}",
        case.alertname,
        duration_text(case.eval_time.0),
        told(&due),
        told(&found)
    ));
}
