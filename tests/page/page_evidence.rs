//! What the page draws of the evidence, and of an audit log of several pages, in a real browser beside a stand-in for the agent. `PAGE_PICTURES=FOLDER`
//! keeps pictures of it.

use serde_json::{Value, json};

use crate::harness::chromium::{Browser, fits, pictures, stand_in};
use crate::harness::skipped;

fn now() -> String {
    jurymast::clock::wall_clock().to_string()
}

fn at(minute: usize, second: usize) -> String {
    format!("2026-11-21T15:{minute:02}:{second:02}Z")
}

/// An incident that is open, with two signals.
fn status() -> Value {
    json!({"now": now(), "agent": "jurymast", "acting": true, "held": false, "lease": {"epoch": 1, "seq": 0, "until": now()}, "leases": [],
        "cannot_lead": null, "standing_aside": {}, "not_told": [], "coverage": null, "uncovered": [], "series": 2, "learned": {"watched": 2, "learning": 0, "beyond": 0}, "topology_version": 0,
        "entities_total": 1, "entities": [{"name": "pump-7", "kind": "device", "health": "bad", "symptoms": [], "needs": []}], "services": [],
        "incidents": [{"id": 1, "onset": at(0, 20), "opened": at(0, 21), "updated": now(), "closed": null, "topology_version": 0, "symptoms": [],
            "hypotheses": [{"fault": "sensor-drift", "entity": "pump-7", "probability": 0.81, "remedy": "notify", "moving_helps": false, "explains": [], "evidence_for": [], "evidence_against": []}]}],
        "explanations": [[1, {"headline": "h", "seen": ["pump-7 Anomaly (flow)"], "links": [], "causes": [], "without": [], "settle": []}]],
        "verdicts": [], "plans": [], "moves": [], "recent": []})
}

fn chart(signal: &str, others: &Value) -> Value {
    let points: Vec<Value> = (0..40)
        .map(|n| json!({"at": at(0, n), "value": if n < 20 { 20.0 } else { 60.0 }, "surprise": if n < 20 { 0.0 } else { 21.5 }}))
        .collect();
    json!({"entity": "pump-7", "signal": signal, "onset": at(0, 20), "points": points, "band": [18.0, 22.0], "bar": 15.25, "rate": false, "others": others})
}

/// Records in the log, and on a page of it.
const RECORDS: usize = 250;
const PAGE: usize = 100;

fn audit(query: &str) -> Value {
    let end = query
        .strip_prefix("before=1%3A")
        .map_or(RECORDS, |at| at.parse().unwrap());
    let from = end.saturating_sub(PAGE);
    let record = |n: usize| json!({"place": format!("1:{n}"), "written": at(n / 60, n % 60), "record": {"record": "epoch", "epoch": n}});
    json!({"chain": {"whole": true, "records": RECORDS, "files": 1, "last": "ab".repeat(32)},
        "records": (from..end).map(record).collect::<Vec<_>>(), "before": (from > 0).then(|| format!("1:{from}"))})
}

#[test]
fn second_opinions_and_earlier_records_are_shown() {
    if skipped("the page's evidence", &["chromium"]) {
        return;
    }
    let incident = json!({"charts": [
        chart("flow", &json!({"drift": 1.31, "season": 7.25, "forest": 2.5})),
        chart("power", &json!({"drift": 0.2, "season": 0.5, "change": 0.97})),
        chart("noise", &Value::Null),
    ]});
    let origin = stand_in(move |path, query| {
        let answer = match path {
            "/api/status" => status(),
            "/api/incidents/1" => incident.clone(),
            "/api/audit" => audit(query),
            _ => Value::Null,
        };
        (200, answer.to_string())
    });
    let mut browser = Browser::start();
    browser.window(1440, 1000, false);
    browser.open(&origin);
    browser.reads("#incidents", "Second opinions: 2 of 3 find it strange as well");
    browser.reads("#incidents", "Second opinions: 1 of 3 find it strange as well");
    browser.reads("#incidents", "7.3 deviations off");
    browser.reads("#incidents", "97 % probable");
    // Who speaks stands out, and not by a colour alone; of a signal that nobody else was asked about nothing is drawn.
    let strong = browser.value("[...document.querySelectorAll('.others strong')].map((e) => e.innerText)");
    assert_eq!(
        strong,
        json!(["this hour on other days", "creeping (Page-Hinkley)", "changed for good"])
    );
    assert_eq!(browser.value("document.querySelectorAll('.chart').length"), json!(3));
    assert_eq!(
        browser.value("document.querySelectorAll('.chart .others').length"),
        json!(2)
    );
    let full =
        browser.value("[...document.querySelectorAll('.others rect')].map((e) => Number(e.getAttribute('width')))");
    assert_eq!(full, json!([100, 65.5, 25, 8.3, 10, 97]));

    browser.tab_to("the audit log");
    browser.press("Enter");
    let shown = "document.querySelectorAll('#audit li').length";
    browser.until(&format!("{shown} === 100"));
    browser.reads("#audit", "2026-11-21 15:04:09 this agent took over, epoch 249");
    browser.tab_to("earlier ones");
    browser.press("Enter");
    browser.until(&format!("{shown} === 200"));
    browser.value("document.querySelector('#audit-older').click()");
    browser.until(&format!("{shown} === 250"));
    browser.reads("#audit", "2026-11-21 15:00:00 this agent took over, epoch 0");
    browser.until("!document.querySelector('#audit-older')");
    // The latest page is asked for again, and takes nothing away.
    browser.value("window.asked = 0; window.fetch = ((ask) => (...of) => { if (of[0] === '/api/audit') window.asked++; return ask(...of); })(window.fetch)");
    browser.until("window.asked > 0");
    assert_eq!(browser.value(shown), json!(250));

    fits(&mut browser);
    pictures(&mut browser, "evidence");
    browser.is_content_with(&origin);
}
