//! The page of a real agent in a real browser: a fault of the demo seen from beginning to end, a move approved by the keyboard alone.
//! `PAGE_PICTURES=FOLDER` keeps pictures of what was seen.

use std::io::{BufRead, BufReader};
use std::net::TcpStream;
use std::process::{Command, Stdio};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};

use serde_json::{Value, json};

use crate::harness::chromium::{Browser, fits, pictures};
use crate::harness::instance::mortal;
use crate::harness::{Server, find, finds_well, free_port, skipped, wait};

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
            mortal(*port, "ok", Arc::clone(gone));
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
        let servers = vec![balancer, Server::agent(dir.path(), api, 4)];
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
    mortal(world.ports[0], "ok", Arc::default());
    mortal(world.ports[2], "ok", Arc::default());
    wait("the old ones are well again", || finds_well(world.api, 4));
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
