//! What is kept, for how long, and under which labels.

use super::*;
use crate::model::Timestamp;
use crate::promql::{Evaluator, Options, Value};

fn history(query: &str, keep_all: i64) -> (History, Query) {
    let query = Query::parse(query).unwrap();
    (History::new([&query], keep_all, 300_000, Origins::new()), query)
}

fn feed(history: &mut History, catalog: &Catalog, entity: &str, signal: &str, at: i64, value: f64) {
    let at = Timestamp::from_secs(at);
    let sample = Sample {
        series: catalog.series(entity, signal),
        retained: false,
        at,
        seen: at,
        value,
    };
    history.take(&sample);
}

#[test]
fn only_what_a_rule_selects_is_kept_and_only_so_long() {
    let (mut history, query) = history("rate(hits_total{code=\"500\"}[10m])", 0);
    let catalog = Catalog::new();
    for second in 0..10_000 {
        feed(
            &mut history,
            &catalog,
            "a",
            "hits_total{code=\"500\"}",
            second,
            f64::from(second as i32),
        );
        feed(&mut history, &catalog, "a", "hits_total{code=\"200\"}", second, 1.0);
        feed(&mut history, &catalog, "a", "temperature", second, 1.0);
        history.settle(second * 1000, &catalog);
    }
    assert_eq!(history.series_count(), 1);
    let (labels, points) = history.series().next().unwrap();
    assert_eq!(
        labels.to_string(),
        "hits_total{code=\"500\", entity=\"a\", instance=\"a\"}"
    );
    assert!((600..=1300).contains(&points.len()), "{}", points.len());
    let run = Evaluator::new(&query, &history, (9_999_000, 9_999_000), Options::default());
    let Value::Vector(items) = run.instant().unwrap() else {
        panic!()
    };
    assert!((items[0].value - 1.0).abs() < 1e-9, "{items:?}");
}

#[test]
fn a_silent_series_is_forgotten_and_known_again_when_it_speaks() {
    let (mut history, _) = history("up", 0);
    let catalog = Catalog::new();
    feed(&mut history, &catalog, "a", "up", 0, 1.0);
    history.settle(3_600_000, &catalog);
    assert_eq!(history.series_count(), 0);
    feed(&mut history, &catalog, "a", "up", 3600, 1.0);
    history.settle(3_600_000, &catalog);
    assert_eq!(history.series_count(), 1);
}

#[test]
fn names_that_are_no_metric_names_stay_apart() {
    let origins: Origins = [(
        "a".to_owned(),
        [("job", "node"), ("instance", "a:9100")].into_iter().collect(),
    )]
    .into();
    let labels = |signal: &str| series_labels("a", signal, origins.get("a")).to_string();
    assert_eq!(labels("up"), "up{entity=\"a\", instance=\"a:9100\", job=\"node\"}");
    assert_eq!(
        labels("oil.temp"),
        "oil_temp{entity=\"a\", instance=\"a:9100\", job=\"node\", signal=\"oil.temp\"}"
    );
    assert_ne!(labels("oil.temp"), labels("oil/temp"));
}

/// A series that was pushed has the labels that it came with, and none besides.
#[test]
fn no_instance_is_made_up_where_there_was_none() {
    let by_job: Labels = [("job", "node")].into_iter().collect();
    let none = Labels::default();
    let labels = |signal: &str, origin| series_labels("node", signal, origin).to_string();
    assert_eq!(labels("job:up:sum", Some(&by_job)), "job:up:sum{job=\"node\"}");
    assert_eq!(labels("ALERTS{a=\"b\"}", Some(&none)), "ALERTS{a=\"b\"}");
    assert_eq!(
        labels("up{instance=\"h:1\"}", Some(&by_job)),
        "up{entity=\"node\", instance=\"h:1\", job=\"node\"}"
    );
    assert_eq!(labels("up", None), "up{entity=\"node\", instance=\"node\"}");
}

