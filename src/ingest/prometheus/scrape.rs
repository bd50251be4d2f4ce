//! Scraping: fetches, parses and hands on, each target at its own phase. What a scrape brings is decided upon when it arrives.

use std::collections::{BTreeMap, HashSet};
use std::future::Future;
use std::hash::BuildHasher;
use std::pin::Pin;
use std::time::Duration;

use bytes::BytesMut;
use tokio::time::Instant;
use tokio_util::sync::CancellationToken;

use super::exposition::{Format, SeriesParts, parse};
use super::http::Client;
use super::series::SeriesCache;
use super::settings::ScrapeSettings;
use super::targets::{Files, Resolved, Target, resolve};
use crate::clock::wall_clock;
use crate::engine::Input;
use crate::ingest::{Feed, Source};
use crate::metrics::{ByReason, BySource};
use crate::model::sample::STALE_NAN;
use crate::model::{
    Batch, Check, Entity, EntityName, Event, EventKind, Reach, Sample, SeriesId, Span, Timestamp, TopologyChange,
    template,
};

/// Files of targets are looked at this often.
const FILES_EVERY: Duration = Duration::from_secs(5);

/// What is asked for, best first.
const ACCEPT: &str = "application/openmetrics-text;version=1.0.0;q=0.8,text/plain;version=1.0.0;q=0.6,text/plain;version=0.0.4;q=0.5,*/*;q=0.1";

/// See the module.
pub struct ScrapeSource {
    settings: ScrapeSettings,
}

impl ScrapeSource {
    /// A source of checked settings.
    pub const fn new(settings: ScrapeSettings) -> Self {
        Self { settings }
    }
}

impl Source for ScrapeSource {
    fn name(&self) -> &str {
        &self.settings.job
    }

    fn run(self: Box<Self>, feed: Feed) -> Pin<Box<dyn Future<Output = ()> + Send>> {
        Box::pin(async move {
            let settings = self.settings;
            let mut files = Files::new(&settings.file_sd);
            let mut running: BTreeMap<Resolved, CancellationToken> = BTreeMap::new();
            loop {
                let (mut wanted, errors) = files.read(&settings.path);
                for error in errors {
                    tracing::error!(job = %settings.job, %error, "a target file cannot be read");
                    let label = ByReason {
                        source: settings.job.clone(),
                        reason: "target_file",
                    };
                    feed.metrics.bad_input.get_or_create(&label).inc();
                }
                wanted.extend(settings.targets.iter().map(|target| match target {
                    Target::Address(address) => resolve(address, None, &settings.path),
                    Target::Named { address, entity } => resolve(address, Some(entity), &settings.path),
                }));
                running.retain(|target, stop| {
                    let keep = wanted.contains(target);
                    if !keep {
                        stop.cancel();
                    }
                    keep
                });
                for target in wanted {
                    running.entry(target).or_insert_with_key(|target| {
                        let stop = feed.stop.child_token();
                        tokio::spawn(scrape_again_and_again(
                            target.clone(),
                            settings.clone(),
                            feed.clone(),
                            stop.clone(),
                        ));
                        stop
                    });
                }
                tokio::select! {
                    () = feed.stop.cancelled() => return,
                    () = tokio::time::sleep(FILES_EVERY) => {}
                }
            }
        })
    }
}

async fn scrape_again_and_again(target: Resolved, settings: ScrapeSettings, feed: Feed, stop: CancellationToken) {
    let client = match Client::new(&settings.http, settings.timeout.0) {
        Ok(client) => client,
        Err(error) => {
            tracing::error!(job = %settings.job, target = %target.url, %error, "cannot be scraped");
            return;
        }
    };
    let interval = settings.interval.0.max(Duration::from_millis(10));
    // By its own name: a fleet's scrapes are spread over the interval, and each keeps its phase over restarts.
    let phase = foldhash::fast::FixedState::with_seed(1).hash_one(&target.url) % 1000;
    let phase = interval.mul_f64(phase as f64 / 1000.0);
    let mut due = tokio::time::interval_at(Instant::now() + phase, interval);
    due.set_missed_tick_behavior(tokio::time::MissedTickBehavior::Skip);
    let mut scraper = Scraper::new(target, settings, feed);
    scraper.introduce().await;
    loop {
        tokio::select! {
            () = stop.cancelled() => break,
            _ = due.tick() => {}
        }
        scraper.scrape(&client).await;
    }
    scraper.end().await;
}

