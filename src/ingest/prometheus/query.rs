//! Queries to an existing Prometheus: what it had before we came, and what it gets from now on. No second exporter is asked for what it already scrapes.
//!
//! <https://prometheus.io/docs/prometheus/latest/querying/api/#range-queries>

use std::future::Future;
use std::pin::Pin;
use std::time::Duration;

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use super::exposition::SeriesParts;
use super::fetch::{Failed, fetch, refused};
use super::http::{Client, HttpSettings};
use super::matrix::{Line, Matrix, Pages, Range, matrix};
use crate::clock::wall_clock;
use crate::engine::Input;
use crate::ingest::{Feed, Source};
use crate::metrics::{ByReason, BySource};
use crate::model::{Batch, Reach, Sample, SeriesId, Span, Timestamp, template};

/// An answer longer than this is not read; the next question is for less.
const ANSWER_MAX: usize = 64 << 20;

/// Questions that one query may ask in a row to catch up, before the others have their turn.
const CATCH_UP_MAX: u32 = 20;

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
    /// How far back the first question goes. What it brings sets values, and is no sign of life.
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

impl Source for QuerySource {
    fn name(&self) -> &str {
        &self.settings.name
    }

    fn run(self: Box<Self>, feed: Feed) -> Pin<Box<dyn Future<Output = ()> + Send>> {
        Box::pin(async move {
            let settings = self.settings;
            let client = Client::new(&settings.http, settings.timeout.0);
            let step = Duration::from_millis(settings.interval.0.as_millis().try_into().unwrap_or(u64::MAX));
            let step = step.max(Duration::from_secs(1));
            let now = wall_clock();
            let mut askers: Vec<Asker> = settings
                .queries
                .iter()
                .map(|query| Asker {
                    client: client.clone(),
                    settings: settings.clone(),
                    query: query.clone(),
                    pages: Pages::new(step, now, settings.backfill.0),
                    feed: feed.clone(),
                    trouble: String::new(),
                    doubt: String::new(),
                })
                .collect();
            let mut due = tokio::time::interval(step);
            due.set_missed_tick_behavior(tokio::time::MissedTickBehavior::Skip);
            loop {
                tokio::select! {
                    () = feed.stop.cancelled() => return,
                    _ = due.tick() => {}
                }
                for asker in &mut askers {
                    tokio::select! {
                        () = feed.stop.cancelled() => return,
                        () = asker.catch_up() => {}
                    }
                }
            }
        })
    }
}

/// One query between its questions.
struct Asker {
    client: Client,
    settings: QuerySettings,
    query: Query,
    pages: Pages,
    feed: Feed,
    /// What was wrong with the last answer; empty if nothing.
    trouble: String,
    /// What was doubtful about the last answer's series.
    doubt: String,
}

impl Asker {
    /// Asks until now, or until something is wrong.
    async fn catch_up(&mut self) {
        for _ in 0..CATCH_UP_MAX {
            let Some(range) = self.pages.next(wall_clock()) else {
                return;
            };
            if !self.ask(range).await {
                return;
            }
        }
    }

    async fn ask(&mut self, range: Range) -> bool {
        let at = wall_clock();
        let answered = self.answer(range).await;
        let seen = wall_clock();
        let label = BySource {
            source: self.settings.name.clone(),
        };
        let metrics = self.feed.metrics.clone();
        metrics.messages.get_or_create(&label).inc();
        let mut batch = Batch::default();
        let (reach, good) = match answered {
            Ok(series) => {
                self.trouble.clear();
                self.take(range, &series, seen, &mut batch);
                metrics.samples.get_or_create(&label).inc_by(batch.samples.len() as u64);
                let took = Duration::from_micros(u64::try_from(seen.since(at).as_micros()).unwrap_or(0));
                (Some(Reach::Good { took: Span(took) }), true)
            }
            Err(failed) => {
                if self.trouble != failed.error {
                    tracing::warn!(source = %self.settings.name, expr = %self.query.expr, error = %failed.error, "a query failed");
                    self.trouble.clone_from(&failed.error);
                }
                self.pages.failed();
                self.count("query", 1);
                (failed.reach, false)
            }
        };
        metrics.source_up.get_or_create(&label).set(i64::from(good));
        let told = reach.map(|reach| self.feed.scraped(&self.settings.name, reach, at, seen));
        batch.events.extend(told);
        let _ = self.feed.inbox.send(Input::Batch(batch)).await;
        good
    }

    async fn answer(&self, range: Range) -> Result<Vec<Matrix>, Failed> {
        let url = format!("{}/api/v1/query_range", self.settings.url.trim_end_matches('/'));
        let seconds = |ms: i64| format!("{}.{:03}", ms.div_euclid(1000), ms.rem_euclid(1000));
        let parameters = [
            ("query", self.query.expr.clone()),
            ("start", seconds(range.start)),
            ("end", seconds(range.end)),
            ("step", seconds(range.step)),
        ];
        let answer = fetch(&self.client, &url, ANSWER_MAX, |request| request.query(&parameters)).await?;
        matrix(&answer.body).map_err(|error| {
            if answer.status.is_success() {
                return Failed::odd("query", error);
            }
            // Prometheus tells in the body what it did not like; a proxy before it does not.
            let failed = refused(answer.status);
            let error = format!("{}: {error}", failed.error);
            Failed { error, ..failed }
        })
    }

    fn take(&mut self, range: Range, answer: &[Matrix], seen: Timestamp, batch: &mut Batch) {
        let mut lines = Vec::with_capacity(answer.len());
        let mut doubt = String::new();
        let mut nameless = 0;
        for one in answer {
            match self.series(one) {
                Ok(series) => lines.push(Line { series, matrix: one }),
                Err(label) => {
                    doubt = format!("a series lacks the label '{label}' that names its entity");
                    nameless += 1;
                }
            }
        }
        let taken = self.pages.take(range, &lines, |series, at_ms, value| {
            let at = Timestamp::from_millis(at_ms);
            batch.samples.push(Sample {
                series,
                // What was long ago when it was asked for is no sign of life.
                retained: range.is_old(at_ms, seen),
                at,
                seen,
                value,
            });
        });
        if taken.duplicates > 0 {
            doubt = "series of one answer are one series here, the first counts: let `entity` or `signal` tell them apart, or aggregate".into();
        }
        if self.doubt != doubt {
            if !doubt.is_empty() {
                tracing::warn!(source = %self.settings.name, expr = %self.query.expr, "{doubt}");
            }
            self.doubt = doubt;
        }
        self.count("no_entity", nameless);
        self.count("duplicate_series", taken.duplicates);
        self.count("value", taken.bad);
    }

    /// The number of a series; `Err` is the label that it lacks.
    fn series(&self, one: &Matrix) -> Result<SeriesId, String> {
        let entity = template::fill(&self.query.entity, |name| one.metric.get(name).map(String::as_str))?;
        let signal = self.query.signal.clone().unwrap_or_else(|| {
            let mut labels = one.metric.clone();
            let name = labels.remove("__name__").unwrap_or_else(|| self.query.expr.clone());
            SeriesParts {
                name,
                labels: labels.into_iter().collect(),
            }
            .signal(&["instance", "job"])
        });
        Ok(self.feed.catalog.series(&entity, &signal))
    }

    fn count(&self, reason: &'static str, by: u64) {
        if by > 0 {
            let reason = ByReason {
                source: self.settings.name.clone(),
                reason,
            };
            self.feed.metrics.bad_input.get_or_create(&reason).inc_by(by);
        }
    }
}
