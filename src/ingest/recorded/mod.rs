//! Telemetry that others have recorded, made into inputs that can be replayed.
//!
//! In: dumps and logs of others, traces, tables. Out: batches in the order of their times, with ticks between them. Never: a line that cannot be read taken for a value; it is counted and told with its place.

mod metrics;
mod mosquitto;
#[cfg(feature = "parquet")]
mod parquet;
mod spans;
mod table;

use std::io::Read;
use std::path::Path;
use std::time::Duration;

use super::mqtt;
use super::push::{PushSettings, SeriesBook};
use crate::engine::Input;
use crate::ingest::mqtt::plain;
use crate::model::{Batch, Catalog, EntityKind, Event, Sample, Timestamp, TopologyChange};

/// Samples of one import.
const SAMPLES_MAX: usize = 100_000_000;

/// Bytes of one file after unpacking.
const BYTES_MAX: u64 = 8 << 30;

/// Lines that cannot be read of which the place is kept.
const TOLD_MAX: usize = 20;

/// After the last sample time goes on for so long, so that silence and holds come to their end.
pub const AFTER: Duration = Duration::from_secs(120);

/// How recorded telemetry is written.
#[derive(Debug, Clone, Copy, PartialEq, Eq, clap::ValueEnum)]
pub enum Format {
    /// Found out from the beginning of the file.
    Auto,
    /// `promtool tsdb dump`.
    TsdbDump,
    /// `OpenMetrics` or Prometheus text with times.
    Openmetrics,
    /// The answer of `/api/v1/query_range`.
    QueryRange,
    /// `/api/v1/export` of `VictoriaMetrics`.
    VictoriaMetrics,
    /// `mosquitto_sub -F %j`.
    Mosquitto,
    /// A table: a column a signal, or a row a value.
    Csv,
    /// The same as Apache Parquet; read by a binary that was built with `--features parquet`.
    Parquet,
    /// Traces as Jaeger's page saves them.
    Jaeger,
    /// Spans of Zipkin, version 2.
    Zipkin,
    /// Spans of OTLP in JSON, one request a line or one in all.
    OtlpTraces,
}

/// A file that cannot be imported.
#[derive(Debug, thiserror::Error)]
pub enum ImportError {
    /// The file.
    #[error("{path}: {error}")]
    File {
        /// Which.
        path: String,
        /// What is wrong.
        error: String,
    },
    /// Nothing in it.
    #[error("{path}: no value can be read in it{first}")]
    Nothing {
        /// Which.
        path: String,
        /// The first line that could not be read.
        first: String,
    },
    /// More than is read.
    #[error("more than {SAMPLES_MAX} samples; import less at a time")]
    TooMany,
}

/// What was read so far.
pub struct Recorded {
    /// Samples, in no order.
    pub samples: Vec<Sample>,
    /// Events, in no order.
    pub events: Vec<Event>,
    /// Lines or messages that could not be read.
    pub bad: u64,
    /// The first of them, with their places.
    pub told: Vec<String>,
    catalog: Catalog,
    book: SeriesBook,
    entity: Option<String>,
    mqtt: Option<mqtt::Settings>,
}

impl Recorded {
    /// Nothing yet. `entity` names whose a series is by its labels, or whose a table is; `mqtt` says how messages are read.
    pub fn new(catalog: &Catalog, entity: Option<&str>, mqtt: Option<&mqtt::Settings>) -> Self {
        let settings = PushSettings {
            entity: entity.unwrap_or("{instance}").to_owned(),
            ..PushSettings::default()
        };
        Self {
            samples: Vec::new(),
            events: Vec::new(),
            bad: 0,
            told: Vec::new(),
            catalog: catalog.clone(),
            book: SeriesBook::new(&settings),
            entity: entity.map(String::from),
            mqtt: mqtt.cloned(),
        }
    }

