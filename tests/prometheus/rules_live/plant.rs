//! A target whose values follow a story, each with a time of its own, and the rules that watch it.

use std::io::{Read, Write};
use std::net::TcpListener;
use std::sync::Arc;
use std::sync::atomic::{AtomicI64, Ordering};
use std::time::{Duration, SystemTime, UNIX_EPOCH};

pub const RULES: &str = r#"groups:
- name: recorded
  interval: 1s
  rules:
  - {record: 'device:temp_celsius:avg5s', expr: 'avg_over_time(plant_temp_celsius[5s])'}
  - {record: 'job:plant_requests:rate10s', expr: 'sum by (job) (rate(plant_requests_total{code="200"}[10s]))', labels: {team: plant}}
- name: alerts
  interval: 1s
  rules:
  - alert: Hot
    expr: plant_temp_celsius > 80
    for: 3s
    keep_firing_for: 5s
    labels: {severity: page, tier: '{{ if gt $value 85.0 }}high{{ else }}low{{ end }}'}
    annotations:
      summary: 'device {{ $labels.device }} of {{ $labels.job }} at {{ $value | humanize }} ({{ printf "%.2f" $value }})'
      others: '{{ with query "plant_temp_celsius" }}{{ len . }} devices, first {{ . | first | label "device" }}{{ end }}'
  - {alert: Warm, expr: 'device:temp_celsius:avg5s > 89', annotations: {summary: '{{ $labels.device }}'}}
  - {alert: Long, expr: 'sum by (site) (plant_temp_celsius) > 0', for: 1h}
  - {alert: Gone, expr: 'absent(plant_job_state{site="north", job="plant"})'}
  - {alert: Dead, expr: 'up{site="south"} == 0', for: 2s, labels: {what: '{{ $labels.job }} {{ $value }}'}}
  - {alert: Sites, expr: 'count without (instance) (up{site="south"} == 0) >= 2'}
"#;

/// Values that each answer tells: whoever was held up for a few seconds misses none.
const TOLD: i64 = 8;

pub struct Plant {
    pub port: u16,
    /// In milliseconds since 1970; 0 before the story begins.
    begin: Arc<AtomicI64>,
}

fn now() -> i64 {
    let now = SystemTime::now().duration_since(UNIX_EPOCH).unwrap();
    i64::try_from(now.as_millis()).unwrap()
}

impl Plant {
    pub fn start() -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        let port = listener.local_addr().unwrap().port();
        let begin = Arc::new(AtomicI64::new(0));
        let story = Arc::clone(&begin);
        std::thread::spawn(move || {
            for stream in listener.incoming() {
                let (Ok(mut stream), story) = (stream, Arc::clone(&story)) else {
                    continue;
                };
                std::thread::spawn(move || {
                    let _ = stream.read(&mut [0; 4096]);
                    let body = page(story.load(Ordering::Relaxed), now());
                    let head = format!(
                        "HTTP/1.1 200 OK\r\nContent-Type: text/plain; version=0.0.4\r\nContent-Length: {}\r\nConnection: close\r\n\r\n",
                        body.len()
                    );
                    let _ = stream.write_all((head + &body).as_bytes());
                });
            }
        });
        Self { port, begin }
    }

    /// The story begins with the next whole second.
    pub fn begins(&self) -> i64 {
        let begin = (now() / 1000 + 1) * 1000;
        self.begin.store(begin, Ordering::Relaxed);
        begin
    }

    /// A time of which both know all, in milliseconds; at no whole second, so that it stands at the edge of no window.
    pub fn settled() -> i64 {
        std::thread::sleep(Duration::from_secs(3));
        (now() / 1000 - 2) * 1000 + 500
    }
}

fn page(begin: i64, now: i64) -> String {
    let mut text = String::new();
    let second = (now - begin) / 1000;
    if begin == 0 || now < begin {
        return text;
    }
    let (first, last) = ((second - TOLD).max(0), second);
    let mut series = |name: &str, labels: &str, value: &dyn Fn(i64) -> f64| {
        for second in first..=last {
            text += &format!("{name}{{{labels}}} {} {}\n", value(second), begin + second * 1000);
        }
    };
    series("plant_temp_celsius", "device=\"a\"", &|second| {
        if (8..24).contains(&second) { 90.5 } else { 20.0 }
    });
    series("plant_temp_celsius", "device=\"b\"", &|second| {
        if second >= 34 { 95.25 } else { 30.0 }
    });
    for (device, code, step) in [("a", "200", 7), ("a", "500", 1), ("b", "200", 3)] {
        // One of them begins anew every 11 s.
        let value = |second: i64| (if code == "500" { second % 11 } else { second * step }) as f64;
        series(
            "plant_requests_total",
            &format!("device=\"{device}\",code=\"{code}\""),
            &value,
        );
    }
    for (le, step) in [("0.1", 2), ("0.5", 5), ("1", 8), ("+Inf", 9)] {
        series("plant_latency_seconds_bucket", &format!("le=\"{le}\""), &|second| {
            (second * step) as f64
        });
    }
    series("plant_level", "device=\"a\"", &|second| {
        ((second * 37) % 13) as f64 - 4.5
    });
    // Has no time of its own: it is over at once when it is told no more.
    if second < 20 {
        text += "plant_job_state{state=\"running\"} 1\n";
    }
    text += "plant_info{version=\"1.2.3\",device=\"a\"} 1\nplant_info{version=\"1.2.4\",device=\"b\"} 1\n";
    text
}
