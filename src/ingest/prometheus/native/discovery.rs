//! From groups of targets to what is scraped, by Prometheus' own steps: defaults, relabelling, an address, a URL.
//!
//! As `scrape/target.go` of Prometheus 2.42 has it.

use std::collections::{BTreeMap, BTreeSet};
use std::path::PathBuf;
use std::time::{Duration, Instant, SystemTime};

use super::config::{Group, HttpSd, ScrapeConfig};
use super::duration;
use super::relabel::{Labels, Relabel, relabel};
use crate::ingest::prometheus::fetch::fetch;
use crate::ingest::prometheus::http::Client;
use crate::ingest::prometheus::targets::{Resolved, expand};

/// A server is asked for targets this often.
const HTTP_EVERY: Duration = Duration::from_secs(60);

/// Bytes of its answer.
const HTTP_BODY_MAX: usize = 64 << 20;

/// Targets of one job.
const TARGETS_MAX: usize = 50_000;

/// Why a target is not scraped.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Dropped {
    /// A rule dropped it.
    ByRule,
    /// It has no address, or one that cannot be asked.
    Address(String),
}

type Written = Option<(SystemTime, u64)>;

/// Finds the targets of one job. What cannot be read keeps what it said before.
pub struct Discovery {
    config: ScrapeConfig,
    rules: Vec<Relabel>,
    files: BTreeMap<PathBuf, (Written, Vec<Group>)>,
    servers: Vec<Server>,
}

struct Server {
    sd: HttpSd,
    client: Client,
    asked: Option<Instant>,
    groups: Vec<Group>,
}

impl Discovery {
    /// Of a checked config.
    pub fn new(config: &ScrapeConfig) -> Self {
        let server = |sd: &HttpSd| Server {
            sd: sd.clone(),
            client: Client::new(&sd.http(), Duration::from_secs(10)),
            asked: None,
            groups: Vec::new(),
        };
        Self {
            rules: config.rules().map(|(rules, _)| rules).unwrap_or_default(),
            files: BTreeMap::new(),
            servers: config.http_sd_configs.iter().map(server).collect(),
            config: config.clone(),
        }
    }

    /// All targets as they are now, and what went wrong.
    pub async fn targets(&mut self) -> (BTreeSet<Resolved>, Vec<String>) {
        let mut errors = Vec::new();
        self.read_files(&mut errors);
        for server in &mut self.servers {
            server.ask(&mut errors).await;
        }
        let mut found = BTreeSet::new();
        let from_files = self.files.iter().flat_map(|(path, (_, groups))| {
            let path = path.display().to_string();
            groups
                .iter()
                .map(move |group| (group, Some(("__meta_filepath", path.clone()))))
        });
        let from_servers = self.servers.iter().flat_map(|server| {
            server
                .groups
                .iter()
                .map(|group| (group, Some(("__meta_url", server.sd.url.clone()))))
        });
        let groups = self
            .config
            .static_configs
            .iter()
            .map(|group| (group, None))
            .chain(from_files)
            .chain(from_servers);
        for (group, meta) in groups {
            for result in targets_of(
                &self.config,
                &self.rules,
                group,
                meta.as_ref().map(|(name, value)| (*name, value.as_str())),
            ) {
                match result {
                    Ok(_) if found.len() >= TARGETS_MAX => {
                        errors.push(format!("more than {TARGETS_MAX} targets; the rest is not scraped"));
                        return (found, errors);
                    }
                    Ok(target) => drop(found.insert(target)),
                    Err(Dropped::ByRule) => {}
                    Err(Dropped::Address(why)) => errors.push(why),
                }
            }
        }
        (found, errors)
    }

    fn read_files(&mut self, errors: &mut Vec<String>) {
        let paths: Vec<PathBuf> = self
            .config
            .file_sd_configs
            .iter()
            .flat_map(|sd| &sd.files)
            .flat_map(|path| expand(path))
            .collect();
        self.files.retain(|file, _| paths.contains(file));
        for path in paths {
            let written = std::fs::metadata(&path)
                .and_then(|meta| Ok((meta.modified()?, meta.len())))
                .ok();
            if written.is_some() && self.files.get(&path).is_some_and(|(known, _)| *known == written) {
                continue;
            }
            let read = std::fs::read_to_string(&path).map_err(|error| error.to_string());
            // JSON is YAML.
            match read.and_then(|text| serde_saphyr::from_str::<Vec<Group>>(&text).map_err(|error| error.to_string())) {
                Ok(groups) => drop(self.files.insert(path, (written, groups))),
                Err(error) => errors.push(format!("{}: {error}; its targets stay as they were", path.display())),
            }
        }
    }
}

