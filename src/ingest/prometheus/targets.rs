//! Targets: listed in the config, or in files that somebody else writes.

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};
use std::time::SystemTime;

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

/// One target as it stands in the config: `host:port`, a URL, or either with the entity that it is.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(
    untagged,
    deny_unknown_fields,
    expecting = "a target is host:port, a URL, or {address: host:port or a URL, entity: a name}"
)]
pub enum Target {
    /// `host:port` or a URL.
    Address(String),
    /// With its entity.
    Named {
        /// `host:port` or a URL.
        address: String,
        /// The entity that it is.
        entity: String,
    },
}

/// A group of a target file, as Prometheus' `file_sd` has it.
#[derive(Debug, Clone, PartialEq, Deserialize)]
struct Group {
    targets: Vec<String>,
    #[serde(default)]
    labels: BTreeMap<String, String>,
}

/// A target ready to be scraped.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
pub struct Resolved {
    /// Its whole URL.
    pub url: String,
    /// `host:port`.
    pub instance: String,
    /// The entity that it is.
    pub entity: String,
    /// Labels that its series have, by name.
    pub labels: Vec<(String, String)>,
}

impl Resolved {
    /// The value of a label, if it has that one.
    pub fn label(&self, name: &str) -> Option<&str> {
        let found = self.labels.iter().find(|(known, _)| known == name);
        found.map(|(_, value)| value.as_str())
    }
}

/// Files of targets, read again when they change. A file that cannot be read keeps what it said before.
pub struct Files {
    paths: Vec<PathBuf>,
    known: BTreeMap<PathBuf, (Option<Version>, Vec<Resolved>)>,
}

/// When a file was written, and its length.
type Version = (SystemTime, u64);

/// `host:port` or a URL, with the path that metrics are under.
pub fn resolve(address: &str, entity: Option<&str>, path: &str) -> Resolved {
    let url = if address.contains("://") {
        match address.splitn(4, '/').nth(3) {
            Some(_) => address.to_owned(),
            None => format!("{address}{path}"),
        }
    } else {
        format!("http://{address}{path}")
    };
    let instance = url
        .split("://")
        .nth(1)
        .unwrap_or(&url)
        .split(['/', '?'])
        .next()
        .and_then(|authority| authority.rsplit('@').next())
        .unwrap_or_default()
        .to_owned();
    Resolved {
        entity: entity.unwrap_or(&instance).to_owned(),
        url,
        instance,
        labels: Vec::new(),
    }
}

impl Files {
    /// These files; `*` in a file's name stands for any run of characters.
    pub fn new(paths: &[PathBuf]) -> Self {
        Self {
            paths: paths.to_vec(),
            known: BTreeMap::new(),
        }
    }

    /// All targets of all files, and what went wrong.
    pub fn read(&mut self, path: &str) -> (Vec<Resolved>, Vec<String>) {
        let mut errors = Vec::new();
        let files: Vec<PathBuf> = self.paths.iter().flat_map(|path| expand(path)).collect();
        self.known.retain(|file, _| files.contains(file));
        for file in files {
            let changed = std::fs::metadata(&file)
                .and_then(|meta| Ok((meta.modified()?, meta.len())))
                .ok();
            if self
                .known
                .get(&file)
                .is_some_and(|(known, _)| *known == changed && changed.is_some())
            {
                continue;
            }
            let read = std::fs::read_to_string(&file).map_err(|error| error.to_string());
            // JSON is YAML.
            let groups = read.and_then(|text| serde_saphyr::from_str::<Vec<Group>>(&text).map_err(|e| e.to_string()));
            match groups {
                Ok(groups) => {
                    let targets = groups.iter().flat_map(|group| {
                        group
                            .targets
                            .iter()
                            .map(|target| resolve(target, group.labels.get("entity").map(String::as_str), path))
                    });
                    self.known.insert(file, (changed, targets.collect()));
                }
                Err(error) => errors.push(format!("{}: {error}; its targets stay as they were", file.display())),
            }
        }
        let mut all: Vec<Resolved> = self.known.values().flat_map(|(_, targets)| targets).cloned().collect();
        all.sort();
        all.dedup();
        (all, errors)
    }
}

/// Files that a path stands for, whose last part may hold `*`.
pub fn expand(pattern: &Path) -> Vec<PathBuf> {
    let name = pattern
        .file_name()
        .map(|name| name.to_string_lossy().into_owned())
        .unwrap_or_default();
    if !name.contains('*') {
        return vec![pattern.to_owned()];
    }
    let glob = crate::model::Glob::from(name.as_str());
    let dir = pattern.parent().map_or_else(|| PathBuf::from("."), PathBuf::from);
    let mut found: Vec<PathBuf> = std::fs::read_dir(dir)
        .into_iter()
        .flatten()
        .filter_map(Result::ok)
        .map(|entry| entry.path())
        .filter(|path| {
            path.file_name()
                .is_some_and(|name| glob.matches(&name.to_string_lossy()))
        })
        .collect();
    found.sort();
    found
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn addresses_become_urls_and_instances() {
        let target = resolve("10.0.0.1:9100", None, "/metrics");
        assert_eq!(
            (target.url.as_str(), target.instance.as_str()),
            ("http://10.0.0.1:9100/metrics", "10.0.0.1:9100")
        );
        // Its name is seen everywhere, its password nowhere.
        assert_eq!(resolve("https://ann:s3cret@h:1/x", None, "/metrics").instance, "h:1");
        assert_eq!(resolve("https://h:1/x", Some("e"), "/metrics").url, "https://h:1/x");
    }

    #[test]
    fn a_target_with_a_slip_is_refused() {
        let read = |text: &str| serde_saphyr::from_str::<Vec<Target>>(text).map_err(|error| error.to_string());
        let named = Target::Named {
            address: "h:1".into(),
            entity: "e".into(),
        };
        let good = read("[h:1, {address: h:1, entity: e}]").unwrap();
        assert_eq!(good, [Target::Address("h:1".into()), named]);
        for text in ["[{address: h:1, entity: e, lables: x}]", "[{address: h:1}]", "[[h:1]]"] {
            let error = read(text).unwrap_err();
            assert!(error.contains("a target is host:port"), "{text}: {error}");
        }
    }

    #[test]
    fn a_broken_target_file_keeps_what_it_said_before() {
        let dir = tempfile::tempdir().unwrap();
        let file = dir.path().join("a.yml");
        std::fs::write(&file, "- targets: [h1:1, h2:1]\n  labels: {entity: e}\n").unwrap();
        let mut files = Files::new(&[dir.path().join("*.yml")]);
        assert_eq!(files.read("/metrics").0.len(), 2);
        std::fs::write(&file, "- targets: {").unwrap();
        let later = SystemTime::now() + std::time::Duration::from_secs(5);
        std::fs::File::open(&file).unwrap().set_modified(later).unwrap();
        let (targets, errors) = files.read("/metrics");
        assert_eq!(targets.len(), 2);
        assert!(errors[0].contains("stay as they were"), "{errors:?}");
    }
}
