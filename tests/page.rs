//! The page in a real browser: a fault of the demo seen from beginning to end, a move approved by the keyboard alone, large and empty plants, the
//! report of a replay. `PAGE_PICTURES=FOLDER` keeps pictures of what was seen.

#[path = "harness/chromium.rs"]
mod chromium;
mod harness;

use std::io::{BufRead, BufReader, Read, Write};
use std::net::{TcpListener, TcpStream};
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex};
use std::time::Duration;

use chromium::Browser;
use harness::{Server, find, free_port, get, skipped, wait};
use serde_json::{Value, json};

/// The widths of a desk, a tablet and a phone.
const WINDOWS: [(u32, u32); 3] = [(1440, 1000), (900, 1100), (390, 844)];

/// Keeps pictures at each width, light and dark, if they are wanted.
fn pictures(browser: &mut Browser, name: &str) {
    let Some(folder) = std::env::var_os("PAGE_PICTURES").map(PathBuf::from) else {
        return;
    };
    std::fs::create_dir_all(&folder).unwrap();
    for (width, height) in WINDOWS {
        for (dark, word) in [(false, "light"), (true, "dark")] {
            browser.window(width, height, dark);
            // One turn of the page, for what depends on the width.
            std::thread::sleep(Duration::from_millis(300));
            browser.picture(&folder.join(format!("{name}-{width}-{word}.png")), true);
        }
    }
    browser.window(1440, 1000, false);
}

/// At no width does anything reach over the edge.
fn fits(browser: &mut Browser) {
    for (width, height) in WINDOWS {
        browser.window(width, height, false);
        browser.until(&format!("innerWidth === {width}"));
        let wide = browser.value("document.documentElement.scrollWidth");
        assert!(
            wide.as_u64() <= Some(u64::from(width)),
            "{wide} px wide in a window of {width}"
        );
    }
    browser.window(1440, 1000, false);
}

#[test]
fn a_fault_of_the_demo_is_seen_from_beginning_to_end() {
    if skipped("the page through a fault of the demo", &["chromium"]) {
        return;
    }
    let mut browser = Browser::start();
    let mut demo = Command::new(env!("CARGO_BIN_EXE_jurymast"))
        .args(["demo", "--fault", "service-crash", "--seed", "3", "--stay", "60s"])
        .stdin(Stdio::null())
        .stdout(Stdio::piped())
        .spawn()
        .unwrap();
    let mut told = BufReader::new(demo.stdout.take().unwrap()).lines();
    let demo = Server::of(demo);
    let origin = loop {
        let line = told.next().unwrap().unwrap();
        if let Some(at) = line.find("http://127.0.0.1:") {
            break line[at..].trim().to_owned();
        }
    };
    browser.window(1440, 1000, false);
    browser.open(&origin);
    browser.reads("#services", "runs on ingest-a");
    browser.reads("#map", "20 devices");
    browser.reads("#state", "all well");
    // What is shown is kept, so that what comes and goes between two looks is not missed.
    browser.value(
        "window.seen = ''; new MutationObserver(() => { window.seen += document.body.innerText; }).observe(document.body, {subtree: true, childList: true, characterData: true})",
    );
    browser.reads("#moves", "done: it runs on");
    browser.until("window.seen.includes('service-crashed at ingest-a')");
    browser.until("window.seen.includes('ingest-a not well')");
    browser.until("document.querySelector('#news').textContent !== ''");
    browser.until("!document.querySelector('#services').innerText.includes('runs on ingest-a')");
    browser.reads("#services", "home is ingest-a");
    browser.value("document.querySelectorAll('details').forEach((d) => { if (d.querySelector('[aria-label=\"incident 1\"]')) d.open = true; })");
    browser.until("document.querySelector('[aria-label=\"incident 1\"]')");
    let states = browser.value("[...document.querySelectorAll('#moves .steps li')].map((li) => li.className)");
    let states: Vec<&str> = states.as_array().unwrap().iter().filter_map(Value::as_str).collect();
    assert!(
        states.len() > 2 && states.iter().all(|state| *state == "done"),
        "{states:?}"
    );
    pictures(&mut browser, "demo");
    fits(&mut browser);
    browser.is_content_with(&origin);
    drop(demo);
    browser.reads("#gone", "No answer from the agent");
    browser.reads("#services", "ingest");
}

