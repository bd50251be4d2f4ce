//! A stand-in for HTTP interfaces that cannot run here: it holds what it is told, and writes down how it was asked.

#![allow(dead_code, reason = "each test file uses its own part of the harness")]

use std::io::{BufRead, BufReader, Read, Write};
use std::net::TcpListener;
use std::sync::{Arc, Mutex};

use serde_json::{Value, json};

/// One request: method, path, body.
pub type Asked = (String, String, Value);

/// Answers by a function of the request and of its own state.
pub struct Api {
    pub url: String,
    asked: Arc<Mutex<Vec<Asked>>>,
}

impl Api {
    pub fn start(mut answer: impl FnMut(&str, &str, &Value) -> (u16, Value) + Send + 'static) -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        let url = format!("http://{}", listener.local_addr().unwrap());
        let asked: Arc<Mutex<Vec<Asked>>> = Arc::default();
        let log = Arc::clone(&asked);
        std::thread::spawn(move || {
            for stream in listener.incoming().map_while(Result::ok) {
                let mut reader = BufReader::new(stream);
                let mut line = String::new();
                if reader.read_line(&mut line).unwrap_or(0) == 0 {
                    continue;
                }
                let mut length = 0;
                let mut header = String::new();
                while reader.read_line(&mut header).is_ok_and(|read| read > 2) {
                    if let Some(value) = header.to_lowercase().strip_prefix("content-length:") {
                        length = value.trim().parse().unwrap();
                    }
                    header.clear();
                }
                let mut body = vec![0; length];
                reader.read_exact(&mut body).unwrap();
                let body = serde_json::from_slice(&body).unwrap_or(Value::Null);
                let mut words = line.split_whitespace();
                let (method, path) = (words.next().unwrap_or_default(), words.next().unwrap_or_default());
                log.lock().unwrap().push((method.into(), path.into(), body.clone()));
                let (status, json) = answer(method, path, &body);
                let text = json.to_string();
                let head = format!(
                    "HTTP/1.1 {status} X\r\nContent-Type: application/json\r\nContent-Length: {}\r\nConnection: close\r\n\r\n",
                    text.len()
                );
                let _ = reader.get_mut().write_all((head + &text).as_bytes());
            }
        });
        Self { url, asked }
    }

    pub fn asked(&self, method: &str) -> Vec<(String, Value)> {
        let asked = self.asked.lock().unwrap();
        asked
            .iter()
            .filter(|(with, ..)| with == method)
            .map(|(_, path, body)| (path.clone(), body.clone()))
            .collect()
    }
}

/// RFC 7396, as API servers do it.
pub fn merge(into: &mut Value, patch: &Value) {
    let Value::Object(patch) = patch else {
        *into = patch.clone();
        return;
    };
    if !into.is_object() {
        *into = json!({});
    }
    for (key, value) in patch {
        if value.is_null() {
            into.as_object_mut().unwrap().remove(key);
        } else {
            merge(into.as_object_mut().unwrap().entry(key).or_insert(Value::Null), value);
        }
    }
}

/// An API server with those objects, by path (`` for any), and controllers that do what they ask for.
pub fn kubernetes(objects: &[(&str, Value)]) -> Api {
    let mut objects: Vec<(String, Value)> = objects
        .iter()
        .map(|(path, object)| ((*path).to_owned(), object.clone()))
        .collect();
    Api::start(move |method, path, body| {
        let known = objects.iter_mut().find(|(known, _)| known.is_empty() || known == path);
        let Some((_, object)) = known else {
            return (404, json!({"reason": "NotFound"}));
        };
        match method {
            "GET" => (200, object.clone()),
            "PATCH" => {
                let version = object["metadata"]["resourceVersion"].clone();
                if body["metadata"]
                    .get("resourceVersion")
                    .is_some_and(|given| *given != version)
                {
                    return (409, json!({"reason": "Conflict"}));
                }
                merge(object, body);
                let next: u64 = version.as_str().unwrap().parse::<u64>().unwrap() + 1;
                object["metadata"]["resourceVersion"] = json!(next.to_string());
                object["metadata"]["generation"] = json!(next);
                object["status"] = json!({"observedGeneration": next, "replicas": object["spec"]["replicas"], "readyReplicas": object["spec"]["replicas"]});
                (200, object.clone())
            }
            _ => (405, Value::Null),
        }
    })
}