/// One target between its scrapes.
struct Scraper {
    target: Resolved,
    settings: ScrapeSettings,
    feed: Feed,
    cache: SeriesCache,
    /// Series of the last good scrape, to tell which have ended.
    before: HashSet<SeriesId, foldhash::fast::FixedState>,
    up: bool,
}

/// A scrape that failed.
struct Failed {
    reach: Reach,
    reason: &'static str,
    error: String,
}

impl Scraper {
    fn new(target: Resolved, settings: ScrapeSettings, feed: Feed) -> Self {
        Self {
            target,
            settings,
            feed,
            cache: SeriesCache::default(),
            before: HashSet::default(),
            up: true,
        }
    }

    async fn introduce(&self) {
        let now = wall_clock();
        let name = EntityName::from(self.target.entity.as_str());
        let attributes = [("address".to_owned(), self.target.instance.clone())].into();
        let entity = Entity {
            name: name.clone(),
            kind: self.settings.kind,
            period: None,
            group: None,
            attributes,
        };
        let kind = EventKind::Topology(TopologyChange::Entity { entity });
        let event = Event {
            entity: name,
            at: now,
            seen: now,
            kind,
        };
        let _ = self.feed.inbox.send(Input::Event(event)).await;
    }

    async fn scrape(&mut self, client: &Client) {
        let (begin, at) = (Instant::now(), wall_clock());
        let mut batch = Batch::default();
        let fetched = self.fetch(client).await;
        let result = fetched.and_then(|(body, format)| self.read(&body, format, at, &mut batch));
        let took = begin.elapsed();
        let label = BySource {
            source: self.settings.job.clone(),
        };
        let (reach, up) = match result {
            Ok(()) => (
                Reach::Good {
                    took: Span(Duration::from_micros(u64::try_from(took.as_micros()).unwrap_or(0))),
                },
                1.0,
            ),
            Err(failed) => {
                if self.up {
                    tracing::warn!(job = %self.settings.job, target = %self.target.url, error = %failed.error, "a scrape failed");
                }
                let reason = ByReason {
                    source: self.settings.job.clone(),
                    reason: failed.reason,
                };
                self.feed.metrics.bad_input.get_or_create(&reason).inc();
                batch.samples.clear();
                self.end_series(at, &mut batch);
                (failed.reach, 0.0)
            }
        };
        self.up = up > 0.5;
        let scraped = batch.samples.len();
        let metrics = &self.feed.metrics;
        metrics.messages.get_or_create(&label).inc();
        metrics.samples.get_or_create(&label).inc_by(scraped as u64);
        metrics.source_up.get_or_create(&label).set(i64::from(self.up));
        let seen = wall_clock();
        let own = |signal: &str, value: f64| Sample {
            series: self.feed.catalog.series(&self.target.entity, signal),
            retained: false,
            at,
            seen,
            value,
        };
        batch.samples.push(own("up", up));
        batch.samples.push(own("scrape_duration_seconds", took.as_secs_f64()));
        batch.samples.push(own(
            "scrape_samples_scraped",
            if self.up { scraped as f64 } else { 0.0 },
        ));
        batch.events.push(Event {
            entity: self.target.entity.as_str().into(),
            at,
            seen,
            kind: EventKind::Reach {
                vantage: self.feed.agent.clone(),
                check: Check::Scrape,
                reach,
                asked: None,
            },
        });
        let _ = self.feed.inbox.send(Input::Batch(batch)).await;
    }

    async fn fetch(&self, client: &Client) -> Result<(BytesMut, Format), Failed> {
        let request = client.get(&self.target.url).header("Accept", ACCEPT);
        let mut answer = request.send().await.map_err(|error| unreached(&error))?;
        let status = answer.status();
        if !status.is_success() {
            let detail = format!("HTTP {status}");
            let reach = if status.is_server_error() {
                Reach::Failing { detail }
            } else {
                Reach::Odd { detail }
            };
            return Err(Failed {
                reach,
                reason: "status",
                error: format!("it answers {status}"),
            });
        }
        let content_type = answer
            .headers()
            .get("content-type")
            .and_then(|v| v.to_str().ok())
            .unwrap_or_default();
        let open = content_type.starts_with("application/openmetrics-text");
        let format = if open { Format::OpenMetrics } else { Format::Text };
        let mut body = BytesMut::new();
        while let Some(chunk) = answer.chunk().await.map_err(|error| unreached(&error))? {
            if body.len() + chunk.len() > self.settings.body_size_limit {
                let error = format!("more than {} bytes (body_size_limit)", self.settings.body_size_limit);
                return Err(Failed {
                    reach: Reach::Odd { detail: error.clone() },
                    reason: "too_long",
                    error,
                });
            }
            body.extend_from_slice(&chunk);
        }
        Ok((body, format))
    }

