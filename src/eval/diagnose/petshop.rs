//! `PetShop` (Hardt et al., `CLeaR` 2024): one traffic folder with the call graph, normal time, and a window for each issue.

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};

use serde::Deserialize;

use super::case::{Case, Cases, Truth, measure_of};
use super::table::{Malformed, ReadError, number, rows, text, text_of_rows};
use crate::diagnose::causal::{Evidence, Link, Measure, Node, Seen, Series, Signal};

/// Seconds between two rows.
const PERIOD_S: f64 = 300.0;
/// Rows of normal time that are looked at: two days.
const HISTORY: usize = 600;
/// Names of nodes that are only known from the other end of the edge.
const VIEWS: &[&str] = &["_remote", "_client"];

#[derive(Deserialize)]
struct Label {
    target: Target,
    root_cause: Cause,
}

#[derive(Default, Deserialize)]
struct Target {
    node: String,
    metric: String,
    agg: String,
    timestamp: f64,
}

#[derive(Deserialize)]
struct Cause {
    node: String,
}

/// Columns of a metrics file, by node, metric and statistic; rows by time.
#[derive(Default, Clone)]
struct Table {
    times: Vec<f64>,
    columns: BTreeMap<(String, String, String), Vec<f64>>,
}

struct Issue {
    target: Target,
    window: Table,
}

/// One traffic folder.
pub struct Traffic {
    nodes: Vec<Node>,
    links: Vec<Link>,
    normal: Table,
    issues: Vec<Issue>,
    cases: Vec<Case>,
}

impl Traffic {
    /// Reads it.
    pub fn read(path: &Path, malformed: &mut Malformed) -> Result<Self, ReadError> {
        let missing = ["graph.csv", "noissue/metrics.csv"].into_iter().find(|file| {
            let packed = path.join(format!("{file}.gz"));
            !path.join(file).exists() && !packed.exists()
        });
        if let Some(missing) = missing {
            return Err(ReadError::Layout {
                path: path.to_owned(),
                format: "petshop",
                what: format!("no {missing} in it; give one traffic folder, such as low_traffic"),
            });
        }
        let (nodes, links) = graph(&path.join("graph.csv"), malformed)?;
        let normal = table(&path.join("noissue").join("metrics.csv"), malformed)?;
        let (mut issues, mut cases) = (Vec::new(), Vec::new());
        for part in ["train", "test"] {
            for dir in folders(&path.join(part)) {
                let name = dir.file_name().map(|name| name.to_string_lossy()).unwrap_or_default();
                let read = label(&dir).and_then(|label| Ok((label, table(&dir.join("metrics.csv"), malformed)?)));
                // A case that cannot be read is one that cannot be scored, and no reason to leave out the others.
                let Ok((label, window)) = read.map_err(|error| malformed.add(&dir, 0, error)) else {
                    cases.push(Case {
                        name: format!("{part}/{name}"),
                        group: None,
                        truth: Truth {
                            node: String::new(),
                            kind: None,
                        },
                    });
                    issues.push(Issue {
                        target: Target::default(),
                        window: Table::default(),
                    });
                    continue;
                };
                cases.push(Case {
                    name: format!("{part}/{name} {}", label.root_cause.node),
                    group: match measure_of(&label.target.metric) {
                        Measure::Latency => Some("latency"),
                        _ => Some("availability"),
                    },
                    truth: Truth {
                        node: label.root_cause.node,
                        kind: None,
                    },
                });
                issues.push(Issue {
                    target: label.target,
                    window,
                });
            }
        }
        if cases.is_empty() {
            return Err(ReadError::Layout {
                path: path.to_owned(),
                format: "petshop",
                what: "no train/issue_N or test/issue_N in it; give one traffic folder".into(),
            });
        }
        Ok(Self {
            nodes,
            links,
            normal,
            issues,
            cases,
        })
    }
}

fn label(dir: &Path) -> Result<Label, ReadError> {
    let file = dir.join("target.json");
    serde_json::from_str(&text(&file)?).map_err(|error| ReadError::Content {
        path: file,
        what: format!("not a label: {error}"),
    })
}

fn folders(dir: &Path) -> Vec<PathBuf> {
    let Ok(entries) = std::fs::read_dir(dir) else {
        return Vec::new();
    };
    let mut found: Vec<PathBuf> = entries
        .flatten()
        .map(|entry| entry.path())
        .filter(|path| path.is_dir())
        .collect();
    found.sort();
    found
}

