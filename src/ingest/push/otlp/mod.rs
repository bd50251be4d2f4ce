//! OTLP metrics over HTTP, in protobuf and in JSON, named as Prometheus names them.
//!
//! <https://opentelemetry.io/docs/specs/otlp/#otlphttp>, <https://opentelemetry.io/docs/specs/otel/compatibility/prometheus_and_openmetrics/>. Sums and histograms
//! that tell only what is new since the last time, and exponential histograms, are refused by count.

mod message;
pub mod spans;

use prost::Message;

use super::series::SeriesBook;
use crate::model::sample::STALE_NAN;
use crate::model::{Catalog, Sample, SeriesId, Timestamp};
use message::{Export, HistogramPoint, KeyValue, Metric, Resource};

/// What is new since the last time, and no running total.
const DELTA: i32 = 1;

/// The flag of a point that has no value.
const NO_VALUE: u32 = 1;

/// What came of reading.
#[derive(Debug, Default, PartialEq)]
pub struct Reading {
    /// Points taken.
    pub points: usize,
    /// Points refused.
    pub refused: usize,
    /// Why the first of them were.
    pub error: Option<String>,
}

/// A name as Prometheus writes it.
fn plain(name: &str) -> String {
    let mut plain: String = name
        .chars()
        .map(|c| {
            if c.is_ascii_alphanumeric() || c == '_' || c == ':' {
                c
            } else {
                '_'
            }
        })
        .collect();
    if plain.starts_with(|c: char| c.is_ascii_digit()) {
        plain.insert(0, '_');
    }
    plain
}

/// The unit as a word behind the name.
fn unit(unit: &str) -> Option<String> {
    let word = |unit: &str| {
        match unit {
            "d" => "days",
            "h" => "hours",
            "min" => "minutes",
            "s" => "seconds",
            "ms" => "milliseconds",
            "us" => "microseconds",
            "ns" => "nanoseconds",
            "By" => "bytes",
            "KiBy" => "kibibytes",
            "MiBy" => "mebibytes",
            "GiBy" => "gibibytes",
            "KBy" => "kilobytes",
            "MBy" => "megabytes",
            "GBy" => "gigabytes",
            "m" => "meters",
            "V" => "volts",
            "A" => "amperes",
            "J" => "joules",
            "W" => "watts",
            "g" => "grams",
            "Cel" => "celsius",
            "Hz" => "hertz",
            "%" => "percent",
            _ => "",
        }
        .to_owned()
    };
    if unit.contains('{') || unit.is_empty() || unit == "1" {
        return None;
    }
    match unit.split_once('/') {
        Some((of, per)) => {
            let per = match per {
                "s" => "second",
                "m" => "minute",
                "min" => "minute",
                "h" => "hour",
                "d" => "day",
                other => other,
            };
            Some(format!(
                "{}_per_{}",
                Some(word(of))
                    .filter(|word| !word.is_empty())
                    .unwrap_or_else(|| plain(of)),
                plain(per)
            ))
        }
        None => Some(
            Some(word(unit))
                .filter(|word| !word.is_empty())
                .unwrap_or_else(|| plain(unit)),
        ),
    }
}

fn name(metric: &Metric) -> String {
    let mut name = plain(&metric.name);
    let monotonic = metric.sum.as_ref().is_some_and(|sum| sum.is_monotonic);
    if monotonic && name.ends_with("_total") {
        name.truncate(name.len() - "_total".len());
    }
    if let Some(unit) = unit(&metric.unit).filter(|unit| !name.ends_with(unit.as_str())) {
        name = format!("{name}_{unit}");
    } else if metric.unit == "1" && metric.gauge.is_some() && !name.ends_with("_ratio") {
        name += "_ratio";
    }
    if monotonic { format!("{name}_total") } else { name }
}

type Labels = Vec<(String, String)>;

fn labels(attributes: &[KeyValue]) -> Labels {
    let value = |value: &message::AnyValue| {
        let text = value.string_value.clone();
        text.or_else(|| value.bool_value.map(|on| on.to_string()))
            .or_else(|| value.int_value.map(|number| number.to_string()))
            .or_else(|| value.double_value.map(|number| number.to_string()))
    };
    attributes
        .iter()
        .filter_map(|one| Some((plain(&one.key), value(one.value.as_ref()?)?)))
        .collect()
}

