//! From a file to a checked config.

use std::collections::BTreeSet;
use std::fmt;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use super::check;
use super::confd;
use super::expand::expand;
use super::schema::Config;
use crate::diagnose::Library;
use crate::model::hint::meant;
use crate::plan::Playbooks;
use crate::promql::rules::{RuleFile, holds_unit_tests};
use crate::secret::{self, Secret};

/// A config that can be carried out.
#[derive(Debug, Clone)]
pub struct Loaded {
    /// What it says, paths made whole.
    pub config: Config,
    /// Its text, variables filled in and secrets taken out: for capsules.
    pub text: String,
    /// The fault patterns that it uses.
    pub library: Arc<Library>,
    /// Their files, for capsules: name and text.
    pub pattern_files: Vec<(String, String)>,
    /// The playbooks that it uses.
    pub playbooks: Arc<Playbooks>,
    /// Their files beside the built-in ones, for capsules.
    pub playbook_files: Vec<(String, String)>,
    /// The trained models that it uses, for capsules: name and text.
    pub model_files: Vec<(String, String)>,
    /// The files of Prometheus rules, for capsules.
    pub alert_files: Vec<(String, String)>,
    /// What was taken out of these texts, each with what stands there instead; it must not be recorded either.
    pub secrets: Vec<(String, String)>,
    /// The token that acting needs.
    pub token: Option<Secret>,
    /// The token without which no alerts are taken.
    pub alerts_token: Option<Secret>,
    /// The key that signs links in notifications.
    pub link_key: Option<Secret>,
    /// What is doubtful though it can be carried out.
    pub warnings: Vec<String>,
}

/// One thing that is wrong.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ConfigError {
    /// What, and what to do.
    pub message: String,
    /// Where, by line and column from 1, if it has a place.
    pub place: Option<(usize, usize)>,
}

/// Everything that is wrong with a config.
#[derive(Debug, thiserror::Error)]
pub struct ConfigErrors {
    /// The file.
    pub file: String,
    /// Its text.
    pub text: String,
    /// What is wrong.
    pub errors: Vec<ConfigError>,
}

impl fmt::Display for ConfigErrors {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        for (number, error) in self.errors.iter().enumerate() {
            if number > 0 {
                writeln!(f)?;
            }
            let Some((line, column)) = error.place else {
                write!(f, "{}: {}", self.file, error.message)?;
                continue;
            };
            write!(f, "{}:{line}:{column}: {}", self.file, error.message)?;
            if let Some(text) = self.text.lines().nth(line - 1) {
                let gutter = line.to_string();
                let blank = " ".repeat(gutter.len());
                let indent: String = text
                    .chars()
                    .take(column - 1)
                    .map(|c| if c == '\t' { '\t' } else { ' ' })
                    .collect();
                write!(f, "\n {blank} |\n {gutter} | {text}\n {blank} | {indent}^")?;
            }
        }
        Ok(())
    }
}

impl Config {
    /// Reads a config's text. For errors of meaning see [`Loaded::of`].
    pub fn parse(text: &str) -> Result<Self, ConfigError> {
        if text.trim().is_empty() {
            return Ok(Self::default());
        }
        serde_saphyr::from_str(text).map_err(|error| {
            let place = error.location().map(|at| (at.line() as usize, at.column() as usize));
            let whole = error.without_snippet().to_string();
            // The place stands before the line already.
            let message = whole.split(" at line ").next().unwrap_or(&whole).trim().to_owned();
            ConfigError {
                message: meant(&message),
                place: place.filter(|(line, column)| *line > 0 && *column > 0),
            }
        })
    }
}

impl Loaded {
    /// Reads a file, with what it refers to.
    pub fn read(path: &Path) -> Result<Self, ConfigErrors> {
        let file = path.display().to_string();
        let text = std::fs::read_to_string(path).map_err(|error| ConfigErrors {
            file: file.clone(),
            text: String::new(),
            errors: vec![ConfigError {
                message: format!("cannot be read: {error}"),
                place: None,
            }],
        })?;
        let dir = path
            .parent()
            .filter(|dir| !dir.as_os_str().is_empty())
            .unwrap_or(Path::new("."));
        let variable = |name: &str| std::env::var(name).ok();
        match confd::merged(path, &text, &variable)? {
            None => Self::of(&text, &file, dir, variable),
            // What is wrong with the whole has no line of its own.
            Some(merged) => Self::of(&merged, &file, dir, |_| None).map_err(|mut errors| {
                errors.errors.iter_mut().for_each(|error| error.place = None);
                errors
            }),
        }
    }

