//! Queries to an existing Prometheus: what it had before we came, and what it gets from now on. No second exporter is asked for what it already scrapes.
//!
//! <https://prometheus.io/docs/prometheus/latest/querying/api/#range-queries>

use std::collections::BTreeMap;
use std::future::Future;
use std::pin::Pin;
use std::time::Duration;

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use super::exposition::SeriesParts;
use super::http::{Client, HttpSettings};
use crate::clock::wall_clock;
use crate::engine::Input;
use crate::ingest::{Feed, Source};
use crate::metrics::{ByReason, BySource};
use crate::model::{Batch, Check, EntityName, Event, EventKind, Reach, Sample, Span, Timestamp, template};

/// Prometheus answers at most 11,000 points per series.
const POINTS_MAX: u32 = 10_000;

/// A Prometheus that is asked.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct QuerySettings {
    /// Its name here, and that of its entity.
    pub name: String,
    /// Its base URL.
    pub url: String,
    /// How often it is asked, which is also the step.
    #[serde(default = "default_interval")]
    pub interval: Span,
    /// How far back the first question goes.
    #[serde(default)]
    pub backfill: Span,
    /// How long an answer may take.
    #[serde(default = "default_timeout")]
    pub timeout: Span,
    /// What it is asked for.
    pub queries: Vec<Query>,
    /// Credentials.
    #[serde(default)]
    pub http: HttpSettings,
}

/// One expression.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct Query {
    /// `PromQL`.
    pub expr: String,
    /// Whose the answer's series are; labels are filled in.
    pub entity: String,
    /// The signal's name; the series' own name and other labels if left out.
    #[serde(default)]
    pub signal: Option<String>,
}

const fn default_interval() -> Span {
    Span::secs(15)
}
const fn default_timeout() -> Span {
    Span::secs(10)
}

/// See the module.
pub struct QuerySource {
    settings: QuerySettings,
}

impl QuerySource {
    /// A source of checked settings.
    pub const fn new(settings: QuerySettings) -> Self {
        Self { settings }
    }
}

#[derive(Deserialize)]
struct Answer {
    status: String,
    #[serde(default)]
    error: Option<String>,
    #[serde(default)]
    data: Option<Data>,
}

#[derive(Deserialize)]
struct Data {
    result: Vec<Matrix>,
}

#[derive(Deserialize)]
struct Matrix {
    metric: BTreeMap<String, String>,
    #[serde(default)]
    values: Vec<(f64, String)>,
}

impl Source for QuerySource {
    fn name(&self) -> &str {
        &self.settings.name
    }

    fn run(self: Box<Self>, feed: Feed) -> Pin<Box<dyn Future<Output = ()> + Send>> {
        Box::pin(async move {
            let settings = self.settings;
            let client = match Client::new(&settings.http, settings.timeout.0) {
                Ok(client) => client,
                Err(error) => {
                    tracing::error!(source = %settings.name, %error, "cannot be asked");
                    return;
                }
            };
            let step = settings.interval.0.max(Duration::from_secs(1));
            // Steps lie on whole multiples, so that back-fill and polls meet without a gap or a repeat.
            let step_ms = i64::try_from(step.as_millis()).unwrap_or(i64::MAX);
            let floor = |at: Timestamp| at.millis().div_euclid(step_ms) * step_ms;
            let mut asked: Vec<i64> = vec![floor(wall_clock() - settings.backfill.0.max(step)); settings.queries.len()];
            let mut due = tokio::time::interval(step);
            due.set_missed_tick_behavior(tokio::time::MissedTickBehavior::Skip);
            loop {
                tokio::select! {
                    () = feed.stop.cancelled() => return,
                    _ = due.tick() => {}
                }
                for (query, last) in settings.queries.iter().zip(&mut asked) {
                    let end = floor(wall_clock()).min(*last + step_ms * i64::from(POINTS_MAX));
                    if end <= *last {
                        continue;
                    }
                    let range = (*last + step_ms, end);
                    // Only what was answered counts as asked: a gap is filled by the next question.
                    if ask(&client, &settings, query, range, step, &feed).await {
                        *last = end;
                    }
                }
            }
        })
    }
}

