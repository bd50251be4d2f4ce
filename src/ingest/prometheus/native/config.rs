//! The keys of a scrape config.

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};
use std::time::Duration;

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use super::discovery::targets_of;
use super::duration::Lasting;
use super::relabel::{Labels, Relabel, RelabelConfig};
use super::trust::{Authorization, TlsConfig, http};
use crate::ingest::prometheus::http::{BasicAuth, HttpSettings};
use crate::ingest::prometheus::targets::Resolved;
use crate::secret::Secret;

/// What Prometheus scrapes by, if nothing else is said.
const INTERVAL: Duration = Duration::from_secs(60);
const TIMEOUT: Duration = Duration::from_secs(10);

/// A `scrape_config` of Prometheus.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct ScrapeConfig {
    /// The job's name. A target that a job further up scrapes too is called `JOB/INSTANCE` here; a label `entity`, by `relabel_configs` too, names it otherwise.
    pub job_name: String,
    /// How often; `global.scrape_interval` or 1m if left out.
    #[serde(default)]
    pub scrape_interval: Option<Lasting>,
    /// How long an answer may take; `global.scrape_timeout` or 10s if left out, and never more than the interval.
    #[serde(default)]
    pub scrape_timeout: Option<Lasting>,
    /// Where metrics are.
    #[serde(default = "metrics_path")]
    pub metrics_path: String,
    /// `http` or `https`.
    #[serde(default = "scheme")]
    pub scheme: String,
    /// Parameters of the URL.
    #[serde(default)]
    pub params: BTreeMap<String, Vec<String>>,
    /// Labels of the target's own text win over those of the target.
    #[serde(default)]
    pub honor_labels: bool,
    /// Times that the target gives count.
    #[serde(default = "yes")]
    pub honor_timestamps: bool,
    /// Targets as they stand here.
    #[serde(default)]
    pub static_configs: Vec<Group>,
    /// Targets in files.
    #[serde(default)]
    pub file_sd_configs: Vec<FileSd>,
    /// Targets that a server tells.
    #[serde(default)]
    pub http_sd_configs: Vec<HttpSd>,
    /// Rules over the labels of targets.
    #[serde(default)]
    pub relabel_configs: Vec<RelabelConfig>,
    /// Rules over the labels of series.
    #[serde(default)]
    pub metric_relabel_configs: Vec<RelabelConfig>,
    /// A scrape with more samples is refused; 0 for no limit of its own.
    #[serde(default)]
    pub sample_limit: usize,
    /// A scrape with more bytes is refused: `10MB`; 0 for no limit of its own.
    #[serde(default)]
    pub body_size_limit: Option<Size>,
    /// Redirects are followed; always.
    #[serde(default)]
    pub follow_redirects: Option<bool>,
    /// Read and of no consequence.
    #[serde(default)]
    pub enable_http2: Option<bool>,
    /// User and password.
    #[serde(default)]
    pub basic_auth: Option<BasicAuth>,
    /// A token of any type.
    #[serde(default)]
    pub authorization: Option<Authorization>,
    /// A bearer token, as older configs have it.
    #[serde(default)]
    pub bearer_token: Option<Secret>,
    /// A file that holds it.
    #[serde(default)]
    pub bearer_token_file: Option<PathBuf>,
    /// Certificates.
    #[serde(default)]
    pub tls_config: TlsConfig,
    /// Read and of no consequence: what is asked for is always the best that can be read.
    #[serde(default)]
    pub scrape_protocols: Option<Vec<String>>,
    /// The same.
    #[serde(default)]
    pub fallback_scrape_protocol: Option<String>,
    /// The same.
    #[serde(default)]
    pub enable_compression: Option<bool>,
    /// The same: classic histograms are always taken.
    #[serde(default)]
    pub scrape_classic_histograms: Option<bool>,
    /// The same, as later versions call it.
    #[serde(default)]
    pub always_scrape_classic_histograms: Option<bool>,
    /// The same: series of a target that is no longer listed always end.
    #[serde(default)]
    pub track_timestamps_staleness: Option<bool>,
    /// The same: native histograms are not taken.
    #[serde(default)]
    pub scrape_native_histograms: Option<bool>,
    /// The same.
    #[serde(default)]
    pub convert_classic_histograms_to_nhcb: Option<bool>,
    /// The same.
    #[serde(default)]
    pub native_histogram_bucket_limit: Option<u64>,
    /// The same.
    #[serde(default)]
    pub native_histogram_min_bucket_factor: Option<f64>,
    /// The same: every name is taken.
    #[serde(default)]
    pub metric_name_validation_scheme: Option<String>,
    /// The same.
    #[serde(default)]
    pub metric_name_escaping_scheme: Option<String>,
    /// The same: what scrapes say of themselves is always told.
    #[serde(default)]
    pub extra_scrape_metrics: Option<bool>,
    /// The same: targets that rules drop are not kept.
    #[serde(default)]
    pub keep_dropped_targets: Option<u64>,
    /// The same: why scrapes fail stands in the log.
    #[serde(default)]
    pub scrape_failure_log_file: Option<PathBuf>,
    /// A scrape with a series of more labels is refused; 0 for no limit.
    #[serde(default)]
    pub label_limit: usize,
    /// A scrape with a longer name of a label, in bytes, is refused; 0 for no limit.
    #[serde(default)]
    pub label_name_length_limit: usize,
    /// A scrape with a longer value of a label, in bytes, is refused; 0 for no limit.
    #[serde(default)]
    pub label_value_length_limit: usize,
}