/// Who it is, in Prometheus' words.
fn identity(resource: Option<&Resource>) -> Labels {
    let attributes = resource
        .map(|resource| resource.attributes.as_slice())
        .unwrap_or_default();
    let text = |key: &str| {
        attributes
            .iter()
            .find(|one| one.key == key)?
            .value
            .as_ref()?
            .string_value
            .clone()
            .filter(|text| !text.is_empty())
    };
    let job = match (text("service.namespace"), text("service.name")) {
        (Some(space), Some(name)) => Some(format!("{space}/{name}")),
        (_, name) => name,
    };
    let instance = text("service.instance.id")
        .or_else(|| text("host.name"))
        .or_else(|| text("device.id"));
    job.map(|job| ("job".to_owned(), job))
        .into_iter()
        .chain(instance.map(|id| ("instance".to_owned(), id)))
        .collect()
}

struct Taking<'a> {
    book: &'a mut SeriesBook,
    catalog: &'a Catalog,
    seen: Timestamp,
    out: &'a mut Vec<Sample>,
    reading: Reading,
    who: Labels,
}

impl Taking<'_> {
    fn refuse(&mut self, count: usize, why: impl FnOnce() -> String) {
        self.reading.refused += count;
        if count > 0 {
            self.reading.error.get_or_insert_with(why);
        }
    }

    fn series(&mut self, name: &str, own: &Labels, more: &[(&str, String)]) -> Result<SeriesId, String> {
        let mut all: Vec<(&[u8], &[u8])> = vec![(b"__name__", name.as_bytes())];
        // What the resource is called stands above what a point says of itself.
        let own = own
            .iter()
            .filter(|(key, _)| !self.who.iter().any(|(known, _)| known == key));
        all.extend(
            own.chain(&self.who)
                .map(|(key, value)| (key.as_bytes(), value.as_bytes())),
        );
        all.extend(more.iter().map(|(key, value)| (key.as_bytes(), value.as_bytes())));
        self.book.get(&all, self.catalog).map_err(|error| error.to_string())
    }

    /// The samples of one point: all of them, or none.
    fn point(&mut self, nanos: u64, flags: u32, parts: Vec<(String, &Labels, Vec<(&str, String)>, f64)>) {
        let at = match i64::try_from(nanos) {
            Ok(0) => self.seen,
            Ok(nanos) => Timestamp::from_nanos(nanos),
            Err(_) => return self.refuse(1, || format!("{nanos} ns is no time")),
        };
        let mut samples = Vec::with_capacity(parts.len());
        for (name, own, more, value) in parts {
            match self.series(&name, own, &more) {
                Ok(series) => samples.push(Sample {
                    series,
                    retained: false,
                    at,
                    seen: self.seen,
                    value: if flags & NO_VALUE == 0 { value } else { STALE_NAN },
                }),
                Err(error) => return self.refuse(1, || error),
            }
        }
        self.out.append(&mut samples);
        self.reading.points += 1;
    }

    fn metric(&mut self, metric: &Metric) {
        let name = name(metric);
        if name.is_empty() {
            return self.refuse(1, || "a metric without a name".into());
        }
        for numbers in [&metric.gauge, &metric.sum].into_iter().flatten() {
            if numbers.aggregation_temporality == DELTA {
                self.refuse(numbers.data_points.len(), || delta(&name));
                continue;
            }
            for point in &numbers.data_points {
                let own = labels(&point.attributes);
                let value = point.as_double.or_else(|| point.as_int.map(|whole| whole as f64));
                match value.or((point.flags & NO_VALUE != 0).then_some(0.0)) {
                    Some(value) => self.point(
                        point.time_unix_nano,
                        point.flags,
                        vec![(name.clone(), &own, Vec::new(), value)],
                    ),
                    None => self.refuse(1, || format!("a point of {name} without a value")),
                }
            }
        }
        if let Some(histogram) = &metric.histogram {
            if histogram.aggregation_temporality == DELTA {
                self.refuse(histogram.data_points.len(), || delta(&name));
            } else {
                histogram
                    .data_points
                    .iter()
                    .for_each(|point| self.histogram(&name, point));
            }
        }
        if let Some(points) = &metric.exponential_histogram {
            self.refuse(points.data_points.len(), || {
                format!("{name} is an exponential histogram; send explicit buckets")
            });
        }
        for point in metric.summary.iter().flat_map(|summary| &summary.data_points) {
            let own = labels(&point.attributes);
            let mut parts = vec![
                (format!("{name}_count"), &own, Vec::new(), point.count as f64),
                (format!("{name}_sum"), &own, Vec::new(), point.sum),
            ];
            parts.extend(point.quantile_values.iter().map(|one| {
                (
                    name.clone(),
                    &own,
                    vec![("quantile", one.quantile.to_string())],
                    one.value,
                )
            }));
            self.point(point.time_unix_nano, point.flags, parts);
        }
    }

    fn histogram(&mut self, name: &str, point: &HistogramPoint) {
        let own = labels(&point.attributes);
        if !point.bucket_counts.is_empty() && point.bucket_counts.len() != point.explicit_bounds.len() + 1 {
            return self.refuse(1, || format!("{name}: one bucket more than bounds is due"));
        }
        let mut parts = vec![(format!("{name}_count"), &own, Vec::new(), point.count as f64)];
        parts.extend(point.sum.map(|sum| (format!("{name}_sum"), &own, Vec::new(), sum)));
        let mut total = 0_u64;
        for (count, bound) in point.bucket_counts.iter().zip(&point.explicit_bounds) {
            total = total.saturating_add(*count);
            parts.push((
                format!("{name}_bucket"),
                &own,
                vec![("le", bound.to_string())],
                total as f64,
            ));
        }
        parts.push((
            format!("{name}_bucket"),
            &own,
            vec![("le", "+Inf".to_owned())],
            point.count as f64,
        ));
        self.point(point.time_unix_nano, point.flags, parts);
    }
}

