//! Scraping: fetches, parses and hands on, each target at its own phase. What a scrape brings is decided upon when it arrives.

use std::collections::{BTreeMap, BTreeSet, HashSet};
use std::future::Future;
use std::hash::BuildHasher;
use std::pin::Pin;
use std::sync::Arc;
use std::time::Duration;

use bytes::BytesMut;
use tokio::time::Instant;
use tokio_util::sync::CancellationToken;

use super::claims::{Claim, Claims};
use super::exposition::{Format, SeriesParts, parse};
use super::fetch::{Failed, fetch, refused};
use super::http::Client;
use super::naming::{DROPPED, Native, OVER, number};
use super::native::{Discovery, ScrapeConfig};
use super::series::SeriesCache;
use super::settings::ScrapeSettings;
use super::targets::{Files, Resolved};
use crate::clock::wall_clock;
use crate::engine::Input;
use crate::ingest::{Feed, Source};
use crate::metrics::{ByReason, BySource};
use crate::model::sample::STALE_NAN;
use crate::model::{
    Batch, Entity, EntityName, Event, EventKind, Reach, Sample, SeriesId, Span, Timestamp, TopologyChange,
};

/// Files of targets are looked at this often.
const FILES_EVERY: Duration = Duration::from_secs(5);

/// What is asked for, best first.
const ACCEPT: &str = "application/openmetrics-text;version=1.0.0;q=0.8,text/plain;version=1.0.0;q=0.6,text/plain;version=0.0.4;q=0.5,*/*;q=0.1";

/// Who asks.
const AGENT: &str = concat!("jurymast/", env!("CARGO_PKG_VERSION"));

/// What every scrape says of itself.
const OWN: [&str; 5] = [
    "up",
    "scrape_duration_seconds",
    "scrape_samples_scraped",
    "scrape_samples_post_metric_relabeling",
    "scrape_series_added",
];

/// See the module.
pub struct ScrapeSource {
    settings: ScrapeSettings,
    native: Option<Arc<Native>>,
    claim: Claim,
}

impl ScrapeSource {
    /// A source of checked settings.
    pub fn new(settings: ScrapeSettings) -> Self {
        Self {
            settings,
            native: None,
            claim: Claims::default().of(0),
        }
    }

    /// A source of a checked scrape config of Prometheus.
    pub fn native(config: ScrapeConfig) -> Self {
        Self {
            settings: ScrapeSettings::of_native(&config),
            native: Some(Arc::new(Native {
                rules: config.rules().map(|(_, rules)| rules).unwrap_or_default(),
                config,
            })),
            claim: Claims::default().of(0),
        }
    }

    /// As the job at that place in the config, beside others that may scrape the same. What the config lists itself is claimed at once.
    #[must_use]
    pub fn beside(mut self, claims: &Claims, place: usize) -> Self {
        self.claim = claims.of(place);
        let listed: Vec<Resolved> = match &self.native {
            Some(native) => native.config.listed(),
            None => self.settings.resolved().collect(),
        };
        self.claim.take(listed.iter());
        self
    }
}

impl Source for ScrapeSource {
    fn name(&self) -> &str {
        &self.settings.job
    }