/// An instance of a service; gone, as a process would be, once `gone` is set.
fn instance(port: u16, gone: Arc<AtomicBool>) {
    let listener = TcpListener::bind(("127.0.0.1", port)).unwrap();
    listener.set_nonblocking(true).unwrap();
    std::thread::spawn(move || {
        while !gone.load(Ordering::SeqCst) {
            let Ok((mut stream, _)) = listener.accept() else {
                std::thread::sleep(Duration::from_millis(5));
                continue;
            };
            let _ = stream.set_nonblocking(false);
            let _ = stream.read(&mut [0; 4096]);
            let _ = stream.write_all(b"HTTP/1.1 200 OK\r\nContent-Length: 2\r\nConnection: close\r\n\r\nok");
        }
    });
}

const TOKEN: &str = "a token for the page";

/// Two services behind `HAProxy` that are moved only with a yes.
struct Asking {
    dir: tempfile::TempDir,
    gone: [Arc<AtomicBool>; 4],
    ports: [u16; 4],
    api: u16,
    servers: Vec<Server>,
}

impl Asking {
    fn start() -> Self {
        let dir = tempfile::tempdir().unwrap();
        let gone = [(); 4].map(|()| Arc::new(AtomicBool::new(false)));
        let ports = [(); 4].map(|()| free_port());
        let (front, api) = (free_port(), free_port());
        for (port, gone) in ports.iter().zip(&gone) {
            instance(*port, Arc::clone(gone));
        }
        let [a, b, c, d] = ports;
        let haproxy = format!(
            "global\n  stats socket unix@haproxy.sock level admin\ndefaults\n  mode http\n  timeout connect 1s\n  timeout client 5s\n  timeout server 5s\n\
             frontend f\n  bind 127.0.0.1:{front}\n  default_backend web\nbackend web\n  server web-a 127.0.0.1:{a}\n  server web-b 127.0.0.1:{b} disabled\n\
             backend mail\n  server mail-a 127.0.0.1:{c}\n  server mail-b 127.0.0.1:{d} disabled\n"
        );
        let entity = |name: &str, port: u16| {
            format!("    - {{name: {name}, kind: service, attributes: {{address: '127.0.0.1:{port}'}}}}\n")
        };
        let service = |name: &str| {
            format!(
                "  - name: {name}\n    active: {name}-a\n    standbys: [{{entity: {name}-b}}]\n    playbook: haproxy-switch\n    approval: ask\n    cool_down: 1s\n    hold_off: 300ms\n\
                 \x20   vars: {{socket: haproxy.sock, backend: {name}}}\n    probe: {{uses: http, with: {{url: 'http://{{address}}/'}}, interval: 300ms, timeout: 300ms}}\n"
            )
        };
        let config = format!(
            "agent: {{name: jurymast, data_dir: data}}\napi: {{listen: '127.0.0.1:{api}', token_file: token}}\ntopology:\n  entities:\n{}{}{}{}services:\n{}{}",
            entity("web-a", a),
            entity("web-b", b),
            entity("mail-a", c),
            entity("mail-b", d),
            service("web"),
            service("mail"),
        );
        for (file, text) in [
            ("haproxy.cfg", haproxy.as_str()),
            ("jurymast.yml", &config),
            ("token", TOKEN),
        ] {
            std::fs::write(dir.path().join(file), text).unwrap();
        }
        let balancer = Server::start(dir.path(), &find("haproxy").unwrap(), &["-db", "-f", "haproxy.cfg"]);
        wait("HAProxy listens", || TcpStream::connect(("127.0.0.1", front)).is_ok());
        let agent = Server::start(dir.path(), Path::new(env!("CARGO_BIN_EXE_jurymast")), &["run"]);
        let servers = vec![balancer, agent];
        wait("all are seen to be well", || {
            get(api, "/api/status").is_some_and(|status| status.matches("\"health\":\"good\"").count() >= 4)
        });
        Self {
            dir,
            gone,
            ports,
            api,
            servers,
        }
    }
}