async fn ask(
    client: &Client,
    settings: &QuerySettings,
    query: &Query,
    (start, end): (i64, i64),
    step: Duration,
    feed: &Feed,
) -> bool {
    let url = format!("{}/api/v1/query_range", settings.url.trim_end_matches('/'));
    let seconds = |ms: i64| format!("{:.3}", ms as f64 / 1e3);
    let parameters = [
        ("query", query.expr.clone()),
        ("start", seconds(start)),
        ("end", seconds(end)),
        ("step", format!("{}", step.as_secs_f64())),
    ];
    let at = wall_clock();
    let answered = async {
        let answer = client.get(&url).query(&parameters).send().await.map_err(|error| {
            let reach = if error.is_timeout() {
                Reach::NoAnswer
            } else {
                Reach::Refused
            };
            (reach, error.to_string())
        })?;
        let odd = |error: String| (Reach::Odd { detail: error.clone() }, error);
        let answer: Answer = answer.json().await.map_err(|error| odd(error.to_string()))?;
        match (answer.status.as_str(), answer.data) {
            ("success", Some(data)) => Ok(data.result),
            (_, _) => Err(odd(answer.error.unwrap_or_else(|| "an answer without data".into()))),
        }
    };
    let label = BySource {
        source: settings.name.clone(),
    };
    feed.metrics.messages.get_or_create(&label).inc();
    let mut batch = Batch::default();
    let (reach, good) = match answered.await {
        Ok(series) => {
            for one in series {
                take(&one, query, settings, feed, &mut batch);
            }
            feed.metrics
                .samples
                .get_or_create(&label)
                .inc_by(batch.samples.len() as u64);
            (
                Reach::Good {
                    took: Span(Duration::from_micros(
                        u64::try_from(wall_clock().since(at).as_micros()).unwrap_or(0),
                    )),
                },
                true,
            )
        }
        Err((reach, error)) => {
            tracing::warn!(source = %settings.name, expr = %query.expr, %error, "a query failed");
            let reason = ByReason {
                source: settings.name.clone(),
                reason: "query",
            };
            feed.metrics.bad_input.get_or_create(&reason).inc();
            (reach, false)
        }
    };
    feed.metrics.source_up.get_or_create(&label).set(i64::from(good));
    batch.events.push(Event {
        entity: EntityName::from(settings.name.as_str()),
        at,
        seen: wall_clock(),
        kind: EventKind::Reach {
            vantage: feed.agent.clone(),
            check: Check::Scrape,
            reach,
            asked: None,
        },
    });
    let _ = feed.inbox.send(Input::Batch(batch)).await;
    good
}

fn take(one: &Matrix, query: &Query, settings: &QuerySettings, feed: &Feed, batch: &mut Batch) {
    let entity = match template::fill(&query.entity, |name| one.metric.get(name).map(String::as_str)) {
        Ok(entity) => entity,
        Err(label) => {
            tracing::warn!(source = %settings.name, expr = %query.expr, label, "a series lacks the label that names its entity");
            let reason = ByReason {
                source: settings.name.clone(),
                reason: "no_entity",
            };
            feed.metrics.bad_input.get_or_create(&reason).inc();
            return;
        }
    };
    let signal = query.signal.clone().unwrap_or_else(|| {
        let mut labels = one.metric.clone();
        let name = labels.remove("__name__").unwrap_or_else(|| query.expr.clone());
        SeriesParts {
            name,
            labels: labels.into_iter().collect(),
        }
        .signal(&["instance", "job"])
    });
    let series = feed.catalog.series(&entity, &signal);
    let seen = wall_clock();
    for (at, value) in &one.values {
        let value = match value.as_str() {
            "NaN" => f64::NAN,
            text => match text.parse() {
                Ok(value) => value,
                Err(_) => continue,
            },
        };
        let at = Timestamp::from_millis((at * 1e3).round() as i64);
        batch.samples.push(Sample {
            series,
            retained: false,
            at,
            seen,
            value,
        });
    }
}