    /// Reads a file, gzipped or not; the format that it was taken for.
    pub fn read(&mut self, path: &Path, format: Format) -> Result<Format, ImportError> {
        let name = path.display().to_string();
        let wrong = |error: String| ImportError::File {
            path: name.clone(),
            error,
        };
        let file = std::fs::File::open(path).map_err(|error| wrong(error.to_string()))?;
        let mut text = Vec::new();
        if format == Format::Parquet || format == Format::Auto && path.extension().is_some_and(|end| end == "parquet") {
            let before = (self.samples.len(), self.bad);
            self.parquet(file, path).map_err(&wrong)?;
            return self.checked(before, 0, &name).map(|()| Format::Parquet);
        }
        let packed = path.extension().is_some_and(|end| end == "gz");
        let mut reader: Box<dyn Read> = if packed {
            Box::new(flate2::read::MultiGzDecoder::new(file))
        } else {
            Box::new(file)
        };
        let read = reader
            .by_ref()
            .take(BYTES_MAX + 1)
            .read_to_end(&mut text)
            .map_err(|error| wrong(error.to_string()))?;
        if read as u64 > BYTES_MAX {
            return Err(wrong(format!("more than {BYTES_MAX} bytes after unpacking")));
        }
        let text = String::from_utf8(text)
            .map_err(|error| wrong(format!("it is not UTF-8 at byte {}", error.utf8_error().valid_up_to())))?;
        let text = text.trim_start_matches('\u{feff}');
        let format = match format {
            Format::Auto => {
                guess(text).ok_or_else(|| wrong("its format cannot be told; name it with --format".into()))?
            }
            named => named,
        };
        let before = (self.samples.len(), self.events.len(), self.bad);
        let result = match format {
            Format::TsdbDump => {
                metrics::tsdb(self, text, &name);
                Ok(())
            }
            Format::Openmetrics => metrics::openmetrics(self, text),
            Format::QueryRange => metrics::query_range(self, text),
            Format::VictoriaMetrics => {
                metrics::victoria(self, text, &name);
                Ok(())
            }
            Format::Mosquitto => mosquitto::read(self, text, &name),
            Format::Csv => {
                let stem = path
                    .file_stem()
                    .map(|stem| stem.to_string_lossy().trim_end_matches(".csv").to_owned());
                table::read(self, text, &name, &stem.unwrap_or_default())
            }
            Format::Jaeger | Format::Zipkin | Format::OtlpTraces => spans::read(self, text, &name, format),
            Format::Auto | Format::Parquet => Err("its format cannot be told".into()),
        };
        result.map_err(&wrong)?;
        let events = self.events.len() - before.1;
        self.checked((before.0, before.2), events, &name).map(|()| format)
    }

    /// A file of which nothing could be read is an error, and so is more than can be held.
    fn checked(&self, before: (usize, u64), events: usize, name: &str) -> Result<(), ImportError> {
        if self.samples.len() > SAMPLES_MAX {
            return Err(ImportError::TooMany);
        }
        if self.samples.len() == before.0 && events == 0 {
            let first = self
                .told
                .first()
                .filter(|_| self.bad > before.1)
                .map_or_else(String::new, |told| format!("; {told}"));
            let path = name.to_owned();
            return Err(ImportError::Nothing { path, first });
        }
        Ok(())
    }

    #[cfg(feature = "parquet")]
    fn parquet(&mut self, file: std::fs::File, path: &Path) -> Result<(), String> {
        let stem = path.file_stem().map(|stem| stem.to_string_lossy().into_owned());
        parquet::read(self, file, &path.display().to_string(), &stem.unwrap_or_default())
    }

    #[cfg(not(feature = "parquet"))]
    #[allow(clippy::unused_self, reason = "the same call with and without the feature")]
    fn parquet(&mut self, _: std::fs::File, _: &Path) -> Result<(), String> {
        Err(
            "this binary reads no Parquet: build it with `cargo build --release --features parquet`, or export a CSV"
                .into(),
        )
    }

    fn bad(&mut self, place: &str, error: &str) {
        self.bad += 1;
        if self.told.len() < TOLD_MAX {
            self.told.push(format!("{place}: {error}"));
        }
    }

    /// Samples of a series by its labels.
    fn series(&mut self, labels: &[(&str, &str)], place: &str, values: impl Iterator<Item = (i64, f64)>) {
        let bytes: Vec<(&[u8], &[u8])> = labels
            .iter()
            .map(|(name, value)| (name.as_bytes(), value.as_bytes()))
            .collect();
        match self.book.get(&bytes, &self.catalog) {
            Ok(series) => self.samples.extend(values.map(|(millis, value)| {
                let at = Timestamp::from_millis(millis);
                Sample {
                    series,
                    retained: false,
                    at,
                    seen: at,
                    value,
                }
            })),
            Err(error) => self.bad(place, &error.to_string()),
        }
        self.meet();
    }

