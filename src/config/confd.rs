//! `conf.d/`: further files beside the config that each add a part of it.
//!
//! Maps are put together, lists one behind the other in the order of the files' names. A single value that two files state differently is an error that names both.

use std::path::{Path, PathBuf};

use serde_json::Value;

use super::expand::expand;
use super::load::{ConfigError, ConfigErrors};
use super::schema::Config;

/// Files that are read.
const FILES_MAX: usize = 1000;

/// The files of `conf.d` beside a config, by name.
pub fn files(config: &Path) -> Vec<PathBuf> {
    let dir = config.parent().unwrap_or(Path::new("")).join("conf.d");
    let inside = std::fs::read_dir(dir)
        .into_iter()
        .flatten()
        .filter_map(|entry| Some(entry.ok()?.path()));
    let mut files: Vec<PathBuf> = inside
        .filter(|file| file.is_file() && file.extension().is_some_and(|end| end == "yml" || end == "yaml"))
        .collect();
    files.sort();
    files.truncate(FILES_MAX);
    files
}

/// The whole config as one text, if `conf.d` adds anything. Variables are filled in; dollar signs stand doubled.
pub fn merged(
    path: &Path,
    text: &str,
    variable: &dyn Fn(&str) -> Option<String>,
) -> Result<Option<String>, ConfigErrors> {
    let more = files(path);
    if more.is_empty() {
        return Ok(None);
    }
    let mut whole = part(&path.display().to_string(), text, variable)?;
    let mut said = vec![path.display().to_string()];
    for file in more {
        let name = file.display().to_string();
        let wrong = |message: String, text: &str| ConfigErrors {
            file: name.clone(),
            text: text.to_owned(),
            errors: vec![ConfigError { message, place: None }],
        };
        let text = std::fs::read_to_string(&file).map_err(|error| wrong(format!("cannot be read: {error}"), ""))?;
        let added = part(&name, &text, variable)?;
        merge(&mut whole, added, "")
            .map_err(|key| wrong(format!("'{key}' is stated otherwise in {}", said.join(" or ")), &text))?;
        said.push(name);
    }
    Ok(Some(whole.to_string().replace('$', "$$")))
}

/// One file, checked by itself so that a slip is told with its own line.
fn part(name: &str, text: &str, variable: &dyn Fn(&str) -> Option<String>) -> Result<Value, ConfigErrors> {
    let fail = |error: ConfigError, text: &str| ConfigErrors {
        file: name.to_owned(),
        text: text.to_owned(),
        errors: vec![error],
    };
    let expanded = expand(text, variable).map_err(|(at, missing)| {
        let line = text.get(..at).unwrap_or_default().matches('\n').count() + 1;
        let message = format!("the variable {missing} is not set; set it, or write ${{{missing}:-default}}");
        fail(
            ConfigError {
                message,
                place: Some((line, 1)),
            },
            text,
        )
    })?;
    Config::parse(&expanded).map_err(|error| fail(error, &expanded))?;
    if expanded.trim().is_empty() {
        return Ok(Value::Object(serde_json::Map::new()));
    }
    let read: Result<Option<Value>, _> = serde_saphyr::from_str(&expanded);
    let value = read.map_err(|error| {
        fail(
            ConfigError {
                message: error.without_snippet().to_string(),
                place: None,
            },
            &expanded,
        )
    })?;
    Ok(value
        .filter(|value| !value.is_null())
        .unwrap_or_else(|| Value::Object(serde_json::Map::new())))
}

/// Adds `more`. `Err` is the key that both state.
fn merge(whole: &mut Value, more: Value, key: &str) -> Result<(), String> {
    match (whole, more) {
        (Value::Object(whole), Value::Object(more)) => {
            for (name, value) in more {
                let place = if key.is_empty() {
                    name.clone()
                } else {
                    format!("{key}.{name}")
                };
                match whole.get_mut(&name) {
                    Some(known) => merge(known, value, &place)?,
                    None => drop(whole.insert(name, value)),
                }
            }
            Ok(())
        }
        (Value::Array(whole), Value::Array(more)) => {
            whole.extend(more);
            Ok(())
        }
        (whole, more) if *whole == more || more.is_null() => Ok(()),
        (whole, more) if whole.is_null() => {
            *whole = more;
            Ok(())
        }
        _ => Err(key.to_owned()),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::config::Loaded;

    fn write(dir: &Path, name: &str, text: &str) {
        std::fs::create_dir_all(dir.join("conf.d")).unwrap();
        std::fs::write(dir.join(name), text).unwrap();
    }

    #[test]
    fn parts_are_put_together_and_lists_grow() {
        let dir = tempfile::tempdir().unwrap();
        write(
            dir.path(),
            "jurymast.yml",
            "agent: {name: one}\ntopology: {entities: [{name: a}]}\n",
        );
        write(
            dir.path(),
            "conf.d/10-b.yml",
            "topology: {entities: [{name: b}]}\nagent: {name: one}\n",
        );
        write(dir.path(), "conf.d/20-c.yaml", "# nothing but a remark\n");
        write(
            dir.path(),
            "conf.d/30-mqtt.yml",
            "sources: {mqtt: [{name: m, url: 'mqtt://h:1', subscribe: [{filter: a, decode: json, json: {values: $.v}}]}]}\n",
        );
        write(dir.path(), "conf.d/notes.txt", "not: read");
        let loaded = Loaded::read(&dir.path().join("jurymast.yml")).unwrap();
        let names: Vec<&str> = loaded
            .config
            .topology
            .entities
            .iter()
            .map(|entity| entity.name.as_str())
            .collect();
        assert_eq!(names, ["a", "b"]);
        assert_eq!(
            loaded.config.sources.mqtt[0].subscribe[0].json.values.as_deref(),
            Some("$.v")
        );
    }

    #[test]
    fn a_slip_is_told_with_its_own_file_and_what_is_stated_twice_with_both() {
        let dir = tempfile::tempdir().unwrap();
        write(dir.path(), "jurymast.yml", "agent: {name: one}\n");
        write(dir.path(), "conf.d/a.yml", "\nagnet: {name: two}\n");
        let error = Loaded::read(&dir.path().join("jurymast.yml")).unwrap_err().to_string();
        assert!(error.contains("conf.d/a.yml:2:1") && error.contains("agent"), "{error}");
        write(dir.path(), "conf.d/a.yml", "agent: {name: two}\n");
        let error = Loaded::read(&dir.path().join("jurymast.yml")).unwrap_err().to_string();
        assert!(
            error.contains("a.yml: 'agent.name'") && error.contains("jurymast.yml"),
            "{error}"
        );
    }
}