    fn run(self: Box<Self>, feed: Feed) -> Pin<Box<dyn Future<Output = ()> + Send>> {
        Box::pin(async move {
            let (settings, mut claim) = (self.settings, self.claim);
            let mut files = Files::new(&settings.file_sd);
            let mut discovery = self.native.as_ref().map(|native| Discovery::new(&native.config));
            let client = Client::new(&settings.http, settings.timeout.0);
            let mut told = Vec::new();
            let mut running: BTreeMap<Resolved, CancellationToken> = BTreeMap::new();
            loop {
                let (mut wanted, errors) = match &mut discovery {
                    Some(discovery) => discovery.targets().await,
                    None => {
                        let (listed, errors) = files.read(&settings.path);
                        (listed.into_iter().collect::<BTreeSet<Resolved>>(), errors)
                    }
                };
                for error in &errors {
                    if !told.contains(error) {
                        tracing::error!(job = %settings.job, %error, "a target file cannot be read");
                    }
                    let label = ByReason {
                        source: settings.job.clone(),
                        reason: "target_file",
                    };
                    feed.metrics.bad_input.get_or_create(&label).inc();
                }
                told = errors;
                wanted.extend(settings.resolved());
                let wanted = claim.settle(&settings.job, wanted);
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
                            Scraper::new(target.clone(), settings.clone(), self.native.clone(), feed.clone()),
                            client.clone(),
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

async fn scrape_again_and_again(mut scraper: Scraper, client: Client, stop: CancellationToken) {
    let interval = scraper.settings.interval.0.max(Duration::from_millis(10));
    // By its own name: a fleet's scrapes are spread over the interval, and each keeps its phase over restarts.
    let phase = foldhash::fast::FixedState::with_seed(1).hash_one(&scraper.target.url) % 1000;
    let phase = interval.mul_f64(phase as f64 / 1000.0);
    let mut due = tokio::time::interval_at(Instant::now() + phase, interval);
    due.set_missed_tick_behavior(tokio::time::MissedTickBehavior::Skip);
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

/// What a scrape says of itself, as far as it came.
#[derive(Default)]
struct Counts {
    found: usize,
    /// After the rules over series.
    kept: usize,
    /// Series that the scrape before did not have.
    added: usize,
}

/// One target between its scrapes.
struct Scraper {
    target: Resolved,
    settings: ScrapeSettings,
    native: Option<Arc<Native>>,
    feed: Feed,
    cache: SeriesCache,
    /// Series of the last good scrape, to tell which have ended.
    before: HashSet<SeriesId, foldhash::fast::FixedState>,
    /// What was wrong with the last scrape; empty if nothing.
    trouble: String,
}

impl Scraper {
    fn new(target: Resolved, settings: ScrapeSettings, native: Option<Arc<Native>>, feed: Feed) -> Self {
        Self {
            target,
            settings,
            native,
            feed,
            cache: SeriesCache::default(),
            before: HashSet::default(),
            trouble: String::new(),
        }
    }

    async fn introduce(&self) {
        let now = wall_clock();
        let name = EntityName::from(self.target.entity.as_str());
        // Rules find its series by these labels.
        let job = self.target.label("job").unwrap_or(&self.settings.job);
        let attributes = [
            ("address", self.target.instance.as_str()),
            ("instance", self.target.instance.as_str()),
            ("job", job),
        ];
        let attributes = attributes
            .map(|(name, value)| (name.to_owned(), value.to_owned()))
            .into();
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

    /// The series of what the scrape says of itself. It has the labels of the target, as all that is scraped from it.
    fn own_series(&self, signal: &str) -> SeriesId {
        let labels = self.target.labels.iter();
        let parts = SeriesParts {
            name: signal.to_owned(),
            labels: labels
                .filter(|(name, _)| name != "job" && name != "instance")
                .cloned()
                .collect(),
        };
        self.feed.catalog.series(&self.target.entity, &parts.signal(&[]))
    }

    async fn scrape(&mut self, client: &Client) {
        let (begin, at) = (Instant::now(), wall_clock());
        let mut batch = Batch::default();
        let fetched = self.fetch(client).await;
        let mut counts = Counts::default();
        let result = fetched.and_then(|(body, format)| self.read(&body, format, at, &mut batch, &mut counts));
        let took = begin.elapsed();
        let label = BySource {
            source: self.settings.job.clone(),
        };
        let (reach, up) = match result {
            Ok(()) => {
                self.trouble.clear();
                let took = Duration::from_micros(u64::try_from(took.as_micros()).unwrap_or(0));
                (Some(Reach::Good { took: Span(took) }), 1.0)
            }
            Err(failed) => {
                if self.trouble != failed.error {
                    tracing::warn!(job = %self.settings.job, target = %self.target.instance, error = %failed.error, "a scrape failed");
                    self.trouble.clone_from(&failed.error);
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
        let metrics = &self.feed.metrics;
        metrics.messages.get_or_create(&label).inc();
        metrics.samples.get_or_create(&label).inc_by(batch.samples.len() as u64);
        metrics.source_up.get_or_create(&label).set(i64::from(up > 0.5));
        let seen = wall_clock();
        let own = |signal: &str, value: f64| Sample {
            series: self.own_series(signal),
            retained: false,
            at,
            seen,
            value,
        };
        let counts = [counts.found, counts.kept, counts.added].map(|count| count as f64);
        let values = [up, took.as_secs_f64()].into_iter().chain(counts);
        for (signal, value) in OWN.into_iter().zip(values) {
            batch.samples.push(own(signal, value));
        }
        let told = reach.map(|reach| self.feed.scraped(self.target.entity.as_str(), reach, at, seen));
        batch.events.extend(told);
        let _ = self.feed.inbox.send(Input::Batch(batch)).await;
    }

    async fn fetch(&self, client: &Client) -> Result<(BytesMut, Format), Failed> {
        let limit = self.settings.body_size_limit;
        let timeout = client.timeout().as_secs_f64();
        // Exporters that probe others end in time if they know how long they may take.
        let headers = |request: reqwest::RequestBuilder| {
            request
                .header("Accept", ACCEPT)
                .header("User-Agent", AGENT)
                .header("X-Prometheus-Scrape-Timeout-Seconds", timeout.to_string())
        };
        let answer = fetch(client, &self.target.url, limit, headers).await?;
        if !answer.status.is_success() {
            return Err(refused(answer.status));
        }
        let open = answer.content_type.starts_with("application/openmetrics-text");
        let format = if open { Format::OpenMetrics } else { Format::Text };
        Ok((answer.body, format))
    }

    fn read(
        &mut self,
        body: &[u8],
        format: Format,
        at: Timestamp,
        batch: &mut Batch,
        counts: &mut Counts,
    ) -> Result<(), Failed> {
        let seen = wall_clock();
        let (target, settings, feed, native) = (&self.target, &self.settings, &self.feed, self.native.as_deref());
        let own_times = native.is_none_or(|native| native.config.honor_timestamps);
        self.cache.begin();
        let mut now_here: HashSet<SeriesId, foldhash::fast::FixedState> = HashSet::default();
        now_here.reserve(self.before.len());
        let (mut duplicates, mut found, mut dropped) = (0_u64, 0_usize, 0_usize);
        let (cache, samples, limit) = (&mut self.cache, &mut batch.samples, settings.sample_limit);
        let (mut named, mut over) = (BTreeMap::new(), false);
        let parsed = parse(body, format, |line| {
            found += 1;
            // Names beyond the limit are not even learned.
            if found - dropped > limit {
                return;
            }
            let series = cache.get(line.series, |parts| match native {
                Some(native) => native.number(parts, target, feed),
                None => number(&parts, target, settings, feed, &mut named),
            });
            if series == DROPPED {
                dropped += 1;
                return;
            }
            over |= series == OVER;
            // The first counts, as in Prometheus; unless each has a time of its own.
            let dated = own_times && line.at_ms.is_some();
            if !now_here.insert(series) && !dated {
                duplicates += 1;
                return;
            }
            let at = line.at_ms.filter(|_| own_times).map_or(at, Timestamp::from_millis);
            samples.push(Sample {
                series,
                retained: false,
                at,
                seen,
                value: line.value,
            });
        });
        self.cache.end();
        batch.events.extend(named.into_iter().map(|(entity, labels)| {
            let entity = EntityName::from(entity);
            Event {
                entity: entity.clone(),
                at,
                seen,
                kind: EventKind::Topology(TopologyChange::Labelled { entity, labels }),
            }
        }));
        let forgotten = self.cache.take_cleared();
        if forgotten > 0 {
            let bound = BySource {
                source: "scrape.series_cache".into(),
            };
            feed.metrics.bound_reached.get_or_create(&bound).inc_by(forgotten);
            tracing::warn!(job = %settings.job, target = %target.instance, "more series than are remembered: all are read anew");
        }
        (counts.found, counts.kept) = (found, found - dropped);
        parsed.map_err(|error| Failed::odd("exposition", error.to_string()))?;
        if over {
            let error = "the labels of a series are more or longer than label_limit, label_name_length_limit and \
                         label_value_length_limit allow";
            return Err(Failed::odd("label_limit", error.into()));
        }
        if found - dropped > limit {
            let error = format!("{found} samples, more than {limit} (sample_limit)");
            return Err(Failed::odd("sample_limit", error));
        }
        if duplicates > 0 {
            let label = ByReason {
                source: settings.job.clone(),
                reason: "duplicate_series",
            };
            feed.metrics.bad_input.get_or_create(&label).inc_by(duplicates);
        }
        let gone = self.before.difference(&now_here);
        batch.samples.extend(gone.map(|series| ended(*series, at, seen)));
        counts.added = now_here.difference(&self.before).count();
        self.before = now_here;
        Ok(())
    }

    fn end_series(&mut self, at: Timestamp, batch: &mut Batch) {
        let seen = wall_clock();
        batch
            .samples
            .extend(self.before.drain().map(|series| ended(series, at, seen)));
    }

    /// The target is no longer listed.
    async fn end(&mut self) {
        let mut batch = Batch::default();
        let at = wall_clock();
        self.end_series(at, &mut batch);
        for signal in OWN {
            let series = self.own_series(signal);
            batch.samples.push(ended(series, at, wall_clock()));
        }
        let _ = self.feed.inbox.send(Input::Batch(batch)).await;
    }
}

const fn ended(series: SeriesId, at: Timestamp, seen: Timestamp) -> Sample {
    Sample {
        series,
        retained: false,
        at,
        seen,
        value: STALE_NAN,
    }
}
