//! A headless Chromium, told what to do by the `DevTools` protocol through a pipe: no port, no driver, no library.

#![allow(dead_code, reason = "each test file uses its own part of the harness")]

use std::io::{BufRead, BufReader, Read, Write};
use std::net::TcpListener;
use std::os::unix::process::CommandExt;
use std::path::{Path, PathBuf};
use std::process::{Child, ChildStdin, Command, Stdio};
use std::sync::mpsc::{Receiver, RecvTimeoutError, channel};
use std::time::{Duration, Instant};

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use serde_json::{Value, json};

use crate::harness::{PATIENCE, find};

/// See the module. Ends with its guard.
pub struct Browser {
    child: Child,
    to: ChildStdin,
    from: Receiver<Value>,
    number: u64,
    session: Option<String>,
    /// What the pages have asked for.
    pub asked: Vec<String>,
    /// What the pages have complained of.
    pub complaints: Vec<String>,
    _profile: tempfile::TempDir,
}

impl Browser {
    /// Starts one with an empty profile.
    pub fn start() -> Self {
        let profile = tempfile::tempdir().unwrap();
        // Descriptors 3 and 4 are where it listens and speaks.
        let mut child = Command::new("sh")
            .args(["-c", "exec \"$@\" 3<&0 4>&1 0</dev/null 1>/dev/null 2>/dev/null", "sh"])
            .arg(find("chromium").unwrap())
            .args(["--headless", "--no-sandbox", "--disable-gpu", "--disable-dev-shm-usage"])
            .args([
                "--remote-debugging-pipe",
                "--no-first-run",
                "--disable-quic",
                "--disable-sync",
            ])
            .args([
                "--disable-background-networking",
                "--disable-component-update",
                "--hide-scrollbars",
            ])
            .arg(format!("--user-data-dir={}", profile.path().display()))
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .process_group(0)
            .spawn()
            .unwrap();
        let (to, out) = (child.stdin.take().unwrap(), child.stdout.take().unwrap());
        let (said, from) = channel();
        std::thread::spawn(move || {
            for message in BufReader::new(out).split(0) {
                let Ok(message) = message else { return };
                let Ok(value) = serde_json::from_slice(&message) else {
                    continue;
                };
                if said.send(value).is_err() {
                    return;
                }
            }
        });
        let mut browser = Self {
            child,
            to,
            from,
            number: 0,
            session: None,
            asked: Vec::new(),
            complaints: Vec::new(),
            _profile: profile,
        };
        let target = browser.tell("Target.createTarget", &json!({"url": "about:blank"}))["targetId"].clone();
        let attached = browser.tell("Target.attachToTarget", &json!({"targetId": target, "flatten": true}));
        browser.session = attached["sessionId"].as_str().map(str::to_owned);
        for room in ["Page", "Runtime", "Network", "Log"] {
            browser.tell(&format!("{room}.enable"), &json!({}));
        }
        browser
    }

    /// Gives an order and waits for the answer.
    pub fn tell(&mut self, method: &str, parameters: &Value) -> Value {
        self.number += 1;
        let mut order = json!({"id": self.number, "method": method, "params": parameters});
        if let Some(session) = &self.session {
            order["sessionId"] = json!(session);
        }
        self.to.write_all(format!("{order}\0").as_bytes()).unwrap();
        let begin = Instant::now();
        loop {
            let left = PATIENCE.saturating_sub(begin.elapsed());
            let message = self
                .from
                .recv_timeout(left)
                .unwrap_or_else(|error| panic!("{method}: {error}"));
            if message["id"] == self.number {
                assert!(message["error"].is_null(), "{method}: {}", message["error"]);
                return message["result"].clone();
            }
            self.heard(&message);
        }
    }

    fn heard(&mut self, message: &Value) {
        let told = &message["params"];
        match message["method"].as_str().unwrap_or_default() {
            "Network.requestWillBeSent" => {
                self.asked.extend(told["request"]["url"].as_str().map(str::to_owned));
            }
            "Runtime.exceptionThrown" => self.complaints.push(told["exceptionDetails"].to_string()),
            "Runtime.consoleAPICalled" if told["type"] == "error" => self.complaints.push(told["args"].to_string()),
            "Log.entryAdded" if told["entry"]["level"] == "error" => self.complaints.push(told["entry"].to_string()),
            _ => {}
        }
    }

    /// Takes in what was said without being asked.
    pub fn listen(&mut self) {
        loop {
            match self.from.recv_timeout(Duration::from_millis(1)) {
                Ok(message) => self.heard(&message),
                Err(RecvTimeoutError::Timeout | RecvTimeoutError::Disconnected) => return,
            }
        }
    }

    /// Opens a page.
    pub fn open(&mut self, url: &str) {
        self.tell("Page.navigate", &json!({"url": url}));
        self.until("document.readyState === 'complete'");
    }

    /// How large its window is, and whether it prefers the dark.
    pub fn window(&mut self, width: u32, height: u32, dark: bool) {
        self.tell(
            "Emulation.setDeviceMetricsOverride",
            &json!({"width": width, "height": height, "deviceScaleFactor": 1, "mobile": false}),
        );
        let scheme = if dark { "dark" } else { "light" };
        self.tell(
            "Emulation.setEmulatedMedia",
            &json!({"features": [{"name": "prefers-color-scheme", "value": scheme}]}),
        );
    }

    /// What an expression is.
    pub fn value(&mut self, expression: &str) -> Value {
        let told = self.tell(
            "Runtime.evaluate",
            &json!({"expression": expression, "awaitPromise": true, "returnByValue": true}),
        );
        assert!(told["exceptionDetails"].is_null(), "{expression}: {told}");
        told["result"]["value"].clone()
    }