fn metrics_path() -> String {
    "/metrics".into()
}
fn scheme() -> String {
    "http".into()
}
const fn yes() -> bool {
    true
}

/// A number of bytes, bare or with a unit.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(untagged)]
pub enum Size {
    /// Bytes.
    Bytes(usize),
    /// With a unit: B, KB, MB, GB, or KiB, MiB, GiB. All of them count by 1024, as Prometheus does.
    Text(String),
}

impl Size {
    fn bytes(&self) -> Result<usize, String> {
        let text = match self {
            Self::Bytes(bytes) => return Ok(*bytes),
            Self::Text(text) => text.trim(),
        };
        let digits = text.find(|c: char| !c.is_ascii_digit()).unwrap_or(text.len());
        let (number, unit) = text.split_at(digits);
        let shift = match unit.to_ascii_uppercase().as_str() {
            "" | "B" => 0,
            "KB" | "KIB" => 10,
            "MB" | "MIB" => 20,
            "GB" | "GIB" => 30,
            _ => return Err(format!("body_size_limit '{text}' is no size such as 10MB")),
        };
        number
            .parse::<usize>()
            .ok()
            .and_then(|number| number.checked_mul(1 << shift))
            .ok_or_else(|| format!("body_size_limit '{text}' is no size such as 10MB"))
    }
}

/// A group of targets with labels of their own.
#[derive(Debug, Clone, PartialEq, Default, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct Group {
    /// `host:port`.
    pub targets: Vec<String>,
    /// Labels of all of them; a label `entity` names the entity.
    #[serde(default)]
    pub labels: BTreeMap<String, String>,
}

/// Targets in files.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct FileSd {
    /// Paths; the last part may hold `*`.
    pub files: Vec<PathBuf>,
    /// Read, and of no consequence: files are looked at every few seconds.
    #[serde(default)]
    pub refresh_interval: Option<Lasting>,
}

/// Targets that a server tells.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct HttpSd {
    /// Where it tells them.
    pub url: String,
    /// How often it is asked; a minute if left out.
    #[serde(default)]
    pub refresh_interval: Option<Lasting>,
    /// User and password.
    #[serde(default)]
    pub basic_auth: Option<BasicAuth>,
    /// A token.
    #[serde(default)]
    pub authorization: Option<Authorization>,
    /// Certificates.
    #[serde(default)]
    pub tls_config: TlsConfig,
    /// Redirects are followed; always.
    #[serde(default)]
    pub follow_redirects: Option<bool>,
    /// Read and of no consequence.
    #[serde(default)]
    pub enable_http2: Option<bool>,
}