fn graph(file: &Path, malformed: &mut Malformed) -> Result<(Vec<Node>, Vec<Link>), ReadError> {
    let content = text_of_rows(file, malformed)?;
    let mut nodes: Vec<Node> = Vec::new();
    let mut links = Vec::new();
    rows(&content, file, malformed, |line, fields, malformed| {
        if line == 1 {
            nodes = fields
                .iter()
                .skip(1)
                .map(|name| Node {
                    name: name.clone(),
                    view_only: VIEWS.iter().any(|end| name.ends_with(end)),
                })
                .collect();
            return;
        }
        let Some(caller) = fields
            .first()
            .and_then(|name| nodes.iter().position(|node| node.name == *name))
        else {
            malformed.add(file, line, "a row without a column of the same name");
            return;
        };
        for (callee, field) in fields.iter().skip(1).take(nodes.len()).enumerate() {
            match number(field) {
                Some(weight) if weight > 0.0 => links.push(Link { caller, callee }),
                Some(_) => {}
                None => malformed.add(file, line, format!("{field:?} is no weight")),
            }
        }
    });
    Ok((nodes, links))
}

fn table(file: &Path, malformed: &mut Malformed) -> Result<Table, ReadError> {
    let content = text_of_rows(file, malformed)?;
    let mut header: Vec<Vec<String>> = Vec::new();
    let mut names: Vec<(String, String, String)> = Vec::new();
    let mut found = Table::default();
    let mut columns: Vec<Vec<f64>> = Vec::new();
    rows(&content, file, malformed, |line, fields, malformed| {
        if header.len() < 3 {
            header.push(fields.to_vec());
            if let [node, metric, statistic] = header.as_slice() {
                names = node
                    .iter()
                    .zip(metric)
                    .zip(statistic)
                    .skip(1)
                    .map(|((node, metric), statistic)| (node.clone(), metric.clone(), statistic.clone()))
                    .collect();
                columns = vec![Vec::new(); names.len()];
            }
            return;
        }
        let Some(time) = fields.first().and_then(|field| number(field)) else {
            // Below the header stands a row with the name of the index alone.
            if !fields.iter().skip(1).all(String::is_empty) {
                malformed.add(file, line, "no time in seconds");
            }
            return;
        };
        if fields.len() > names.len() + 1 {
            malformed.add(file, line, "more fields than columns");
            return;
        }
        found.times.push(time);
        for (at, column) in columns.iter_mut().enumerate() {
            column.push(fields.get(at + 1).and_then(|field| number(field)).unwrap_or(f64::NAN));
        }
    });
    if names.is_empty() {
        return Err(ReadError::Content {
            path: file.to_owned(),
            what: "no three header rows (node, metric, statistic)".into(),
        });
    }
    found.columns = names.into_iter().zip(columns).collect();
    Ok(found)
}

impl Cases for Traffic {
    fn cases(&self) -> &[Case] {
        &self.cases
    }

    fn evidence(&self, case: usize) -> Evidence {
        let Some(issue) = self.issues.get(case) else {
            return Evidence::default();
        };
        // A row speaks of the five minutes from its time on, and the fault may have begun in the row that the time falls into.
        let first = issue
            .window
            .times
            .partition_point(|time| time + PERIOD_S <= issue.target.timestamp);
        let normal_until = self.normal.times.len();
        let normal_from = normal_until.saturating_sub(HISTORY);
        let mut evidence = Evidence {
            nodes: self.nodes.clone(),
            links: self.links.clone(),
            period_s: PERIOD_S,
            ..Evidence::default()
        };
        let node_of = |name: &str| self.nodes.iter().position(|node| node.name == name);
        for ((name, metric, statistic), values) in &issue.window.columns {
            let Some(node) = node_of(name) else { continue };
            // One statistic a metric: the one that the symptom was seen in, sums for counts.
            if *statistic != issue.target.agg && *statistic != "Sum" {
                continue;
            }
            let key = (name.clone(), metric.clone(), statistic.clone());
            let mut before: Vec<f64> = self
                .normal
                .columns
                .get(&key)
                .and_then(|column| column.get(normal_from..normal_until))
                .unwrap_or(&[])
                .to_vec();
            before.extend(values.iter().take(first));
            evidence.signals.push(Signal {
                node,
                measure: measure_of(metric),
                name: metric.clone(),
                series: Series {
                    before,
                    after: values.iter().skip(first).copied().collect(),
                },
            });
        }
        evidence.seen = node_of(&issue.target.node).map(|node| Seen {
            node,
            measure: measure_of(&issue.target.metric),
        });
        evidence
    }
}