    /// From a text, relative paths seen from `dir`.
    pub fn of(
        text: &str,
        file: &str,
        dir: &Path,
        variable: impl Fn(&str) -> Option<String>,
    ) -> Result<Self, ConfigErrors> {
        let fail = |errors: Vec<ConfigError>, text: &str| ConfigErrors {
            file: file.to_owned(),
            text: text.to_owned(),
            errors,
        };
        let expanded = expand(text, variable).map_err(|(at, name)| {
            let line = text[..at].matches('\n').count() + 1;
            let column = at - text[..at].rfind('\n').map_or(0, |n| n + 1) + 1;
            let message = format!("the variable {name} is not set; set it, or write ${{{name}:-default}}");
            fail(
                vec![ConfigError {
                    message,
                    place: Some((line, column)),
                }],
                text,
            )
        })?;
        let mut config = Config::parse(&expanded).map_err(|error| fail(vec![error], &expanded))?;
        let mut secrets = Vec::new();
        let recorded = super::redact::redact(&expanded, &config, &mut secrets);
        make_whole(&mut config, dir);
        let mut errors = Vec::new();
        let pattern_files = read_files(&config.rules.patterns, RULES, &mut errors);
        let playbook_files = read_files(&config.rules.playbooks, RULES, &mut errors);
        let model_files = read_files(&config.models, MODELS, &mut errors);
        if let Err(error) = config.take_models(&model_files) {
            errors.push(format!("models: {error}"));
        }
        config.rules.alert_files = read_files(&config.rules.alerts, RULES, &mut errors);
        // Unit tests may lie beside the rules that they test.
        config.rules.alert_files.retain(|(_, text)| !holds_unit_tests(text));
        in_order(&mut config.rules.alert_files);
        for (name, text) in &config.rules.alert_files {
            if let Err(wrong) = RuleFile::parse(name, text) {
                errors.extend(wrong.iter().map(|error| format!("rules.alerts: {error}")));
            }
        }
        for file in &config.sources.prometheus_files {
            match crate::ingest::prometheus::native::PrometheusFile::read(file) {
                Ok(configs) => config.sources.scrape_configs.extend(configs),
                Err(error) => errors.push(format!("sources.prometheus_files: {error}")),
            }
        }
        let library = config.library(&pattern_files).unwrap_or_else(|error| {
            errors.push(error.to_string());
            Library::default()
        });
        let mut playbooks = Playbooks::builtin();
        match Playbooks::parse(pairs(&playbook_files)) {
            Ok(own) => playbooks.extend(own),
            Err(error) => errors.push(error.to_string()),
        }
        let mut token = |name: &str, file: Option<&Path>| {
            secret::resolve(None, file).unwrap_or_else(|error| {
                errors.push(format!("api.{name}: {error}"));
                None
            })
        };
        let alerts_token = token("alerts_token_file", config.api.alerts_token_file.as_deref());
        let token = token("token_file", config.api.token_file.as_deref());
        let link_key = config.notify.links.as_ref().and_then(|links| match links.key() {
            Ok(key) => Some(key),
            Err(error) => {
                errors.push(error);
                None
            }
        });
        let mut warnings: Vec<String> = config
            .rules
            .learned
            .iter()
            .flat_map(|learned| learned.unused(&library))
            .map(|unused| format!("models: {unused}"))
            .collect();
        check::check(&config, &playbooks, &mut errors, &mut warnings);
        if !errors.is_empty() {
            let errors = errors
                .into_iter()
                .map(|message| ConfigError {
                    place: check::place(&message, &expanded),
                    message,
                })
                .collect();
            return Err(fail(errors, &expanded));
        }
        let alert_files = redacted(config.rules.alert_files.clone(), &mut secrets);
        Ok(Self {
            config,
            text: recorded,
            library: Arc::new(library),
            pattern_files: redacted(pattern_files, &mut secrets),
            playbooks: Arc::new(playbooks),
            playbook_files: redacted(playbook_files, &mut secrets),
            model_files,
            alert_files,
            secrets,
            token,
            alerts_token,
            link_key,
            warnings,
        })
    }
}

/// Files of rules in the order of their names, each with one of its own: a capsule keeps them in one folder, and its replay must meet them alike.
fn in_order(files: &mut [(String, String)]) {
    let mut seen = BTreeSet::new();
    for (name, _) in &mut *files {
        let (mut number, given) = (2, name.clone());
        while !seen.insert(name.clone()) {
            *name = format!("{number}-{given}");
            number += 1;
        }
    }
    files.sort();
}

fn redacted(files: Vec<(String, String)>, secrets: &mut super::redact::Replaced) -> Vec<(String, String)> {
    let redact = |(name, text): (String, String)| (name, super::redact::redact_file(&text, secrets));
    files.into_iter().map(redact).collect()
}

pub(super) fn pairs(files: &[(String, String)]) -> impl Iterator<Item = (&str, &str)> {
    files.iter().map(|(name, text)| (name.as_str(), text.as_str()))
}