impl HttpSd {
    /// How it is authenticated to.
    pub fn http(&self) -> HttpSettings {
        http(
            self.basic_auth.as_ref(),
            self.authorization.as_ref(),
            (None, None),
            &self.tls_config,
        )
    }
}

impl ScrapeConfig {
    /// How targets are authenticated to.
    pub fn http(&self) -> HttpSettings {
        http(
            self.basic_auth.as_ref(),
            self.authorization.as_ref(),
            (self.bearer_token.as_ref(), self.bearer_token_file.as_ref()),
            &self.tls_config,
        )
    }

    /// How often.
    pub fn interval(&self) -> Duration {
        self.scrape_interval.map_or(INTERVAL, |lasting| lasting.0)
    }

    /// How long an answer may take.
    pub fn timeout(&self) -> Duration {
        self.scrape_timeout
            .map_or_else(|| TIMEOUT.min(self.interval()), |lasting| lasting.0)
    }

    /// Bytes that a scrape may have, if the config says so.
    pub fn body_limit(&self) -> Option<usize> {
        self.body_size_limit
            .as_ref()
            .and_then(|size| size.bytes().ok())
            .filter(|bytes| *bytes > 0)
    }

    /// True if the labels of a series, its name among them, are more or longer than is allowed.
    pub fn is_over(&self, labels: &Labels) -> bool {
        let over = |limit: usize, is: usize| limit > 0 && is > limit;
        let long = |(name, value): (&String, &String)| {
            over(self.label_name_length_limit, name.len()) || over(self.label_value_length_limit, value.len())
        };
        over(self.label_limit, labels.len()) || labels.iter().any(long)
    }

    /// The rules, checked: those of targets and those of series.
    pub fn rules(&self) -> Result<(Vec<Relabel>, Vec<Relabel>), String> {
        let read = |key: &str, rules: &[RelabelConfig]| {
            let one = |(place, rule)| Relabel::of(rule).map_err(|error| format!("{key}[{place}]: {error}"));
            rules.iter().enumerate().map(one).collect::<Result<Vec<_>, String>>()
        };
        Ok((
            read("relabel_configs", &self.relabel_configs)?,
            read("metric_relabel_configs", &self.metric_relabel_configs)?,
        ))
    }

    /// The targets of its `static_configs`.
    pub(in crate::ingest::prometheus) fn listed(&self) -> Vec<Resolved> {
        let rules = self.rules().map(|(rules, _)| rules).unwrap_or_default();
        let groups = self.static_configs.iter();
        let targets = groups.flat_map(|group| targets_of(self, &rules, group, None));
        targets.filter_map(Result::ok).collect()
    }

    /// What is wrong with it. `Err` is a sentence for a person.
    pub fn check(&self) -> Result<(), String> {
        let wrong = |problem: String| Err(format!("scrape_configs '{}': {problem}", self.job_name));
        if self.job_name.is_empty() {
            return Err("scrape_configs: a job_name must not be empty".into());
        }
        if let Err(problem) = self.rules() {
            return wrong(problem);
        }
        if !["http", "https"].contains(&self.scheme.as_str()) {
            return wrong(format!("scheme '{}' is neither http nor https", self.scheme));
        }
        if self.interval().is_zero() || self.timeout() > self.interval() {
            return wrong("scrape_timeout must not be longer than scrape_interval, which must be above 0".into());
        }
        let mut follows = self.http_sd_configs.iter().map(|sd| sd.follow_redirects);
        if self.follow_redirects == Some(false) || follows.any(|follows| follows == Some(false)) {
            return wrong("follow_redirects: false cannot be followed; redirects are always followed".into());
        }
        if let Some(Err(problem)) = self.body_size_limit.as_ref().map(Size::bytes) {
            return wrong(problem);
        }
        let tokens = self
            .authorization
            .iter()
            .chain(self.http_sd_configs.iter().filter_map(|sd| sd.authorization.as_ref()));
        if let Some(token) = tokens
            .into_iter()
            .find(|token| !token.kind.eq_ignore_ascii_case("bearer"))
        {
            return wrong(format!(
                "authorization of type '{}' is not known; Bearer is",
                token.kind
            ));
        }
        for group in &self.static_configs {
            if let Some(target) = group.targets.iter().find(|target| target.contains('/')) {
                return wrong(format!("target '{target}' must be host:port; paths go to metrics_path"));
            }
        }
        Ok(())
    }

