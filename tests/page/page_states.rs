//! What the page shows of plants that are empty, large or broken, whether all of it can be read, and the report of a replay.
//! `PAGE_PICTURES=FOLDER` keeps pictures of what was seen.

use std::path::Path;
use std::process::Command;
use std::sync::{Arc, Mutex};

use serde_json::{Value, json};

use crate::harness::chromium::{Browser, fits, pictures, stand_in};
use crate::harness::skipped;

/// The agent's answer is whatever is set.
fn agent(answer: Arc<Mutex<(u16, String)>>) -> String {
    stand_in(move |path, _| match path {
        "/api/status" => answer.lock().unwrap().clone(),
        "/api/drills/dry" => (200, "null".into()),
        _ => (200, "{}".into()),
    })
}

fn now() -> String {
    jurymast::clock::wall_clock().to_string()
}

/// An agent's answer with nothing in it.
fn empty() -> Value {
    json!({"now": now(), "agent": "jurymast", "acting": true, "held": false, "lease": {"epoch": 1, "seq": 0, "until": now()}, "leases": [],
        "cannot_lead": null, "standing_aside": {}, "not_told": [], "coverage": null, "uncovered": [], "series": 0, "learned": {"watched": 0, "learning": 0, "beyond": 0}, "topology_version": 0,
        "entities_total": 0, "entities": [], "services": [], "incidents": [], "explanations": [], "verdicts": [], "plans": [], "moves": [], "recent": []})
}

/// 500 entities, 200 incidents, names without a place to break.
fn large() -> Value {
    let mut status = empty();
    let long =
        "a-very-long-name-of-a-device-that-somebody-has-made-of-its-serial-number-0123456789-and-its-place-in-hall-7";
    let mut entities: Vec<Value> = (0..480)
        .map(|n| {
            let health = ["bad", "noted", "unknown", "good", "good", "good"][n % 6];
            json!({"name": format!("{long}-{n}"), "kind": "device", "health": health, "symptoms": [], "needs": [["connects_via", format!("gateway-{}", n % 20)]]})
        })
        .collect();
    entities.extend((0..20).map(|n| json!({"name": format!("gateway-{n}"), "kind": "gateway", "health": "good", "symptoms": [], "needs": [["connects_via", "broker"]]})));
    entities.push(json!({"name": "broker", "kind": "broker", "health": "good", "symptoms": []}));
    let incident = |id: usize| {
        json!({"id": id, "onset": now(), "opened": now(), "updated": now(), "closed": (id < 100).then(now), "topology_version": 1, "symptoms": [],
            "hypotheses": [{"fault": "sensor-stuck", "entity": format!("{long}-{id}"), "probability": 0.91, "remedy": "notify", "moving_helps": false, "explains": [], "evidence_for": [], "evidence_against": []}]})
    };
    status["incidents"] = (0..200).map(incident).collect();
    status["explanations"] = (0..200)
        .map(|id| json!([id, {"headline": "h", "seen": (0..60).map(|n| format!("<b>{long}</b> {n}")).collect::<Vec<_>>(), "links": [], "causes": [], "without": [], "settle": []}]))
        .collect();
    status["entities_total"] = json!(entities.len());
    status["entities"] = json!(entities);
    status
}

#[test]
fn an_empty_a_large_and_a_broken_plant_are_shown_as_such() {
    if skipped("the page's states", &["chromium"]) {
        return;
    }
    let answer = Arc::new(Mutex::new((200, empty().to_string())));
    let origin = agent(Arc::clone(&answer));
    let mut browser = Browser::start();
    browser.window(1440, 1000, false);
    browser.open(&origin);
    browser.reads("#state", "sees nothing yet");
    browser.reads("#services", "No service is configured");
    browser.reads("#map", "no source has told of anything");
    browser.reads("#incidents", "None is open");
    browser.is_content_with(&origin);
    pictures(&mut browser, "empty");
    // A service that another agent leads, because that one sees more of it.
    let mut aside = empty();
    aside["standing_aside"] = json!({"web": "two reaches a, b, and this agent does not"});
    aside["lease"]["epoch"] = json!(0);
    aside["services"] = json!([{"name": "web", "home": "a", "standbys": ["b"], "leader": "two",
        "state": {"active": "a", "running": null, "handed_over": null, "undone": null, "left_undone": null, "maintenance_until": null, "silenced_until": null}}]);
    *answer.lock().unwrap() = (200, aside.to_string());
    browser.reads("#you", "This agent stands aside from web");
    browser.reads("#you", "two reaches a, b, and this agent does not");
    browser.reads("#facts", "led by two");

    *answer.lock().unwrap() = (200, large().to_string());
    browser.reads("#state", "100 open");
    browser.reads("#incidents", "92 more that are open");
    browser.reads("#map", "broker");
    let nodes = browser.value("document.querySelectorAll('*').length");
    assert!(nodes.as_u64() < Some(6000), "{nodes} nodes");
    // Names are text, whatever they hold.
    assert_eq!(browser.value("document.querySelectorAll('main b').length"), json!(0));
    browser.value("document.querySelector('#find').value = 'number-0123456789-and-its-place-in-hall-7-7'; document.querySelector('#find').dispatchEvent(new Event('input'))");
    browser.reads("#entities", "11 match");
    pictures(&mut browser, "large");
    fits(&mut browser);
    browser.is_content_with(&origin);

    let mut full = empty();
    full["not_told"] = json!([{"receiver": "http://am/", "since": "2026-01-01T08:00:00Z", "why": "it answers 404"}]);
    full["journal_trouble"] = json!("data/journal: No space left on device");
    *answer.lock().unwrap() = (200, full.to_string());
    browser.reads("#trouble", "nothing is moved: data/journal: No space left on device");
    browser.reads("#you", "http://am/ hears nothing");
    browser.reads("#you", "since 08:00:00 UTC: it answers 404");
    pictures(&mut browser, "journal");
    *answer.lock().unwrap() = (200, large().to_string());
    browser.until("document.querySelector('#trouble').hidden");

    *answer.lock().unwrap() = (500, "out of order".into());
    browser.reads("#gone", "The agent answers wrongly: 500 out of order");
    let mut old = large();
    old["now"] = json!("2026-01-01T00:00:00Z");
    *answer.lock().unwrap() = (200, old.to_string());
    browser.reads("#gone", "The engine stands still since 00:00:00");
    *answer.lock().unwrap() = (200, empty().to_string());
    browser.until("document.querySelector('#gone').hidden");
}