    /// Makes those known who were met; when is said later, by the first that is heard.
    fn meet(&mut self) {
        for newcomer in self.book.news.drain(..) {
            let entity = plain(&newcomer.entity, EntityKind::Service);
            let met = TopologyChange::Entity { entity };
            self.events.extend(newcomer.events(met, Timestamp::EPOCH));
        }
    }

    /// From the first time to the last, if there is any.
    pub fn span(&self) -> Option<(Timestamp, Timestamp)> {
        let times = || {
            self.samples.iter().map(|sample| sample.seen).chain(
                self.events
                    .iter()
                    .map(|event| event.seen)
                    .filter(|at| *at > Timestamp::EPOCH),
            )
        };
        Some((times().min()?, times().max()?))
    }

    /// Everything in the order of its arrival, with a tick at the end of each step of time.
    pub fn inputs(mut self, step: Duration, mut each: impl FnMut(Input)) {
        let Some((first, last)) = self.span() else { return };
        self.samples.sort_by_key(|sample| sample.seen);
        self.events.sort_by_key(|event| event.seen);
        let (mut samples, mut events) = (self.samples.into_iter().peekable(), self.events.into_iter().peekable());
        let step = step.max(Duration::from_millis(10));
        let end = last + AFTER;
        let mut now = first;
        while now <= end {
            let mut batch = Batch::default();
            while let Some(sample) = samples.next_if(|sample| sample.seen <= now) {
                batch.samples.push(sample);
            }
            while let Some(mut event) = events.next_if(|event| event.seen <= now) {
                if event.seen == Timestamp::EPOCH {
                    (event.at, event.seen) = (now, now);
                }
                batch.events.push(event);
            }
            if !batch.is_empty() {
                each(Input::Batch(batch));
            }
            each(Input::Tick(now));
            now = now + step;
        }
    }
}

/// The format that a text begins like.
fn guess(text: &str) -> Option<Format> {
    let line = text.lines().find(|line| !line.trim().is_empty())?.trim();
    if line.starts_with(['{', '[']) {
        if line.starts_with("{__name__=")
            || line.contains("=\"")
                && line
                    .rsplit_once("} ")
                    .is_some_and(|(_, rest)| rest.split(' ').count() == 2)
        {
            return Some(Format::TsdbDump);
        }
        let head = text
            .get(..text.len().min(4096))
            .or_else(|| text.get(..4093))
            .unwrap_or(line);
        return if line.contains("\"topic\"") && line.contains("\"payload") {
            Some(Format::Mosquitto)
        } else if let Some(format) = spans::guess(head) {
            Some(format)
        } else if head.contains("\"timestamps\"") || line.contains("\"timestamps\"") {
            Some(Format::VictoriaMetrics)
        } else if head.contains("\"resultType\"") || head.contains("\"metric\"") {
            Some(Format::QueryRange)
        } else {
            None
        };
    }
    if line.starts_with("# HELP") || line.starts_with("# TYPE") || line.starts_with("# UNIT") {
        return Some(Format::Openmetrics);
    }
    if line.contains([',', ';', '\t']) && !line.contains("=\"") {
        return Some(Format::Csv);
    }
    (line.split(' ').count() >= 2).then_some(Format::Openmetrics)
}

#[cfg(test)]
pub(super) mod tests {
    use super::*;

    pub(super) fn read(name: &str, text: &str, entity: Option<&str>) -> (Vec<String>, u64, Format) {
        let (dir, catalog) = (tempfile::tempdir().unwrap(), Catalog::new());
        let path = dir.path().join(name);
        std::fs::write(&path, text).unwrap();
        let mut recorded = Recorded::new(&catalog, entity, None);
        let format = recorded.read(&path, Format::Auto).unwrap();
        let (bad, mut said) = (recorded.bad, Vec::new());
        recorded.inputs(Duration::from_secs(1), |input| {
            if let Input::Batch(batch) = input {
                for sample in &batch.samples {
                    let (entity, signal) = catalog.parts(sample.series).unwrap();
                    said.push(format!(
                        "{}/{}={}@{}",
                        catalog.entity_name(entity),
                        catalog.signal_name(signal),
                        sample.value,
                        sample.at.millis() - 1_767_225_600_000
                    ));
                }
            }
        });
        (said, bad, format)
    }

