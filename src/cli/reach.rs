//! Tries all that a config names, changing nothing: brokers let us in, targets answer with their credentials, Prometheus and Alertmanager are what they are taken for,
//! `HAProxy` knows its backend. For `check config --online` and `doctor`.

use std::path::Path;
use std::time::Duration;

use crate::act::Prober;
use crate::act::executor::haproxy;
use crate::config::Loaded;
use crate::ingest::mqtt;
use crate::ingest::prometheus::native::Discovery;
use crate::ingest::prometheus::{Client, HttpSettings, Target};
use crate::model::{EntityName, Reach, Service};

/// Targets that are tried; of a fleet, the first.
const TARGETS_MAX: usize = 50;

/// How long anything may take.
const PATIENCE: Duration = Duration::from_secs(5);

/// What came of it: a word; or what is wrong, `true` if it is certain.
type Said = Result<String, (bool, String)>;

/// What everything outside says when it is tried: what it is, and what came of it.
pub async fn reach(loaded: &Loaded) -> Vec<(String, Said)> {
    let config = &loaded.config;
    let mut all = Vec::new();
    for source in &config.sources.mqtt {
        let said = mqtt::knock(source).await;
        let said = said.map(|()| format!("{} lets us in", source.url));
        all.push((
            format!("broker {}", source.name),
            said.map_err(|why| (true, format!("{}: {why}", source.url))),
        ));
    }
    for (job, url, http) in scraped(loaded).await {
        let said = answers(&Client::new(&http, PATIENCE), &url, |_| Ok(())).await;
        all.push((format!("target {url} of {job}"), said));
    }
    for source in &config.sources.query {
        let url = format!("{}/api/v1/query?query=1", source.url.trim_end_matches('/'));
        let said = answers(&Client::new(&source.http, PATIENCE), &url, |body| {
            success(body, "success")
        })
        .await;
        all.push((format!("prometheus {}", source.name), said));
    }
    let plain = Client::new(&HttpSettings::default(), PATIENCE);
    for receiver in &config.notify.alertmanager {
        let url = format!("{}/api/v2/status", receiver.url.trim_end_matches('/'));
        let said = answers(&plain, &url, |body| success(body, "versionInfo")).await;
        all.push((format!("alertmanager {}", shown(&receiver.url)), said));
    }
    for receiver in &config.notify.webhook {
        all.push((
            format!("webhook {}", shown(&receiver.url)),
            listens(&receiver.url).await,
        ));
    }
    if let Some((what, said)) = config.coordinate.reach().await {
        all.push((what, said.map_err(|why| (true, why))));
    }
    members(loaded, &plain, &mut all).await;
    services(loaded, &mut all).await;
    all
}

/// The members of etcd: one that does not answer is passed over, and without any of them nobody acts.
async fn members(loaded: &Loaded, plain: &Client, all: &mut Vec<(String, Said)>) {
    let Some(etcd) = &loaded.config.coordinate.etcd else {
        return;
    };
    let mut answered = false;
    for endpoint in &etcd.endpoints {
        let url = format!("{}/health", endpoint.trim_end_matches('/'));
        let said = answers(plain, &url, |body| success(body, "health")).await;
        answered |= said.is_ok();
        all.push((format!("etcd {endpoint}"), said.map_err(|(_, why)| (false, why))));
    }
    // With `https` they are tried without the certificates that they may ask for.
    if !answered && etcd.endpoints.iter().all(|endpoint| endpoint.starts_with("http://")) {
        let why = "no member answers: without one this agent gets no lease, and moves nothing".to_owned();
        all.push(("etcd".into(), Err((true, why))));
    }
}

async fn services(loaded: &Loaded, all: &mut Vec<(String, Said)>) {
    let prober = Prober::new();
    let topology = loaded.config.topology();
    for service in &loaded.config.services {
        for instance in service.instances() {
            if let Some(entity) = topology.entity(instance.as_str()) {
                let said = match prober.probe(&service.probe, entity).await {
                    Reach::Good { took } => Ok(format!("answers in {took}")),
                    Reach::Odd { detail } => Err((true, detail)),
                    other => Err((true, format!("{other:?}: is it running, and is the address right?"))),
                };
                all.push((format!("{instance} of {}", service.name), said));
            }
        }
        if let Some(socket) = service.vars.get("socket") {
            all.push((format!("proxy of {}", service.name), proxy(service, socket).await));
        }
    }
}