impl Server {
    async fn ask(&mut self, errors: &mut Vec<String>) {
        let every = self.sd.refresh_interval.map_or(HTTP_EVERY, |lasting| lasting.0);
        if self.asked.is_some_and(|asked| asked.elapsed() < every) {
            return;
        }
        self.asked = Some(Instant::now());
        let mut wrong = |error: String| errors.push(format!("{}: {error}; its targets stay as they were", self.sd.url));
        let seconds = every.as_secs().to_string();
        let with = |request: reqwest::RequestBuilder| {
            request
                .header("Accept", "application/json")
                .header("X-Prometheus-Refresh-Interval-Seconds", seconds)
        };
        match fetch(&self.client, &self.sd.url, HTTP_BODY_MAX, with).await {
            Err(failed) => wrong(failed.error),
            Ok(answer) if !answer.status.is_success() => wrong(format!("it answers {}", answer.status)),
            Ok(answer) if !answer.content_type.trim().starts_with("application/json") => {
                wrong(format!("it answers '{}' and not JSON", answer.content_type));
            }
            Ok(answer) => match serde_json::from_slice(&answer.body) {
                Ok(groups) => self.groups = groups,
                Err(error) => wrong(error.to_string()),
            },
        }
    }
}

/// The targets that a group makes.
pub fn targets_of(
    config: &ScrapeConfig,
    rules: &[Relabel],
    group: &Group,
    meta: Option<(&str, &str)>,
) -> Vec<Result<Resolved, Dropped>> {
    group
        .targets
        .iter()
        .map(|address| {
            let mut labels: Labels = group.labels.clone();
            labels.insert("__address__".into(), address.clone());
            labels.extend(meta.map(|(name, value)| (name.to_owned(), value.to_owned())));
            one(config, rules, labels)
        })
        .collect()
}

fn one(config: &ScrapeConfig, rules: &[Relabel], mut labels: Labels) -> Result<Resolved, Dropped> {
    let defaults = [
        ("job", config.job_name.clone()),
        ("__scrape_interval__", duration::text(config.interval())),
        ("__scrape_timeout__", duration::text(config.timeout())),
        ("__metrics_path__", config.metrics_path.clone()),
        ("__scheme__", config.scheme.clone()),
    ];
    for (name, value) in defaults {
        labels.entry(name.to_owned()).or_insert(value);
    }
    for (name, values) in &config.params {
        if let Some(first) = values.first() {
            labels.insert(format!("__param_{name}"), first.clone());
        }
    }
    if !relabel(rules, &mut labels) {
        return Err(Dropped::ByRule);
    }
    let wrong = |why: String| Dropped::Address(format!("job '{}': {why}", config.job_name));
    let text = |labels: &Labels, name: &str| labels.get(name).cloned().unwrap_or_default();
    let scheme = text(&labels, "__scheme__");
    let mut address = text(&labels, "__address__");
    if address.is_empty() {
        return Err(wrong("a target without an address".into()));
    }
    if address.contains('/') {
        return Err(wrong(format!("'{address}' is no host and port")));
    }
    let has_port = address.rsplit_once(':').is_some_and(|(host, port)| {
        !port.is_empty() && port.parse::<u16>().is_ok() && (!host.contains(':') || host.ends_with(']'))
    });
    if !has_port {
        match scheme.as_str() {
            "http" | "" => address += ":80",
            "https" => address += ":443",
            other => return Err(wrong(format!("the scheme '{other}' is not known"))),
        }
        labels.insert("__address__".into(), address.clone());
    }
    let url = url(config, &labels, &scheme, &address);
    // An empty value is as good as no label.
    labels.retain(|name, value| !name.starts_with("__") && !value.is_empty());
    let instance = labels.entry("instance".into()).or_insert(address).clone();
    let entity = labels.remove("entity").unwrap_or_else(|| instance.clone());
    Ok(Resolved {
        url,
        instance,
        entity,
        labels: labels.into_iter().collect(),
    })
}

fn url(config: &ScrapeConfig, labels: &Labels, scheme: &str, address: &str) -> String {
    let path = labels.get("__metrics_path__").map_or("", String::as_str);
    let slash = if path.starts_with('/') || path.is_empty() {
        ""
    } else {
        "/"
    };
    let mut params: BTreeMap<&str, Vec<&str>> = config
        .params
        .iter()
        .map(|(name, values)| (name.as_str(), values.iter().map(String::as_str).collect()))
        .collect();
    for (name, value) in labels {
        if let Some(name) = name.strip_prefix("__param_") {
            let values = params.entry(name).or_default();
            match values.first_mut() {
                Some(first) => *first = value,
                None => values.push(value),
            }
        }
    }
    let mut url = format!(
        "{}://{address}{slash}{path}",
        if scheme.is_empty() { "http" } else { scheme }
    );
    let mut sign = if path.contains('?') { '&' } else { '?' };
    for (name, values) in params {
        for value in values {
            url.push(sign);
            url += &format!("{}={}", escaped(name), escaped(value));
            sign = '&';
        }
    }
    url
}

/// As Go's `url.QueryEscape`.
fn escaped(text: &str) -> String {
    let mut out = String::new();
    for byte in text.bytes() {
        match byte {
            b'A'..=b'Z' | b'a'..=b'z' | b'0'..=b'9' | b'-' | b'_' | b'.' | b'~' => out.push(byte.into()),
            b' ' => out.push('+'),
            other => out += &format!("%{other:02X}"),
        }
    }
    out
}