    /// Every secret that stands in it.
    pub fn secrets(&self) -> Vec<&Secret> {
        let mut secrets: Vec<&Secret> = self.bearer_token.iter().collect();
        let own = std::iter::once((&self.basic_auth, &self.authorization));
        for (basic, token) in own.chain(
            self.http_sd_configs
                .iter()
                .map(|sd| (&sd.basic_auth, &sd.authorization)),
        ) {
            secrets.extend(basic.as_ref().and_then(|auth| auth.password.as_ref()));
            secrets.extend(token.as_ref().and_then(|token| token.credentials.as_ref()));
        }
        secrets
    }

    /// Every path in it, to be made whole.
    pub fn paths(&mut self) -> Vec<&mut PathBuf> {
        let mut paths: Vec<&mut PathBuf> = self.file_sd_configs.iter_mut().flat_map(|sd| &mut sd.files).collect();
        paths.extend(self.bearer_token_file.as_mut());
        let mut secrets = vec![(&mut self.basic_auth, &mut self.authorization, &mut self.tls_config)];
        secrets.extend(
            self.http_sd_configs
                .iter_mut()
                .map(|sd| (&mut sd.basic_auth, &mut sd.authorization, &mut sd.tls_config)),
        );
        for (basic, authorization, tls) in secrets {
            paths.extend(basic.as_mut().and_then(|auth| auth.password_file.as_mut()));
            paths.extend(authorization.as_mut().and_then(|one| one.credentials_file.as_mut()));
            paths.extend(
                [tls.ca_file.as_mut(), tls.cert_file.as_mut(), tls.key_file.as_mut()]
                    .into_iter()
                    .flatten(),
            );
        }
        paths
    }
}

/// What is read of a whole Prometheus config; its other sections are Prometheus' own business.
#[derive(Debug, Default, Deserialize)]
#[serde(default)]
pub struct PrometheusFile {
    global: Global,
    scrape_configs: Vec<ScrapeConfig>,
    scrape_config_files: Vec<PathBuf>,
}

#[derive(Debug, Default, Deserialize)]
#[serde(default)]
struct Global {
    scrape_interval: Option<Lasting>,
    scrape_timeout: Option<Lasting>,
}

impl PrometheusFile {
    /// Reads a file, and the files that it names. `Err` is a sentence for a person.
    pub fn read(path: &Path) -> Result<Vec<ScrapeConfig>, String> {
        let dir = path.parent().unwrap_or(Path::new("."));
        let mut file = Self::one(path)?;
        for more in &file.scrape_config_files {
            for more in crate::ingest::prometheus::targets::expand(&dir.join(more)) {
                let configs = Self::one(&more)?.scrape_configs;
                file.scrape_configs.extend(configs);
            }
        }
        for config in &mut file.scrape_configs {
            config.scrape_interval = config.scrape_interval.or(file.global.scrape_interval);
            let timeout = file
                .global
                .scrape_timeout
                .filter(|timeout| timeout.0 <= config.interval());
            config.scrape_timeout = config.scrape_timeout.or(timeout);
            for path in config.paths() {
                if path.is_relative() {
                    *path = dir.join(&*path);
                }
            }
        }
        Ok(file.scrape_configs)
    }

    fn one(path: &Path) -> Result<Self, String> {
        let text = std::fs::read_to_string(path).map_err(|error| format!("{}: {error}", path.display()))?;
        serde_saphyr::from_str(&text).map_err(|error| {
            let place = error
                .location()
                .map_or_else(String::new, |at| format!(":{}:{}", at.line(), at.column()));
            let whole = error.without_snippet().to_string();
            format!(
                "{}{place}: {}",
                path.display(),
                whole.split(" at line ").next().unwrap_or(&whole).trim()
            )
        })
    }
}