/// Relative paths are seen from the config's folder.
fn make_whole(config: &mut Config, dir: &Path) {
    let mut paths: Vec<&mut PathBuf> = vec![&mut config.agent.data_dir];
    paths.extend(config.api.token_file.as_mut());
    paths.extend(config.api.alerts_token_file.as_mut());
    paths.extend(config.notify.links.as_mut().map(|links| &mut links.key_file));
    paths.extend(config.rules.patterns.iter_mut());
    paths.extend(config.rules.playbooks.iter_mut());
    paths.extend(config.models.iter_mut());
    paths.extend(config.rules.alerts.iter_mut());
    paths.extend(config.record.as_mut().map(|record| &mut record.dir));
    if let Some(etcd) = &mut config.coordinate.etcd {
        paths.extend(etcd.password_file.as_mut());
        let tls = &mut etcd.tls;
        paths.extend(
            [&mut tls.ca_file, &mut tls.cert_file, &mut tls.key_file]
                .into_iter()
                .flatten(),
        );
    }
    if let Some(kubernetes) = &mut config.coordinate.kubernetes {
        paths.extend(kubernetes.token_file.as_mut());
        let tls = &mut kubernetes.tls;
        paths.extend(
            [&mut tls.ca_file, &mut tls.cert_file, &mut tls.key_file]
                .into_iter()
                .flatten(),
        );
    }
    for source in &mut config.sources.mqtt {
        paths.extend(source.password_file.as_mut());
        let tls = &mut source.tls;
        paths.extend(
            [tls.ca_file.as_mut(), tls.cert_file.as_mut(), tls.key_file.as_mut()]
                .into_iter()
                .flatten(),
        );
    }
    for member in config
        .sources
        .replication
        .iter_mut()
        .flat_map(|source| &mut source.members)
    {
        let tls = &mut member.tls;
        let files = [&mut member.password_file, &mut member.defaults_file];
        let certificates = [&mut tls.ca_file, &mut tls.cert_file, &mut tls.key_file];
        paths.extend(files.into_iter().chain(certificates).flatten());
    }
    for source in &mut config.sources.scrape {
        paths.extend(source.file_sd.iter_mut());
        paths.extend(http_paths(&mut source.http));
    }
    paths.extend(config.sources.prometheus_files.iter_mut());
    for source in &mut config.sources.scrape_configs {
        paths.extend(source.paths());
    }
    for source in &mut config.sources.query {
        paths.extend(http_paths(&mut source.http));
    }
    for path in paths {
        if path.is_relative() {
            *path = dir.join(&*path);
        }
    }
}

fn http_paths(http: &mut crate::ingest::prometheus::HttpSettings) -> Vec<&mut PathBuf> {
    let tls = &mut http.tls;
    let mut paths: Vec<&mut PathBuf> = Vec::new();
    paths.extend(
        [tls.ca_file.as_mut(), tls.cert_file.as_mut(), tls.key_file.as_mut()]
            .into_iter()
            .flatten(),
    );
    paths.extend(http.bearer_token_file.as_mut());
    paths.extend(http.basic_auth.as_mut().and_then(|auth| auth.password_file.as_mut()));
    paths
}

/// How files of rules end, and those of models.
const RULES: &[&str] = &["yml", "yaml"];
const MODELS: &[&str] = &["json"];

/// The names and texts of models: files, or all in a folder.
pub fn read_models(paths: &[PathBuf]) -> Result<Vec<(String, String)>, String> {
    let mut errors = Vec::new();
    let files = read_files(paths, MODELS, &mut errors);
    errors.into_iter().next().map_or(Ok(files), Err)
}

fn read_files(paths: &[PathBuf], endings: &[&str], errors: &mut Vec<String>) -> Vec<(String, String)> {
    let mut files = Vec::new();
    for path in paths {
        if path.is_dir() {
            let mut inside: Vec<PathBuf> = std::fs::read_dir(path)
                .into_iter()
                .flatten()
                .filter_map(|entry| Some(entry.ok()?.path()))
                .filter(|file| {
                    file.extension()
                        .is_some_and(|ext| endings.iter().any(|ending| ext == *ending))
                })
                .collect();
            inside.sort();
            if inside.is_empty() {
                errors.push(format!("{}: no .{} file in that folder", path.display(), endings[0]));
            }
            files.extend(inside);
        } else {
            files.push(path.clone());
        }
    }
    files
        .into_iter()
        .filter_map(|file| match std::fs::read_to_string(&file) {
            Ok(text) => Some((file.file_name()?.to_string_lossy().into_owned(), text)),
            Err(error) => {
                errors.push(format!("{}: {error}", file.display()));
                None
            }
        })
        .collect()
}