/// A rule records what a Prometheus that has the same rule writes to us as well.
#[test]
fn two_series_of_the_same_labels_are_one_to_a_query() {
    for recorded_first in [true, false] {
        let (mut history, _) = history("{__name__=~\"up|other\"}", 0);
        let catalog = Catalog::new();
        let labels = series_labels("a", "up", None);
        let record = |history: &mut History| {
            for (at, value) in [(0, 7.0), (1500, 8.0), (2000, 9.0)] {
                history.record(&labels, Point { at, value });
            }
        };
        if recorded_first {
            record(&mut history);
        }
        feed(&mut history, &catalog, "a", "up", 1, 1.0);
        feed(&mut history, &catalog, "b", "up", 1, 3.0);
        feed(&mut history, &catalog, "a", "up", 2, 2.0);
        history.settle(2000, &catalog);
        if !recorded_first {
            record(&mut history);
        }
        for query in ["up", "{__name__=\"up\", entity=~\".+\"}", "{entity!=\"\"}"] {
            let query = Query::parse(query).unwrap();
            let found = history.select(&query.selectors()[0].matchers, 0, 2000);
            assert_eq!(found.len(), 2, "{found:?}");
            let times: Vec<i64> = found[0].points.iter().map(|point| point.at).collect();
            assert_eq!(times, [0, 1000, 1500, 2000], "{found:?}");
        }
    }
}

/// A target is introduced in the same tick in which it is scraped, before or after; later, it is moved to another job.
#[test]
fn what_a_source_tells_of_an_entity_names_its_series_whenever_it_is_told() {
    let job = |job: &str| -> Labels { [("job", job), ("instance", "a:9100")].into_iter().collect() };
    let names = |history: &History| -> Vec<String> { history.series().map(|(labels, _)| labels.to_string()).collect() };
    for before in [true, false] {
        let (mut history, _) = history("{job=~\"node|other\"}", 0);
        let catalog = Catalog::new();
        catalog.entity("a");
        if before {
            history.introduce("a", job("node"), &catalog);
        }
        feed(&mut history, &catalog, "a", "up", 1, 1.0);
        if !before {
            history.introduce("a", job("node"), &catalog);
        }
        history.settle(1000, &catalog);
        assert_eq!(names(&history), ["up{entity=\"a\", instance=\"a:9100\", job=\"node\"}"]);
        history.introduce("a", job("other"), &catalog);
        history.settle(2000, &catalog);
        assert_eq!(
            names(&history),
            ["up{entity=\"a\", instance=\"a:9100\", job=\"other\"}"]
        );
    }
    // Not wanted under its old name, wanted under its new one.
    let (mut history, _) = history("up{job=\"node\"}", 0);
    let catalog = Catalog::new();
    feed(&mut history, &catalog, "a", "up", 1, 1.0);
    history.settle(1000, &catalog);
    assert_eq!(history.series_count(), 0);
    history.introduce("a", job("node"), &catalog);
    history.settle(2000, &catalog);
    feed(&mut history, &catalog, "a", "up", 3, 1.0);
    history.settle(3000, &catalog);
    assert_eq!(history.series_count(), 1);
}

/// Series that a rule records are found in the order of their labels at once, in whatever order they came.
#[test]
fn recorded_series_stand_in_order_at_once() {
    let (mut history, query) = history("r", 0);
    for name in ["c", "a", "b"] {
        let labels: Labels = [(METRIC_NAME, "r"), ("l", name)].into_iter().collect();
        history.record(&labels, Point { at: 1000, value: 1.0 });
    }
    let run = Evaluator::new(&query, &history, (1000, 1000), Options::default());
    let Value::Vector(items) = run.instant().unwrap() else {
        panic!()
    };
    let order: Vec<&str> = items.iter().map(|item| item.labels.get("l")).collect();
    assert_eq!(order, ["a", "b", "c"]);
}
