//! The contenders, each set up as its users do, and started.

use std::time::{Duration, Instant};

use crate::shared::{Webhooks, firing, free_port};
use crate::site::{BROKER, HOST_A, HOST_B, HOST_C, PORT, Site, VIRTUAL};
use crate::watch::{MARKER, Watch, ask, get_path};

/// How a contender leads traffic.
pub enum Way {
    /// By the state of two servers in that backend.
    Backend(&'static str),
    /// By an address that is on one host or the other.
    Address,
}

pub struct Contender {
    pub name: &'static str,
    pub short: &'static str,
    /// So many looks must agree before it moves.
    pub looks: u32,
    pub ours: bool,
    pub front: u16,
    pub way: Way,
}

pub const CONTENDERS: [Contender; 4] = [
    Contender {
        name: "Prometheus 1s/1s + Alertmanager 0s + webhook",
        short: "prometheus",
        looks: 1,
        ours: false,
        front: 8101,
        way: Way::Backend("alerts"),
    },
    Contender {
        name: "HAProxy inter 1s fall 3",
        short: "haproxy",
        looks: 3,
        ours: false,
        front: 8102,
        way: Way::Backend("checks"),
    },
    Contender {
        name: "keepalived advert 1s, check 1s fall 3",
        short: "keepalived",
        looks: 3,
        ours: false,
        front: 8103,
        way: Way::Address,
    },
    Contender {
        name: "Jurymast, default settings",
        short: "jurymast",
        looks: 2,
        ours: true,
        front: 8104,
        way: Way::Backend("jury"),
    },
];

/// Rules as people have them; Prometheus and Jurymast read the same file.
const RULES: &str = "groups:
- name: ingest
  interval: 1s
  rules:
  - alert: IngestDown
    expr: up{job=\"ingest\"} == 0
  - alert: IngestUnhealthy
    expr: service_healthy == 0
  - alert: IngestErrors
    expr: sum by (instance) (rate(http_requests_total{code=~\"5..\"}[5s])) / sum by (instance) (rate(http_requests_total[5s])) > 0.5
";

pub struct Peers {
    hook: tokio::task::JoinHandle<()>,
    api: u16,
    prometheus: u16,
}

impl Drop for Peers {
    fn drop(&mut self) {
        self.hook.abort();
    }
}

impl Peers {
    pub fn start(site: &mut Site) -> Self {
        haproxy(site);
        let (hook, prometheus) = alerts(site);
        keepalived(site);
        let api = jurymast(site);
        Self { hook, api, prometheus }
    }

    /// Everybody has looked at both instances, and the active serves at every front.
    pub async fn ready(&self, site: &Site, watch: &mut Watch) -> bool {
        let began = Instant::now();
        while began.elapsed() < Duration::from_secs(40) {
            let status = get_path(self.api, "/api/status").await.unwrap_or_default();
            let up = get_path(self.prometheus, "/api/v1/query?query=sum(up)")
                .await
                .unwrap_or_default();
            let checked = ask(&site.haproxy_socket, "show stat\n").unwrap_or_default();
            let checked = checked
                .lines()
                .filter(|line| line.starts_with("checks,") && line.contains(",L7OK,"))
                .count();
            let jury = status.matches("\"health\":\"good\"").count();
            if jury >= 2 && up.contains(",\"2\"]") && checked == 2 && watch.all_active() {
                // The first seconds of a process are no one's everyday.
                tokio::time::sleep(Duration::from_secs(4)).await;
                return watch.all_active();
            }
            tokio::time::sleep(Duration::from_millis(100)).await;
        }
        false
    }
}

fn haproxy(site: &mut Site) {
    let mut text = format!(
        "global\n stats socket {} level admin\n maxconn 4000\ndefaults\n mode http\n timeout connect 1s\n timeout client 10s\n timeout server 5s\n",
        site.haproxy_socket.display()
    );
    for (front, backend) in [(8101, "alerts"), (8102, "checks"), (8103, "address"), (8104, "jury")] {
        text += &format!("frontend f-{backend}\n bind 127.0.0.1:{front}\n default_backend {backend}\n");
    }
    for backend in ["alerts", "jury"] {
        text += &format!("backend {backend}\n server a {HOST_A}:{PORT}\n server b {HOST_B}:{PORT} disabled\n");
    }
    text += &format!(
        "backend checks\n option httpchk GET /healthz\n default-server inter 1s fall 3 rise 2\n server a {HOST_A}:{PORT} check\n \
         server b {HOST_B}:{PORT} check backup\nbackend address\n server virtual {VIRTUAL}:{PORT}\n"
    );
    site.write("haproxy.cfg", &text);
    site.start_on('w', "haproxy", "haproxy", &["-db", "-f", "haproxy.cfg"]);
}

fn alerts(site: &mut Site) -> (tokio::task::JoinHandle<()>, u16) {
    let (prometheus, alertmanager, port) = (free_port(), free_port(), free_port());
    site.write("rules.yml", RULES);
    site.write(
        "prometheus.yml",
        &format!(
            "global: {{scrape_interval: 1s, scrape_timeout: 1s, evaluation_interval: 1s}}\nrule_files: [rules.yml]\nalerting: {{alertmanagers: [{{static_configs: \
             [{{targets: ['127.0.0.1:{alertmanager}']}}]}}]}}\nscrape_configs:\n- job_name: ingest\n  static_configs:\n  - {{targets: ['{HOST_A}:{PORT}'], labels: \
             {{instance: a}}}}\n  - {{targets: ['{HOST_B}:{PORT}'], labels: {{instance: b}}}}\n"
        ),
    );
    site.write(
        "alertmanager.yml",
        &format!(
            "route: {{receiver: w, group_by: [instance, alertname], group_wait: 0s, group_interval: 5m, repeat_interval: 4h}}\nreceivers: [{{name: w, webhook_configs: \
             [{{url: 'http://127.0.0.1:{port}/'}}]}}]\n"
        ),
    );
    let listener = std::net::TcpListener::bind(("127.0.0.1", port)).expect("a port");
    listener.set_nonblocking(true).expect("a socket");
    let socket = site.haproxy_socket.clone();
    let hook = tokio::spawn(async move {
        let listener = tokio::net::TcpListener::from_std(listener).expect("a socket");
        while let Ok((stream, _)) = listener.accept().await {
            tokio::spawn(receive(stream, socket.clone()));
        }
    });
    let listen = |port: u16| format!("--web.listen-address=127.0.0.1:{port}");
    let arguments = [
        "--config.file=prometheus.yml",
        "--storage.tsdb.path=tsdb",
        &listen(prometheus),
    ];
    site.start_on('w', "prometheus", "prometheus", &arguments);
    let arguments = [
        "--config.file=alertmanager.yml",
        "--storage.path=am",
        &listen(alertmanager),
        "--cluster.listen-address=",
    ];
    site.start_on('w', "alertmanager", "prometheus-alertmanager", &arguments);
    (hook, prometheus)
}

/// The webhook of a runbook: an alert of the active instance switches to the other one.
async fn receive(stream: tokio::net::TcpStream, socket: std::path::PathBuf) {
    let mut webhooks = Webhooks(stream);
    while let Some(webhook) = webhooks.next().await {
        if firing(&webhook).any(|alert| alert["labels"]["instance"] == "a") {
            for command in ["set server alerts/b state ready\n", "set server alerts/a state maint\n"] {
                let _ = ask(&socket, command);
            }
        }
        webhooks.answer().await;
    }
}

fn keepalived(site: &mut Site) {
    let marker = site.path(MARKER);
    for (host, own, other, priority) in [('a', HOST_A, HOST_B, 150), ('b', HOST_B, HOST_A, 100)] {
        let (script, state) = (
            site.path(&format!("check-{host}")),
            if host == 'a' { "MASTER" } else { "BACKUP" },
        );
        site.write(
            &format!("check-{host}"),
            &format!("#!/bin/sh\nexec curl -sf -m 1 -o /dev/null http://127.0.0.1:{PORT}/healthz\n"),
        );
        let notify = site.path(&format!("notify-{host}"));
        let mark = if host == 'b' {
            format!("touch {marker}")
        } else {
            "true".into()
        };
        site.write(&format!("notify-{host}"), &format!("#!/bin/sh\nexec {mark}\n"));
        for file in [&script, &notify] {
            crate::site::must(&format!("chmod 755 {file}"));
        }
        site.write(
            &format!("keepalived-{host}.conf"),
            &format!(
                "global_defs {{\n script_user root\n vrrp_garp_master_delay 1\n}}\nvrrp_script healthy {{\n script \"{script}\"\n interval 1\n timeout 2\n fall 3\n rise 2\n}}\n\
                 vrrp_instance v {{\n state {state}\n interface e-{host}\n virtual_router_id 51\n priority {priority}\n advert_int 1\n unicast_src_ip {own}\n \
                 unicast_peer {{\n  {other}\n }}\n virtual_ipaddress {{\n  {VIRTUAL}/24\n }}\n track_script {{\n  healthy\n }}\n notify_master \"{notify}\"\n}}\n"
            ),
        );
        let (conf, pid, vrrp, checkers) = (
            site.path(&format!("keepalived-{host}.conf")),
            site.path(&format!("keepalived-{host}.pid")),
            site.path(&format!("vrrp-{host}.pid")),
            site.path(&format!("checkers-{host}.pid")),
        );
        let arguments = ["-n", "-l", "-P", "-f", &conf, "-p", &pid, "-r", &vrrp, "-c", &checkers];
        site.start_on(host, &format!("keepalived-{host}"), "keepalived", &arguments);
    }
}

/// Nothing is set that a default is there for.
fn jurymast(site: &mut Site) -> u16 {
    let api = free_port();
    let instance = |name: &str, host: &str| {
        format!(
            "    - {{name: {name}, kind: service, attributes: {{address: '{host}:{PORT}'}}}}\n    - {{name: host-{name}, kind: host}}\n"
        )
    };
    let text = format!(
        "\
agent: {{name: jurymast, data_dir: data}}
api: {{listen: '127.0.0.1:{api}'}}
sources:
  mqtt:
    - name: broker
      url: mqtt://{HOST_C}:{BROKER}
      subscribe: [{{filter: 'plant/{{line}}/{{device}}/telemetry', decode: json, entity: '{{device}}', via: 'gateway-{{line}}'}}]
  scrape:
    - job: ingest
      interval: 1s
      targets: [{{address: '{HOST_A}:{PORT}', entity: a}}, {{address: '{HOST_B}:{PORT}', entity: b}}]
rules: {{alerts: [rules.yml]}}
topology:
  entities:
{}{}    - {{name: db, kind: database}}
  edges:
    - {{from: a, edge: runs_on, to: host-a}}
    - {{from: b, edge: runs_on, to: host-b}}
    - {{from: a, edge: depends_on, to: db}}
    - {{from: b, edge: depends_on, to: db}}
services:
  - name: ingest
    active: a
    standbys: [{{entity: b}}]
    playbook: haproxy-switch
    vars: {{socket: '{}', backend: jury}}
    probe: {{uses: http, with: {{url: 'http://{{address}}/healthz'}}}}
",
        instance("a", HOST_A),
        instance("b", HOST_B),
        site.haproxy_socket.display()
    );
    site.write("jurymast.yml", &text);
    // Another build of it can be put in, to compare.
    let program = std::env::var("JURYMAST").unwrap_or_else(|_| env!("CARGO_BIN_EXE_jurymast").into());
    site.start_on('w', "jurymast", &program, &["run", "-c", "jurymast.yml"]);
    api
}