/// The proxy answers on its socket, and has the backend and the servers that would be switched.
async fn proxy(service: &Service, socket: &str) -> Said {
    if !service.playbook.contains("haproxy") {
        return if Path::new(socket).exists() {
            Ok(socket.to_owned())
        } else {
            Err((false, format!("{socket} is not there")))
        };
    }
    let Some(backend) = service.vars.get("backend") else {
        return Ok(socket.to_owned());
    };
    let answer = haproxy::ask(socket, &format!("show servers state {backend}"), PATIENCE).await;
    let answer = answer.map_err(|(_, why)| (true, format!("{why}; 'stats socket' in haproxy.cfg says where it is")))?;
    // Columns: backend's number and name, server's number and name.
    let servers: Vec<&str> = answer
        .lines()
        .filter(|line| line.starts_with(|c: char| c.is_ascii_digit()))
        .filter_map(|line| line.split_whitespace().nth(3))
        .collect();
    if servers.is_empty() {
        return Err((
            true,
            format!(
                "{socket}: it has no backend '{backend}' with servers: {}",
                answer.trim()
            ),
        ));
    }
    let missing: Vec<&str> = service
        .instances()
        .map(EntityName::as_str)
        .filter(|instance| !servers.contains(instance))
        .collect();
    if missing.is_empty() {
        return Ok(format!("{socket}: backend {backend} has {}", servers.join(", ")));
    }
    // Its servers may go by other names, which the playbook's variables say.
    let (missing, servers) = (missing.join(", "), servers.join(", "));
    Err((
        false,
        format!("{socket}: backend {backend} has {servers}, but not {missing}"),
    ))
}

/// A URL without what is secret in it.
fn shown(url: &str) -> String {
    reqwest::Url::parse(url).map_or_else(
        |_| url.to_owned(),
        |url| {
            format!(
                "{}://{}{}",
                url.scheme(),
                url.host_str().unwrap_or_default(),
                url.port().map_or_else(String::new, |port| format!(":{port}"))
            )
        },
    )
}

fn success(body: &str, word: &str) -> Result<(), String> {
    if body.contains(&format!("\"{word}\"")) {
        return Ok(());
    }
    Err(format!(
        "it answers, but not as expected: {}",
        body.chars().take(80).collect::<String>()
    ))
}

/// A GET that must succeed, with a body that is what it should be.
async fn answers(client: &Client, url: &str, right: impl Fn(&str) -> Result<(), String>) -> Said {
    let wrong = |why: String| (true, why);
    let begin = std::time::Instant::now();
    let request = client.get(url).map_err(wrong)?;
    let answer = request.send().await.map_err(|error| {
        let hint = if error.is_timeout() {
            "no answer in time"
        } else {
            "nobody answers"
        };
        wrong(format!(
            "{hint} at {}: is it running, and is the address right?",
            shown(url)
        ))
    })?;
    let status = answer.status();
    let body = answer.text().await.unwrap_or_default();
    if !status.is_success() {
        let word = body
            .lines()
            .next()
            .unwrap_or_default()
            .chars()
            .take(80)
            .collect::<String>();
        let hint = match status.as_u16() {
            401 | 403 => ": are the credentials right?",
            404 => ": is the path right?",
            _ => "",
        };
        return Err(wrong(format!("it answers {status}{hint} {word}").trim_end().to_owned()));
    }
    right(&body).map_err(wrong)?;
    Ok(format!("answers in {} ms", begin.elapsed().as_millis()))
}

/// Somebody listens there. A receiver of notifications is sent none to try it.
async fn listens(url: &str) -> Said {
    let url = reqwest::Url::parse(url).map_err(|error| (true, error.to_string()))?;
    let (host, port) = (
        url.host_str().unwrap_or_default(),
        url.port_or_known_default().unwrap_or(80),
    );
    match tokio::time::timeout(PATIENCE, tokio::net::TcpStream::connect((host, port))).await {
        Ok(Ok(_)) => Ok("somebody listens".into()),
        Ok(Err(error)) => Err((true, format!("{host}:{port}: {error}"))),
        Err(_) => Err((true, format!("{host}:{port}: no connection in time"))),
    }
}

/// Whom the scrapes would ask: job, URL and credentials.
async fn scraped(loaded: &Loaded) -> Vec<(String, String, HttpSettings)> {
    let sources = &loaded.config.sources;
    let mut all = Vec::new();
    for source in &sources.scrape {
        for target in &source.targets {
            let (Target::Address(address) | Target::Named { address, .. }) = target;
            let url = if address.contains("://") {
                address.clone()
            } else {
                format!("http://{address}{}", source.path)
            };
            all.push((source.job.clone(), url, source.http.clone()));
        }
    }
    for source in &sources.scrape_configs {
        let (targets, _) = Discovery::new(source).targets().await;
        all.extend(
            targets
                .into_iter()
                .map(|target| (source.job_name.clone(), target.url, source.http())),
        );
    }
    all.truncate(TARGETS_MAX);
    all
}
