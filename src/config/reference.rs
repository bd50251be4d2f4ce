//! The reference page of the config, written from its JSON schema, which is written from the doc comments of the settings.
//!
//! In: the schema. Out: Markdown. Never: a word that does not stand beside the code that it describes.

use std::collections::BTreeSet;
use std::fmt::Write as _;

use serde_json::Value;

/// The page `docs/reference/config.md`.
pub fn reference() -> String {
    let schema = super::json_schema();
    let mut out = String::from(
        "# The config\n\nWritten from the settings' own doc comments. `jurymast schema` prints the JSON schema for editors. Unknown keys are \
         errors. `${NAME}` and `${NAME:-default}` come from the environment; `$$` is a dollar sign. Relative paths are seen from the \
         config's folder.\n",
    );
    section(&schema, "Top level", &mut out);
    out
}

/// The table of a schema, and those of everything that it refers to.
pub fn section(schema: &Value, name: &str, out: &mut String) {
    table(schema, name, out);
    let mut seen = BTreeSet::new();
    // In the order in which a reader of the top level meets them.
    let mut waiting = referred(schema);
    while !waiting.is_empty() {
        let name = waiting.remove(0);
        if !seen.insert(name.clone()) {
            continue;
        }
        let Some(part) = schema.pointer(&format!("/$defs/{name}")) else {
            continue;
        };
        table(part, &name, out);
        let mut inside = referred(part);
        inside.append(&mut waiting);
        waiting = inside;
    }
}

/// Words of a file, one after the other.
pub fn kinds_of<T: serde::Serialize>(list: &[T]) -> String {
    let words: Vec<String> = list
        .iter()
        .filter_map(|word| {
            serde_json::to_value(word)
                .ok()?
                .as_str()
                .map(|word| format!("`{word}`"))
        })
        .collect();
    words.join(", ")
}

/// One table: the keys of an object, or the words of an enumeration.
fn table(part: &Value, name: &str, out: &mut String) {
    // Writing to a String cannot fail.
    let _ = write!(out, "\n## {name}\n");
    if let Some(text) = said(part) {
        let _ = write!(out, "\n{text}\n");
    }
    if part.get("properties").is_none() && part.get("oneOf").is_none() {
        let _ = write!(out, "\nIn the file: {}.\n", kind(part));
    }
    if let Some(keys) = part["properties"].as_object() {
        let required: Vec<&str> = part["required"]
            .as_array()
            .into_iter()
            .flatten()
            .filter_map(Value::as_str)
            .collect();
        out.push_str("\n| key | type | default | meaning |\n| --- | --- | --- | --- |\n");
        for (key, value) in keys {
            let default = match value.get("default") {
                _ if required.contains(&key.as_str()) => "required".to_owned(),
                Some(Value::Object(_) | Value::Null) | None => String::new(),
                Some(Value::Array(items)) if items.is_empty() => String::new(),
                Some(default) => format!("`{default}`"),
            };
            let meaning = said(value).unwrap_or_default();
            let _ = writeln!(
                out,
                "| `{key}` | {} | {} | {} |",
                kind(value),
                cell(&default),
                cell(&meaning)
            );
        }
    }
    for word in part["oneOf"].as_array().into_iter().flatten() {
        for value in word
            .get("const")
            .into_iter()
            .chain(word["enum"].as_array().into_iter().flatten())
        {
            let _ = write!(
                out,
                "\n* `{}`: {}",
                value.as_str().unwrap_or_default(),
                said(word).unwrap_or_default()
            );
        }
    }
    if part.get("oneOf").is_some() {
        out.push('\n');
    }
}

/// What the doc comment says, on one line.
fn said(part: &Value) -> Option<String> {
    let text = part["description"].as_str()?;
    Some(text.split_whitespace().collect::<Vec<_>>().join(" "))
}

fn cell(text: &str) -> String {
    text.replace('|', "\\|")
}

/// A type in a word or two, with a link where it has a table of its own.
fn kind(value: &Value) -> String {
    if let Some(name) = value["$ref"].as_str().and_then(|path| path.rsplit('/').next()) {
        return format!("[{name}](#{})", name.to_lowercase());
    }
    for choice in ["anyOf", "allOf"] {
        if let Some(parts) = value[choice].as_array() {
            let kinds: Vec<String> = parts.iter().filter(|part| part["type"] != "null").map(kind).collect();
            return kinds.join(" or ");
        }
    }
    match &value["type"] {
        Value::String(kind) if kind == "array" => format!("list of {}", self::kind(&value["items"])),
        Value::String(kind) => kind.clone(),
        Value::Array(kinds) => {
            let kinds: Vec<&str> = kinds
                .iter()
                .filter_map(Value::as_str)
                .filter(|kind| *kind != "null")
                .collect();
            kinds.join(" or ")
        }
        _ => "any".into(),
    }
}

/// The parts that a part refers to, in its own order.
fn referred(part: &Value) -> Vec<String> {
    let mut found = Vec::new();
    match part {
        Value::Object(map) => {
            for (key, value) in map {
                match value.as_str() {
                    Some(path) if key == "$ref" => found.extend(path.rsplit('/').next().map(String::from)),
                    _ if key == "$defs" => {}
                    _ => found.extend(referred(value)),
                }
            }
        }
        Value::Array(items) => found.extend(items.iter().flat_map(referred)),
        _ => {}
    }
    found
}