fn delta(name: &str) -> String {
    format!("{name} tells only what is new since the last time; set the exporter's temporality to cumulative")
}

/// Reads a request. `Err` is a sentence for the sender.
pub fn read(
    body: &[u8],
    json: bool,
    seen: Timestamp,
    book: &mut SeriesBook,
    catalog: &Catalog,
    out: &mut Vec<Sample>,
) -> Result<Reading, String> {
    let export = if json {
        serde_json::from_slice(body).map_err(|error| format!("it is not JSON of OTLP: {error}"))?
    } else {
        Export::decode(body).map_err(|error| format!("it is not protobuf of OTLP: {error}"))?
    };
    let mut taking = Taking {
        book,
        catalog,
        seen,
        out,
        reading: Reading::default(),
        who: Labels::new(),
    };
    for resource in &export.resource_metrics {
        taking.who = identity(resource.resource.as_ref());
        resource
            .scope_metrics
            .iter()
            .flat_map(|scope| &scope.metrics)
            .for_each(|metric| taking.metric(metric));
    }
    Ok(taking.reading)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::ingest::push::settings::PushSettings;

    fn read_it(body: &[u8], json: bool) -> (Reading, Vec<String>) {
        let (catalog, mut out) = (Catalog::new(), Vec::new());
        let mut book = SeriesBook::new(&PushSettings::default());
        let reading = read(body, json, Timestamp::from_millis(9), &mut book, &catalog, &mut out).unwrap();
        let word = |sample: &Sample| {
            let (entity, signal) = catalog.parts(sample.series).unwrap();
            format!(
                "{}/{}={}",
                catalog.entity_name(entity),
                catalog.signal_name(signal),
                sample.value
            )
        };
        (reading, out.iter().map(word).collect())
    }

    const JSON: &str = r#"{"resourceMetrics":[{"resource":{"attributes":[{"key":"service.name","value":{"stringValue":"shop"}},{"key":"service.instance.id","value":{"stringValue":"i1"}}]},
      "scopeMetrics":[{"metrics":[
        {"name":"http.requests","unit":"1","sum":{"aggregationTemporality":2,"isMonotonic":true,"dataPoints":[{"attributes":[{"key":"code","value":{"intValue":"200"}}],"timeUnixNano":"1767225600000000000","asInt":"7"}]}},
        {"name":"latency","unit":"ms","histogram":{"aggregationTemporality":2,"dataPoints":[{"timeUnixNano":"1767225600000000000","count":"3","sum":5.5,"bucketCounts":["1","2","0"],"explicitBounds":[1,5]}]}},
        {"name":"delta","sum":{"aggregationTemporality":1,"dataPoints":[{"asDouble":1}]}},
        {"name":"temp","gauge":{"dataPoints":[{"asDouble":21.5}]}}]}]}]}"#;

    #[test]
    fn metrics_are_named_as_prometheus_names_them_and_deltas_are_refused() {
        let (reading, said) = read_it(JSON.as_bytes(), true);
        assert_eq!(
            said,
            [
                "i1/http_requests_total{code=\"200\",job=\"shop\"}=7",
                "i1/latency_milliseconds_count{job=\"shop\"}=3",
                "i1/latency_milliseconds_sum{job=\"shop\"}=5.5",
                "i1/latency_milliseconds_bucket{job=\"shop\",le=\"1\"}=1",
                "i1/latency_milliseconds_bucket{job=\"shop\",le=\"5\"}=3",
                "i1/latency_milliseconds_bucket{job=\"shop\",le=\"+Inf\"}=3",
                "i1/temp{job=\"shop\"}=21.5",
            ]
        );
        assert_eq!((reading.points, reading.refused), (3, 1));
    }

    #[test]
    fn protobuf_says_the_same_as_json() {
        let export: Export = serde_json::from_str(JSON).unwrap();
        assert_eq!(read_it(&export.encode_to_vec(), false), read_it(JSON.as_bytes(), true));
    }
}