/// Ratios of contrast as WCAG 2 counts them, of every text that is shown.
const CONTRAST: &str = r"(() => {
  const parse = (c) => { const m = c.match(/[\d.]+/g).map(Number); return { r: m[0], g: m[1], b: m[2], a: m.length > 3 ? m[3] : 1 }; };
  const light = ({ r, g, b }) => [r, g, b].map((v) => { v /= 255; return v <= 0.03928 ? v / 12.92 : ((v + 0.055) / 1.055) ** 2.4; }).reduce((sum, v, n) => sum + v * [0.2126, 0.7152, 0.0722][n], 0);
  const behind = (e) => { for (let at = e; at; at = at.parentElement) { const c = parse(getComputedStyle(at).backgroundColor); if (c.a > 0.5) return c; } return { r: 255, g: 255, b: 255 }; };
  const poor = [];
  const walk = document.createTreeWalker(document.body, NodeFilter.SHOW_TEXT);
  while (walk.nextNode()) {
    const e = walk.currentNode.parentElement;
    if (!walk.currentNode.data.trim() || !e.checkVisibility() || e.closest('svg, script, noscript, .unseen')) continue;
    const [a, b] = [light(parse(getComputedStyle(e).color)), light(behind(e))].sort((x, y) => y - x), ratio = (a + 0.05) / (b + 0.05);
    if (ratio < 4.5) poor.push(`${ratio.toFixed(2)} ${e.tagName}.${e.className} ${walk.currentNode.data.slice(0, 40)}`);
  }
  return [...new Set(poor)];
})()";

#[test]
fn every_text_can_be_read_and_every_part_has_its_name() {
    if skipped("the page's contrast", &["chromium"]) {
        return;
    }
    let mut status = large();
    status["services"] = json!([{"name": "web", "home": "a", "standbys": ["a"], "state": {"active": "b", "handed_over": "it stands still", "running": null,
        "maintenance_until": "2126-01-01T00:00:00Z", "silenced_until": "1970-01-01T00:00:00Z", "moved": null, "taken_back": null, "named": []}}]);
    status["verdicts"] = ["act", "ask", "hold", "ignore"]
        .iter()
        .enumerate()
        .map(|(n, decision)| json!({"incident": 199 - n, "service": "web", "at": now(), "decision": decision, "refusal": {"gate": "target", "decision": decision, "reason": "nowhere"}, "fault": "x", "entity": "a", "probability": 0.5, "remedy": "failover"}))
        .collect();
    let origin = agent(Arc::new(Mutex::new((200, status.to_string()))));
    let mut browser = Browser::start();
    for dark in [false, true] {
        browser.window(1440, 1000, dark);
        browser.open(&origin);
        browser.reads("#you", "Move web?");
        assert_eq!(browser.value(CONTRAST), json!([]), "dark: {dark}");
    }
    // Whoever cannot see the page hears a name of each part.
    let nameless = browser.value(
        "[...document.querySelectorAll('section:not([hidden]), svg[role=img], button, input, select, [role=region], article')].filter((e) => { \
         const by = e.getAttribute('aria-labelledby'); \
         return !(e.getAttribute('aria-label') || (by && document.getElementById(by).innerText) || (e.id && document.querySelector(`label[for=${e.id}]`)) || e.textContent.trim() || e.closest('dialog')); \
         }).map((e) => e.outerHTML.slice(0, 80))",
    );
    assert_eq!(nameless, json!([]));
    // What has the focus is seen to have it.
    browser.press("Tab");
    browser.tab_to("hold everything");
    assert_eq!(
        browser.value("getComputedStyle(document.activeElement).outlineStyle"),
        json!("solid")
    );
    browser.is_content_with(&origin);
}

#[test]
fn the_report_of_a_replay_stands_by_itself() {
    if skipped("the report in a browser", &["chromium"]) {
        return;
    }
    let dir = tempfile::tempdir().unwrap();
    let file = dir.path().join("out.html");
    let datasets = Path::new(env!("CARGO_MANIFEST_DIR")).join("datasets");
    let ran = Command::new(env!("CARGO_BIN_EXE_jurymast"))
        .args(["replay", "--report"])
        .arg(&file)
        .args([datasets.join("service-crash"), datasets.join("sensor-stuck")])
        .output()
        .unwrap();
    assert!(ran.status.success(), "{}", String::from_utf8_lossy(&ran.stderr));
    let mut browser = Browser::start();
    let origin = format!("file://{}", file.display());
    for dark in [false, true] {
        browser.window(1440, 1000, dark);
        browser.open(&origin);
        browser.reads("body", "service-crashed at ingest-a");
        assert_eq!(browser.value(CONTRAST), json!([]), "dark: {dark}");
    }
    assert!(browser.value("document.querySelectorAll('svg').length").as_u64() > Some(2));
    pictures(&mut browser, "report");
    fits(&mut browser);
    browser.is_content_with(&origin);
}
