//! What both say to the same questions.

use super::side::{Side, tidy};
use crate::harness::answers::same;

/// Over data with times of their own, series that are steady, and what rules recorded.
const QUERIES: [&str; 56] = [
    "plant_temp_celsius",
    "plant_temp_celsius{device=\"a\"}",
    "plant_temp_celsius{device!~\"a|c\", site=\"north\"}",
    "{__name__=~\"plant_temp.*\"}",
    "plant_temp_celsius offset 10s",
    "plant_temp_celsius[7s]",
    "plant_requests_total[12s] offset 3s",
    "rate(plant_requests_total[10s])",
    "irate(plant_requests_total[10s])",
    "increase(plant_requests_total{code=\"500\"}[15s])",
    "delta(plant_level[9s])",
    "idelta(plant_level[9s])",
    "deriv(plant_level[11s])",
    "predict_linear(plant_level[11s], 60)",
    "resets(plant_requests_total[20s])",
    "changes(plant_level[20s])",
    "avg_over_time(plant_level[8s])",
    "stddev_over_time(plant_level[8s])",
    "quantile_over_time(0.7, plant_level[8s])",
    "max_over_time(plant_temp_celsius[30s]) - min_over_time(plant_temp_celsius[30s])",
    "count_over_time(plant_level[5s])",
    "last_over_time(plant_level[5s])",
    "present_over_time(plant_level[5s])",
    "absent_over_time(plant_nothing[5s])",
    "sum(plant_temp_celsius)",
    "sum by (device) (rate(plant_requests_total[10s]))",
    "sum without (code) (plant_requests_total)",
    "avg without (instance) (plant_temp_celsius)",
    "count without (instance, device) (plant_temp_celsius)",
    "topk(1, plant_requests_total)",
    "bottomk by (device) (1, plant_requests_total)",
    "quantile(0.5, plant_requests_total)",
    "stddev(plant_requests_total)",
    "count_values(\"v\", plant_temp_celsius)",
    "group by (site) (plant_temp_celsius)",
    "histogram_quantile(0.9, rate(plant_latency_seconds_bucket[10s]))",
    "histogram_quantile(0.5, sum by (le, job) (rate(plant_latency_seconds_bucket[10s])))",
    "plant_temp_celsius * on (device) group_left (version) plant_info",
    "plant_requests_total / ignoring (code) group_left sum without (code) (plant_requests_total)",
    "plant_temp_celsius and on (device) plant_level",
    "plant_temp_celsius unless on (device) plant_level",
    "plant_temp_celsius or plant_level",
    "plant_temp_celsius > bool 50",
    "plant_temp_celsius > 50",
    "-plant_level ^ 2 % 3",
    "clamp(plant_level, -1, 3)",
    "round(plant_level * 1.37, 0.25)",
    "label_replace(plant_temp_celsius, \"short\", \"$1-x\", \"instance\", \"(.*):.*\")",
    "label_join(plant_info, \"both\", \"/\", \"device\", \"version\")",
    "sort_desc(plant_temp_celsius)",
    "max_over_time(sum(rate(plant_requests_total[5s]))[10s:2s])",
    "timestamp(plant_temp_celsius)",
    "scalar(sum(plant_temp_celsius)) + vector(1)",
    "up",
    "count by (job, site) (up == 0)",
    "ALERTS{alertname=\"Hot\"}",
];

/// Recorded at times of each one's own: steady by now.
const RECORDED: [&str; 2] = ["device:temp_celsius:avg5s", "job:plant_requests:rate10s"];

pub fn compare(ours: &Side, theirs: &Side, at: i64) {
    let text = |millis: i64| format!("{}.{:03}", millis / 1000, millis % 1000);
    let (now, start) = (text(at), text(at - 25_000));
    let mut wrong = Vec::new();
    let mut check = |what: &str, pairs: &[(&str, &str)]| {
        let path = if pairs.len() > 2 { "query_range" } else { "query" };
        let (own, their) = (tidy(&ours.ask(path, pairs)), tidy(&theirs.ask(path, pairs)));
        if !same(&own, &their) || their["status"] != "success" {
            wrong.push(format!("{path} {what}\n  ours:   {own}\n  theirs: {their}"));
        }
    };
    for query in QUERIES.iter().chain(&RECORDED) {
        check(query, &[("query", query), ("time", &now)]);
        // What changed within the range by the time of a scrape or an evaluation is not the same in both.
        let by_phase = ["up", "ALERTS", "device:", "job:", "plant_info"]
            .iter()
            .any(|word| query.contains(word));
        if !query.ends_with("s]") && !query.contains("] offset") && !by_phase {
            check(
                query,
                &[("query", query), ("start", &start), ("end", &now), ("step", "3")],
            );
        }
    }
    assert!(wrong.is_empty(), "{}", wrong.join("\n"));
    for (what, pairs) in [
        ("label/device/values", vec![]),
        ("label/site/values", vec![]),
        (
            "series",
            vec![
                ("match[]", "{__name__=~\"plant_(temp|req).*\"}"),
                ("start", start.as_str()),
                ("end", now.as_str()),
            ],
        ),
    ] {
        let strip = |answer: serde_json::Value| {
            let mut list = answer["data"].as_array().cloned().unwrap_or_default();
            for labels in &mut list {
                labels.as_object_mut().map(|labels| labels.remove("entity"));
            }
            list.sort_by_key(ToString::to_string);
            list
        };
        assert_eq!(strip(ours.ask(what, &pairs)), strip(theirs.ask(what, &pairs)), "{what}");
    }
}