    fn read(&mut self, body: &[u8], format: Format, at: Timestamp, batch: &mut Batch) -> Result<(), Failed> {
        let seen = wall_clock();
        let (target, settings, feed) = (&self.target, &self.settings, &self.feed);
        self.cache.begin();
        let mut now_here: HashSet<SeriesId, foldhash::fast::FixedState> = HashSet::default();
        now_here.reserve(self.before.len());
        let mut duplicates = 0_u64;
        let (cache, samples) = (&mut self.cache, &mut batch.samples);
        let parsed = parse(body, format, |line| {
            let series = cache.get(line.series, |parts| number(&parts, target, settings, feed));
            // The first counts, as in Prometheus.
            if !now_here.insert(series) {
                duplicates += 1;
                return;
            }
            let at = line.at_ms.map_or(at, Timestamp::from_millis);
            samples.push(Sample {
                series,
                retained: false,
                at,
                seen,
                value: line.value,
            });
        });
        self.cache.end();
        let odd = |reason, error: String| Failed {
            reach: Reach::Odd { detail: error.clone() },
            reason,
            error,
        };
        parsed.map_err(|error| odd("exposition", error.to_string()))?;
        if batch.samples.len() > settings.sample_limit {
            let error = format!(
                "{} samples, more than {} (sample_limit)",
                batch.samples.len(),
                settings.sample_limit
            );
            return Err(odd("sample_limit", error));
        }
        if duplicates > 0 {
            let label = ByReason {
                source: settings.job.clone(),
                reason: "duplicate_series",
            };
            feed.metrics.bad_input.get_or_create(&label).inc_by(duplicates);
        }
        for ended in self.before.difference(&now_here) {
            batch.samples.push(Sample {
                series: *ended,
                retained: false,
                at,
                seen,
                value: STALE_NAN,
            });
        }
        self.before = now_here;
        Ok(())
    }

    fn end_series(&mut self, at: Timestamp, batch: &mut Batch) {
        let seen = wall_clock();
        for series in self.before.drain() {
            batch.samples.push(Sample {
                series,
                retained: false,
                at,
                seen,
                value: STALE_NAN,
            });
        }
    }

    /// The target is no longer listed.
    async fn end(&mut self) {
        let mut batch = Batch::default();
        self.end_series(wall_clock(), &mut batch);
        let _ = self.feed.inbox.send(Input::Batch(batch)).await;
    }
}

/// The number of a series that was never seen.
fn number(parts: &SeriesParts, target: &Resolved, settings: &ScrapeSettings, feed: &Feed) -> SeriesId {
    let filled = settings.entity.as_ref().and_then(|text| {
        let value = |name: &str| {
            parts
                .label(name)
                .or_else(|| (name == "instance").then_some(target.instance.as_str()))
        };
        Some((text, template::fill(text, value).ok()?))
    });
    match filled {
        Some((text, entity)) => {
            // Labels that name the entity need not be said twice.
            let names = parts.labels.iter().map(|(name, _)| name.as_str());
            let used: Vec<&str> = names.filter(|name| text.contains(&format!("{{{name}}}"))).collect();
            feed.catalog.series(&entity, &parts.signal(&used))
        }
        None => feed.catalog.series(&target.entity, &parts.signal(&[])),
    }
}

fn unreached(error: &reqwest::Error) -> Failed {
    use std::io::ErrorKind as K;

    let mut source = std::error::Error::source(error);
    let mut kind = None;
    while let Some(cause) = source {
        kind = kind.or_else(|| cause.downcast_ref::<std::io::Error>().map(std::io::Error::kind));
        source = cause.source();
    }
    let reach = match kind {
        Some(K::ConnectionRefused | K::ConnectionReset | K::UnexpectedEof | K::ConnectionAborted) => Reach::Refused,
        _ if error.is_timeout() && error.is_connect() => Reach::Unreachable,
        _ if error.is_timeout() => Reach::NoAnswer,
        _ if error.is_connect() => Reach::Unreachable,
        _ => Reach::Odd {
            detail: error.to_string(),
        },
    };
    Failed {
        reach,
        reason: "unreached",
        error: error.to_string(),
    }
}