    #[test]
    fn each_format_is_told_by_its_beginning_and_read_in_the_order_of_time() {
        for (name, text, format, meant) in [
            (
                "a.txt",
                "{__name__=\"up\", instance=\"h:1\", q=\"a\\\"} b\"} 1 1767225602000\n{__name__=\"up\", instance=\"h:1\", q=\"a\\\"} b\"} 0 1767225601000\n",
                Format::TsdbDump,
                vec!["h:1/up{q=\"a\\\"} b\"}=0@1000", "h:1/up{q=\"a\\\"} b\"}=1@2000"],
            ),
            (
                "a.om",
                "# TYPE up gauge\nup{instance=\"h:1\"} 1 1767225601\nup{instance=\"h:1\"} 0 1767225602\n# EOF\n",
                Format::Openmetrics,
                vec!["h:1/up=1@1000", "h:1/up=0@2000"],
            ),
            (
                "a.json",
                r#"{"status":"success","data":{"resultType":"matrix","result":[{"metric":{"__name__":"up","instance":"h:1"},"values":[[1767225601,"1"],[1767225602.5,"NaN"]]}]}}"#,
                Format::QueryRange,
                vec!["h:1/up=1@1000", "h:1/up=NaN@2500"],
            ),
            (
                "a.jsonl",
                "{\"metric\":{\"__name__\":\"up\",\"instance\":\"h:1\"},\"values\":[1,0],\"timestamps\":[1767225601000,1767225602000]}\n",
                Format::VictoriaMetrics,
                vec!["h:1/up=1@1000", "h:1/up=0@2000"],
            ),
            (
                "a.log",
                "{\"tst\":\"2026-01-01T01:00:01.000000+0100\",\"topic\":\"house/attic/temp\",\"qos\":0,\"retain\":0,\"payloadlen\":4,\"payload\":\"19.5\"}\n",
                Format::Mosquitto,
                vec!["house/attic/temp=19.5@1000"],
            ),
            (
                "pump.csv",
                "time,temp,\"a \"\"b\"\"\"\n2026-01-01 00:00:01,1.5,2\n2026-01-01T00:00:02Z,,3\n",
                Format::Csv,
                vec!["pump/temp=1.5@1000", "pump/a \"b\"=2@1000", "pump/a \"b\"=3@2000"],
            ),
            (
                "l.csv",
                "timestamp;device;signal;value\n1767225601000;p1;temp;1.5\n1767225601000;p2;temp;ON\n",
                Format::Csv,
                vec!["p1/temp=1.5@1000", "p2/temp=1@1000"],
            ),
        ] {
            let (said, bad, told) = read(name, text, None);
            assert_eq!(
                (said, bad, told),
                (meant.iter().map(ToString::to_string).collect(), 0, format),
                "{name}"
            );
        }
    }

    #[test]
    fn what_cannot_be_read_is_counted_with_its_line_and_the_rest_counts() {
        let (said, bad, _) = read(
            "a.txt",
            "{__name__=\"up\", instance=\"h\"} 1 1767225601000\n{__name__=\"up\"} x 1767225601000\nnonsense\n",
            None,
        );
        assert_eq!((said.len(), bad), (1, 2));
        let (said, bad, _) = read(
            "a.csv",
            "time,temp\nsoon,1\n2026-01-01T00:00:02Z,warm\n2026-01-01T00:00:03Z,3\n",
            Some("boiler"),
        );
        assert_eq!((said, bad), (vec!["boiler/temp=3@3000".to_owned()], 2));
    }

    proptest::proptest! {
        #[test]
        fn no_text_makes_an_importer_panic(text in "[{}\\[\\]\",:= a-z0-9#\n.]{0,120}") {
            let catalog = Catalog::new();
            let mut recorded = Recorded::new(&catalog, None, None);
            metrics::tsdb(&mut recorded, &text, "f");
            let _ = metrics::openmetrics(&mut recorded, &text);
            let _ = metrics::query_range(&mut recorded, &text);
            metrics::victoria(&mut recorded, &text, "f");
            let _ = mosquitto::read(&mut recorded, &text, "f");
            let _ = table::read(&mut recorded, &text, "f", "f");
            let _ = guess(&text);
        }
    }
}
