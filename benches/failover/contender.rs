//! Who switches the proxy.

use std::future::Future;
use std::pin::Pin;

use tokio::io::{AsyncReadExt, AsyncWriteExt};

use crate::shared::{Webhooks, firing, free_port};
use crate::world::{Running, World};

/// What runs while a contender plays.
pub struct Guard {
    _kids: Vec<Running>,
    receiver: Option<tokio::task::JoinHandle<()>>,
}

impl Drop for Guard {
    fn drop(&mut self) {
        if let Some(receiver) = &self.receiver {
            receiver.abort();
        }
    }
}

pub trait Contender {
    fn name(&self) -> &'static str;
    fn push(&self) -> bool;
    fn log(&self) -> &'static str;
    fn start<'a>(&'a self, world: &'a World) -> Pin<Box<dyn Future<Output = Guard> + 'a>>;
}

/// Prometheus 1 s / 1 s, Alertmanager with `group_wait: 0s`, and a webhook receiver that does nothing but switch.
pub struct Alertmanager;

impl Contender for Alertmanager {
    fn name(&self) -> &'static str {
        "Prometheus 1s/1s + Alertmanager group_wait 0s + webhook"
    }

    fn push(&self) -> bool {
        false
    }

    fn log(&self) -> &'static str {
        "alertmanager.log"
    }

    fn start<'a>(&'a self, world: &'a World) -> Pin<Box<dyn Future<Output = Guard> + 'a>> {
        Box::pin(async move {
            let dir = world.dir.path();
            let (prometheus, alertmanager) = (free_port(), free_port());
            let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await.expect("a port");
            let hook = listener.local_addr().expect("a port").port();
            let socket = world.haproxy_socket.clone();
            let receiver = tokio::spawn(async move {
                while let Ok((stream, _)) = listener.accept().await {
                    tokio::spawn(receive(stream, socket.clone()));
                }
            });
            // One rule group per service, so that each has its own evaluation offset as in a real deployment.
            let rules: String = (0..world.services.len())
                .map(|i| format!("- name: g{i}\n  rules:\n  - alert: SvcDown\n    expr: svc_up{{inst=\"{i}\"}} == 0\n"))
                .collect();
            let jobs: String = (0..world.services.len())
                .map(|i| format!("- job_name: j{i}\n  metric_relabel_configs: [{{source_labels: [inst], regex: '{i}', action: keep}}]\n  static_configs: [{{targets: ['127.0.0.1:{}']}}]\n", world.exporter))
                .collect();
            write(dir, "rules.yml", &format!("groups:\n{rules}"));
            write(
                dir,
                "prometheus.yml",
                &format!(
                    "global: {{scrape_interval: 1s, scrape_timeout: 1s, evaluation_interval: 1s}}\nrule_files: [rules.yml]\nalerting: {{alertmanagers: [{{static_configs: [{{targets: ['127.0.0.1:{alertmanager}']}}]}}]}}\nscrape_configs:\n{jobs}"
                ),
            );
            write(
                dir,
                "alertmanager.yml",
                &format!(
                    "route: {{receiver: w, group_by: [inst], group_wait: 0s, group_interval: 5m, repeat_interval: 4h}}\nreceivers: [{{name: w, webhook_configs: [{{url: 'http://127.0.0.1:{hook}/'}}]}}]\n"
                ),
            );
            let kids = vec![
                Running::start(
                    dir,
                    "prometheus.log",
                    "prometheus",
                    &[
                        "--config.file=prometheus.yml".into(),
                        "--storage.tsdb.path=tsdb".into(),
                        format!("--web.listen-address=127.0.0.1:{prometheus}"),
                    ],
                ),
                Running::start(
                    dir,
                    "alertmanager.log",
                    "prometheus-alertmanager",
                    &[
                        "--config.file=alertmanager.yml".into(),
                        "--storage.path=am".into(),
                        format!("--web.listen-address=127.0.0.1:{alertmanager}"),
                        "--cluster.listen-address=".into(),
                    ],
                ),
            ];
            Guard {
                _kids: kids,
                receiver: Some(receiver),
            }
        })
    }
}