/// Opens the dialog by the keyboard, says who one is, gives that token, and says yes.
fn say(browser: &mut Browser, button: &str, token: Option<&str>) {
    browser.tab_to(button);
    browser.press("Enter");
    browser.until("document.querySelector('#order').open");
    if let Some(token) = token {
        browser.tab_to("token");
        browser.value("document.activeElement.select()");
        browser.write(token);
    }
    let yes = browser.text("#order-yes");
    browser.tab_to(&yes);
    browser.press("Enter");
}

#[test]
fn a_person_decides_with_the_keyboard_alone() {
    if skipped("the page by keyboard", &["chromium", "haproxy"]) {
        return;
    }
    let mut browser = Browser::start();
    let mut world = Asking::start();
    let origin = format!("http://127.0.0.1:{}/", world.api);
    browser.window(1440, 1000, false);
    browser.open(&origin);
    browser.reads("#state", "all well");
    world.gone[0].store(true, Ordering::SeqCst);
    browser.reads("#you", "Move web?");
    browser.reads("#state", "1 waits for you");
    browser.reads("#incidents", "service-crashed at web-a");
    browser.until("document.querySelector('[data-evidence]').open");
    browser.reads("[data-evidence]", "nobody listens");
    pictures(&mut browser, "asks");

    // The focus stays where it is while the page goes on, and a way out does nothing.
    browser.tab_to("yes, move it");
    let before = browser.text("#facts");
    browser.until(&format!(
        "document.querySelector('#facts').innerText !== {}",
        json!(before)
    ));
    browser.tab_to("yes, move it");
    browser.press("Enter");
    browser.until("document.querySelector('#order').open");
    pictures(&mut browser, "order");
    browser.press("Escape");
    browser.until("!document.querySelector('#order').open");

    say(&mut browser, "yes, move it", Some("not the token"));
    browser.reads("#order-wrong", "the token is wrong");
    browser.press("Escape");
    // That the browser notes the refusal is right.
    browser.listen();
    browser.complaints.retain(|complaint| !complaint.contains("403"));
    browser.tab_to("yes, move it");
    browser.press("Enter");
    browser.until("document.activeElement.id === 'by'");
    browser.write("Åsa on duty");
    browser.press("Tab");
    browser.write(TOKEN);
    browser.press("Enter");
    browser.reads("#moves", "done: it runs on web-b, verified");
    browser.reads("#services", "home is web-a");
    browser.until("document.querySelector('#you-section').hidden");

    // No is an answer as well, and can be taken back.
    world.gone[2].store(true, Ordering::SeqCst);
    browser.reads("#you", "Move mail?");
    say(&mut browser, "no, leave it", None);
    browser.until("document.querySelector('#you-section').hidden");
    browser.reads("#incidents", "denied: Asa on duty said no to a move of mail");
    say(&mut browser, "yes, move it", None);
    browser.reads("#services", "home is mail-a");
    browser.reads("#moves", "done: it runs on mail-b, verified");

    say(&mut browser, "hold everything", None);
    browser.reads("#state", "on hold");
    say(&mut browser, "release the hold", None);
    browser.until("!document.querySelector('#state').innerText.includes('hold')");
    say(&mut browser, "look now", None);
    browser.reads("#drill", "looks found something bad");
    instance(world.ports[0], Arc::new(AtomicBool::new(false)));
    instance(world.ports[2], Arc::new(AtomicBool::new(false)));
    wait("the old ones are well again", || {
        get(world.api, "/api/status").is_some_and(|status| status.matches("\"health\":\"good\"").count() >= 4)
    });
    say(&mut browser, "look now", None);
    browser.reads("#drill", "Every move would find what it needs");
    browser.tab_to("the audit log");
    browser.press("Enter");
    browser.reads("#audit", "the chain of hashes is whole");
    browser.reads("#audit", "Asa on duty: hold on");
    say(&mut browser, "send back to web-a", None);
    browser.reads("#moves", "done: it runs on web-a, verified");
    // What was changed behind its back is told.
    browser.listen();
    pictures(&mut browser, "after");
    fits(&mut browser);
    browser.is_content_with(&origin);
    let audit = world.dir.path().join("data/audit");
    let text = std::fs::read_to_string(&audit).unwrap();
    std::fs::write(&audit, text.replace("Asa on duty", "Eve on duty")).unwrap();
    browser.reads("#audit", "The log was changed");
    assert!(world.servers.pop().unwrap().terminate(), "SIGTERM ends it well");
}