    /// The text that a person sees in what a selector names.
    pub fn text(&mut self, selector: &str) -> String {
        let text = self.value(&format!("document.querySelector({})?.innerText ?? ''", json!(selector)));
        text.as_str().unwrap_or_default().to_owned()
    }

    /// Waits until an expression is true.
    pub fn until(&mut self, expression: &str) {
        let begin = Instant::now();
        while self.value(&format!("!!({expression})")) != json!(true) {
            if begin.elapsed() > PATIENCE {
                let shown = self.value("document.body.innerText");
                panic!(
                    "waited in vain until {expression}; the page says:\n{}",
                    shown.as_str().unwrap_or_default()
                );
            }
            std::thread::sleep(Duration::from_millis(50));
        }
    }

    /// Waits until something that a person reads there holds that text.
    pub fn reads(&mut self, selector: &str, text: &str) {
        self.until(&format!(
            "document.querySelector({})?.innerText.includes({})",
            json!(selector),
            json!(text)
        ));
    }

    /// Presses a key: `Tab`, `Enter`, `Escape`, `Space`.
    pub fn press(&mut self, key: &str) {
        let (name, code, text) = match key {
            "Tab" => ("Tab", 9, ""),
            "Enter" => ("Enter", 13, "\r"),
            "Escape" => ("Escape", 27, ""),
            "Space" => (" ", 32, " "),
            other => panic!("no key {other}"),
        };
        let mut press = json!({"type": "keyDown", "key": name, "code": key, "windowsVirtualKeyCode": code});
        if !text.is_empty() {
            press["text"] = json!(text);
        }
        self.tell("Input.dispatchKeyEvent", &press);
        let release = json!({"type": "keyUp", "key": name, "code": key, "windowsVirtualKeyCode": code});
        self.tell("Input.dispatchKeyEvent", &release);
    }

    /// Types a text where the focus is.
    pub fn write(&mut self, text: &str) {
        self.tell("Input.insertText", &json!({"text": text}));
    }

    /// Presses Tab until what has the focus says that.
    pub fn tab_to(&mut self, text: &str) {
        let has = format!(
            "((e) => e.matches('button, summary, input, select, a') && (e.innerText || e.id).includes({}))(document.activeElement)",
            json!(text)
        );
        for _ in 0..200 {
            if self.value(&has) == json!(true) {
                return;
            }
            self.press("Tab");
        }
        panic!("Tab does not lead to {text:?}");
    }

    /// A picture of the whole page, or of the window.
    pub fn picture(&mut self, file: &Path, whole: bool) {
        let told = self.tell(
            "Page.captureScreenshot",
            &json!({"format": "png", "captureBeyondViewport": whole}),
        );
        let bytes = STANDARD.decode(told["data"].as_str().unwrap_or_default()).unwrap();
        std::fs::write(file, bytes).unwrap();
    }

    /// Nothing was complained of, and nothing was asked of anybody but this one.
    pub fn is_content_with(&mut self, origin: &str) {
        self.listen();
        assert_eq!(self.complaints, [""; 0]);
        let elsewhere = |url: &&String| !url.starts_with(origin) && !url.starts_with("data:") && *url != "about:blank";
        assert_eq!(self.asked.iter().find(elsewhere), None);
    }
}

impl Drop for Browser {
    fn drop(&mut self) {
        let _ = self.to.write_all(b"{\"id\": 0, \"method\": \"Browser.close\"}\0");
        let begin = Instant::now();
        while begin.elapsed() < Duration::from_secs(5) {
            if matches!(self.child.try_wait(), Ok(Some(_))) {
                return;
            }
            std::thread::sleep(Duration::from_millis(50));
        }
        // Its helpers are of its group.
        let group = format!("-{}", self.child.id());
        let _ = Command::new("kill").args(["-KILL", "--", &group]).status();
        let _ = self.child.wait();
    }
}

/// The widths of a desk, a tablet and a phone.
const WINDOWS: [(u32, u32); 3] = [(1440, 1000), (900, 1100), (390, 844)];

/// Keeps pictures at each width, light and dark, if they are wanted.
pub fn pictures(browser: &mut Browser, name: &str) {
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
pub fn fits(browser: &mut Browser) {
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

/// Serves the page's own files, and what `api` answers on a path below `/api/` and its query: a status and JSON. Where that is.
pub fn stand_in(mut api: impl FnMut(&str, &str) -> (u16, String) + Send + 'static) -> String {
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let origin = format!("http://{}/", listener.local_addr().unwrap());
    let files = Path::new(env!("CARGO_MANIFEST_DIR")).join("src/api/page");
    std::thread::spawn(move || {
        for mut stream in listener.incoming().map_while(Result::ok) {
            let mut bytes = [0; 8192];
            let Ok(length) = stream.read(&mut bytes) else { continue };
            let head = String::from_utf8_lossy(&bytes[..length]).into_owned();
            let asked = head.split(' ').nth(1).unwrap_or("/");
            let (path, query) = asked.split_once('?').unwrap_or((asked, ""));
            let file = |name: &str| (200, std::fs::read_to_string(files.join(name)).unwrap_or_default());
            let (kind, (status, body)) = match path {
                "/" => ("text/html", file("index.html")),
                path if path.starts_with("/api/") => ("application/json", api(path, query)),
                style if style.ends_with("css") => ("text/css", file(&style[1..])),
                script => ("text/javascript", file(&script[1..])),
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