/// Takes the primaries that are named out of the proxy.
async fn receive(stream: tokio::net::TcpStream, socket: std::path::PathBuf) {
    let mut webhooks = Webhooks(stream);
    while let Some(webhook) = webhooks.next().await {
        for alert in firing(&webhook) {
            let inst = alert["labels"]["inst"].as_str().unwrap_or_default();
            for command in [
                format!("set server be{inst}/standby-{inst} state ready\n"),
                format!("set server be{inst}/primary-{inst} state maint\n"),
            ] {
                if let Ok(mut haproxy) = tokio::net::UnixStream::connect(&socket).await {
                    let _ = haproxy.write_all(command.as_bytes()).await;
                    let _ = haproxy.read_to_end(&mut Vec::new()).await;
                }
            }
        }
        webhooks.answer().await;
    }
}

/// Ours, told by MQTT or scraping.
pub struct Jurymast {
    pub push: bool,
}

impl Contender for Jurymast {
    fn name(&self) -> &'static str {
        if self.push {
            "Jurymast, one bad MQTT message"
        } else {
            "Jurymast, scrape 1s, decided on arrival"
        }
    }

    fn push(&self) -> bool {
        self.push
    }

    fn log(&self) -> &'static str {
        "jurymast.log"
    }

    fn start<'a>(&'a self, world: &'a World) -> Pin<Box<dyn Future<Output = Guard> + 'a>> {
        Box::pin(async move {
            let dir = world.dir.path();
            write(dir, "jurymast.yml", &config(world, self.push));
            let args = ["run", "-c", "jurymast.yml"].map(String::from);
            let kids = vec![Running::start(
                dir,
                "jurymast.log",
                env!("CARGO_BIN_EXE_jurymast"),
                &args,
            )];
            Guard {
                _kids: kids,
                receiver: None,
            }
        })
    }
}

/// The rule needs one sample, and no hold-off or probe stands between it and the move, as nothing does in the peer.
fn config(world: &World, push: bool) -> String {
    let source = if push {
        format!(
            "  mqtt:\n    - name: bench\n      url: mqtt://127.0.0.1:{}\n      subscribe:\n        - {{filter: 'health/{{instance}}', decode: json, entity: '{{instance}}', kind: service}}\n",
            world.mqtt
        )
    } else {
        format!(
            "  scrape:\n    - {{job: bench, interval: 1s, timeout: 500ms, targets: ['127.0.0.1:{}'], entity: 'primary-{{inst}}', kind: service}}\n",
            world.exporter
        )
    };
    let signal = if push { "ok" } else { "svc_up" };
    let mut entities = String::new();
    let mut services = String::new();
    for (i, s) in world.services.iter().enumerate() {
        for (role, port) in [("primary", s.primary), ("standby", s.standby)] {
            entities += &format!(
                "    - {{name: {role}-{i}, kind: service, attributes: {{address: '127.0.0.1:{port}', haproxy_server: {role}-{i}}}}}\n"
            );
        }
        services += &format!(
            "  - {{name: svc-{i}, active: primary-{i}, standbys: [{{entity: standby-{i}}}], hold_off: 0s, confirm: 0, playbook: haproxy-switch, vars: {{socket: '{}', backend: be{i}}}, probe: {{uses: http, with: {{url: 'http://{{address}}/'}}, interval: 2s}}}}\n",
            world.haproxy_socket.display()
        );
    }
    let n = world.services.len();
    format!(
        "agent: {{name: jurymast, data_dir: data}}\napi: {{listen: '127.0.0.1:{}'}}\nsources:\n{source}topology:\n  entities:\n{entities}services:\n{services}detect:\n  threshold:\n    - {{name: says-it-fails, signal: {signal}, below: 0.5, means: failing}}\npolicy:\n  fleet_budget: {{moves: {n}, window: 1h}}\n  max_red_share: 1\n",
        free_port()
    )
}

fn write(dir: &std::path::Path, name: &str, text: &str) {
    std::fs::write(dir.join(name), text).expect("a file");
}