/// Serves the page's own files, and as the agent's answer whatever is set.
fn stand_in(answer: Arc<Mutex<(u16, String)>>) -> String {
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let origin = format!("http://{}/", listener.local_addr().unwrap());
    std::thread::spawn(move || {
        for stream in listener.incoming() {
            let Ok(mut stream) = stream else { return };
            let mut bytes = [0; 8192];
            let Ok(length) = stream.read(&mut bytes) else { continue };
            let head = String::from_utf8_lossy(&bytes[..length]).into_owned();
            let path = head.split(' ').nth(1).unwrap_or("/").to_owned();
            let files = Path::new(env!("CARGO_MANIFEST_DIR")).join("src/api/page");
            let (status, kind, body) = match path.as_str() {
                "/api/status" => {
                    let (status, body) = answer.lock().unwrap().clone();
                    (status, "application/json", body)
                }
                "/api/drills/dry" => (200, "application/json", "null".into()),
                api if api.starts_with("/api/") => (200, "application/json", "{}".into()),
                "/" => (
                    200,
                    "text/html",
                    std::fs::read_to_string(files.join("index.html")).unwrap(),
                ),
                file => {
                    let kind = if file.ends_with("css") {
                        "text/css"
                    } else {
                        "text/javascript"
                    };
                    (
                        200,
                        kind,
                        std::fs::read_to_string(files.join(&file[1..])).unwrap_or_default(),
                    )
                }
            };
            let head = format!(
                "HTTP/1.1 {status} X\r\nContent-Type: {kind}; charset=utf-8\r\nContent-Length: {}\r\nConnection: close\r\n\r\n",
                body.len()
            );
            let _ = stream.write_all((head + &body).as_bytes());
        }
    });
    origin
}

fn now() -> String {
    jurymast::clock::wall_clock().to_string()
}

/// An agent's answer with nothing in it.
fn empty() -> Value {
    json!({"now": now(), "agent": "jurymast", "acting": true, "held": false, "lease": {"epoch": 1, "seq": 0, "until": now()}, "leases": [],
        "cannot_lead": null, "coverage": null, "uncovered": [], "series": 0, "learned": {"watched": 0, "learning": 0, "beyond": 0}, "topology_version": 0,
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
    let origin = stand_in(Arc::clone(&answer));
    let mut browser = Browser::start();
    browser.window(1440, 1000, false);
    browser.open(&origin);
    browser.reads("#state", "sees nothing yet");
    browser.reads("#services", "No service is configured");
    browser.reads("#map", "no source has told of anything");
    browser.reads("#incidents", "None is open");
    browser.is_content_with(&origin);
    pictures(&mut browser, "empty");

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
    let origin = stand_in(Arc::new(Mutex::new((200, status.to_string()))));
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
