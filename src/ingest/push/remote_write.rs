//! Prometheus' remote write, versions 1 and 2, from protobuf to samples.
//!
//! <https://prometheus.io/docs/specs/prw/remote_write_spec/>, <https://prometheus.io/docs/specs/prw/remote_write_spec_2_0/>. Native histograms and exemplars are
//! counted and not taken.

use super::protobuf::{Fields, Wire, WireError};
use super::series::{LabelError, SeriesBook};
use crate::model::{Catalog, Sample, SeriesId, Timestamp};

/// Labels of one series.
const LABELS_MAX: usize = 256;

/// Errors of one request that the sender is told of.
const TOLD_MAX: usize = 5;

/// Which message is sent.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Version {
    /// `prometheus.WriteRequest`.
    V1,
    /// `io.prometheus.write.v2.Request`.
    V2,
}

/// What came of reading a request.
#[derive(Debug, Default, PartialEq)]
pub struct Reading {
    /// Samples taken.
    pub samples: usize,
    /// Samples of series that were refused.
    pub refused: usize,
    /// Native histograms, which are not taken.
    pub histograms: usize,
    /// Exemplars, which are not taken.
    pub exemplars: usize,
    /// Why the first of the refused were.
    pub errors: Vec<String>,
}

impl Reading {
    fn refuse(&mut self, samples: usize, error: String) {
        self.refused += samples;
        if self.errors.len() < TOLD_MAX && !self.errors.contains(&error) {
            self.errors.push(error);
        }
    }
}

/// Field numbers of one version's series.
struct Numbers {
    samples: u64,
    exemplars: u64,
    histograms: u64,
}

const V1: Numbers = Numbers {
    samples: 2,
    exemplars: 3,
    histograms: 4,
};
const V2: Numbers = Numbers {
    samples: 2,
    exemplars: 4,
    histograms: 3,
};

/// Adds the samples of a request to `out`. On an error of the wire format nothing of it counts.
pub fn read(
    body: &[u8],
    version: Version,
    seen: Timestamp,
    book: &mut SeriesBook,
    catalog: &Catalog,
    out: &mut Vec<Sample>,
) -> Result<Reading, WireError> {
    let before = out.len();
    let mut reading = Reading::default();
    let result = match version {
        Version::V1 => read_v1(body, seen, book, catalog, out, &mut reading),
        Version::V2 => read_v2(body, seen, book, catalog, out, &mut reading),
    };
    if let Err(error) = result {
        out.truncate(before);
        return Err(error);
    }
    Ok(reading)
}

fn read_v1(
    body: &[u8],
    seen: Timestamp,
    book: &mut SeriesBook,
    catalog: &Catalog,
    out: &mut Vec<Sample>,
    reading: &mut Reading,
) -> Result<(), WireError> {
    let mut labels: Vec<(&[u8], &[u8])> = Vec::with_capacity(32);
    let mut request = Fields::new(body);
    while let Some((number, wire)) = request.next()? {
        // The rest is metadata, which is not needed.
        if number != 1 {
            continue;
        }
        let series = wire.bytes()?;
        let (written, rest) = labels_first(series)?;
        let id = match written {
            Some(written) => {
                let labels = &mut labels;
                book.get_written(written, catalog, move || {
                    read_labels(series, labels)?;
                    Ok(&labels[..])
                })?
            }
            None => {
                read_labels(series, &mut labels)?;
                book.get(&labels, catalog)
            }
        };
        of_series(id, rest, &V1, seen, out, reading)?;
    }
    Ok(())
}

/// The labels of a series as they are written, if they all come first as every sender has them; and what is behind them.
fn labels_first(series: &[u8]) -> Result<(Option<&[u8]>, &[u8]), WireError> {
    let mut fields = Fields::new(series);
    let mut rest = series;
    while let Some((1, _)) = fields.next()? {
        rest = fields.rest();
    }
    while let Some((number, _)) = fields.next()? {
        if number == 1 {
            return Ok((None, rest));
        }
    }
    Ok((series.get(..series.len() - rest.len()), rest))
}

fn read_labels<'a>(series: &'a [u8], labels: &mut Vec<(&'a [u8], &'a [u8])>) -> Result<(), WireError> {
    labels.clear();
    let mut fields = Fields::new(series);
    while let Some((number, wire)) = fields.next()? {
        if number == 1 {
            if labels.len() >= LABELS_MAX {
                return Err(WireError("a series with more than 256 labels"));
            }
            labels.push(label(wire.bytes()?)?);
        }
    }
    Ok(())
}

fn label(bytes: &[u8]) -> Result<(&[u8], &[u8]), WireError> {
    let (mut name, mut value): (&[u8], &[u8]) = (&[], &[]);
    let mut fields = Fields::new(bytes);
    while let Some((number, wire)) = fields.next()? {
        match number {
            1 => name = wire.bytes()?,
            2 => value = wire.bytes()?,
            _ => {}
        }
    }
    Ok((name, value))
}

fn read_v2(
    body: &[u8],
    seen: Timestamp,
    book: &mut SeriesBook,
    catalog: &Catalog,
    out: &mut Vec<Sample>,
    reading: &mut Reading,
) -> Result<(), WireError> {
    let mut symbols: Vec<&[u8]> = Vec::new();
    let mut request = Fields::new(body);
    while let Some((number, wire)) = request.next()? {
        if number == 4 {
            symbols.push(wire.bytes()?);
        }
    }
    if symbols.first().is_some_and(|first| !first.is_empty()) {
        return Err(WireError("the first symbol must be the empty string"));
    }
    let mut labels: Vec<(&[u8], &[u8])> = Vec::with_capacity(32);
    let mut request = Fields::new(body);
    while let Some((number, wire)) = request.next()? {
        if number != 5 {
            continue;
        }
        let series = wire.bytes()?;
        labels.clear();
        let mut name: Option<&[u8]> = None;
        let mut fields = Fields::new(series);
        while let Some((number, wire)) = fields.next()? {
            if number != 1 {
                continue;
            }
            let mut take = |reference: u64| {
                let symbol = usize::try_from(reference).ok().and_then(|place| symbols.get(place));
                let symbol = *symbol.ok_or(WireError("a label refers to a symbol that is not there"))?;
                match name.take() {
                    None => name = Some(symbol),
                    Some(_) if labels.len() >= LABELS_MAX => {
                        return Err(WireError("a series with more than 256 labels"));
                    }
                    Some(name) => labels.push((name, symbol)),
                }
                Ok(())
            };
            match wire {
                Wire::Bytes(packed) => {
                    let mut packed = Fields::new(packed);
                    while !packed.is_empty() {
                        take(packed.varint()?)?;
                    }
                }
                Wire::Varint(reference) => take(reference)?,
                _ => return Err(WireError("references of labels are varints")),
            }
        }
        if name.is_some() {
            return Err(WireError("a label without a value"));
        }
        of_series(book.get(&labels, catalog), series, &V2, seen, out, reading)?;
    }
    Ok(())
}

fn of_series(
    id: Result<SeriesId, LabelError>,
    series: &[u8],
    numbers: &Numbers,
    seen: Timestamp,
    out: &mut Vec<Sample>,
    reading: &mut Reading,
) -> Result<(), WireError> {
    let mut fields = Fields::new(series);
    let (mut samples, mut last) = (0, i64::MIN);
    let before = out.len();
    let mut disorder = false;
    while let Some((number, wire)) = fields.next()? {
        if number == numbers.samples {
            let (mut value, mut millis) = (0.0, 0_i64);
            let mut sample = Fields::new(wire.bytes()?);
            while let Some((number, wire)) = sample.next()? {
                match number {
                    1 => value = wire.double()?,
                    2 => millis = wire.int()?,
                    _ => {}
                }
            }
            samples += 1;
            disorder |= millis < last;
            last = millis;
            if let Ok(series) = id {
                // Beyond the times that we can say, and none that anybody means.
                if millis.unsigned_abs() > i64::MAX as u64 / 1_000_000 {
                    reading.refuse(1, format!("{millis} ms is no time"));
                    continue;
                }
                out.push(Sample {
                    series,
                    retained: false,
                    at: Timestamp::from_millis(millis),
                    seen,
                    value,
                });
            }
        } else if number == numbers.exemplars {
            reading.exemplars += 1;
        } else if number == numbers.histograms {
            reading.histograms += 1;
        }
    }
    match id {
        Err(error) => reading.refuse(samples, error.to_string()),
        Ok(_) if disorder => {
            // The sender must have them in order; what they mean otherwise nobody knows.
            out.truncate(before);
            reading.refuse(
                samples,
                "samples of one series are not in the order of their times".into(),
            );
        }
        Ok(_) => reading.samples += out.len() - before,
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::ingest::push::settings::PushSettings;

    fn field(number: u8, bytes: &[u8]) -> Vec<u8> {
        [&[number << 3 | 2, u8::try_from(bytes.len()).unwrap()][..], bytes].concat()
    }

    fn sample(value: f64, millis: u8) -> Vec<u8> {
        [&[0x09][..], &value.to_le_bytes(), &[0x10, millis]].concat()
    }

    fn v1(labels: &[(&str, &str)], samples: &[(f64, u8)]) -> Vec<u8> {
        let mut series = Vec::new();
        for (name, value) in labels {
            series.extend(field(
                1,
                &[field(1, name.as_bytes()), field(2, value.as_bytes())].concat(),
            ));
        }
        for (value, millis) in samples {
            series.extend(field(2, &sample(*value, *millis)));
        }
        field(1, &series)
    }

    fn read_it(body: &[u8], version: Version) -> (Result<Reading, WireError>, Vec<String>) {
        let (catalog, mut out) = (Catalog::new(), Vec::new());
        let mut book = SeriesBook::new(&PushSettings::default());
        let read = read(body, version, Timestamp::from_millis(9), &mut book, &catalog, &mut out);
        let word = |sample: &Sample| {
            let (entity, signal) = catalog.parts(sample.series).unwrap();
            format!(
                "{}/{}={}@{}",
                catalog.entity_name(entity),
                catalog.signal_name(signal),
                sample.value,
                sample.at.millis()
            )
        };
        (read, out.iter().map(word).collect())
    }

    #[test]
    fn good_series_count_and_bad_ones_beside_them_are_told() {
        let body = [
            v1(&[("__name__", "up"), ("instance", "h:1")], &[(1.0, 1), (0.0, 2)]),
            v1(&[("instance", "h:1")], &[(1.0, 1)]),
            v1(&[("__name__", "t"), ("instance", "h:1")], &[(1.0, 3), (1.0, 2)]),
        ]
        .concat();
        let (read, said) = read_it(&body, Version::V1);
        let read = read.unwrap();
        assert_eq!(said, ["h:1/up=1@1", "h:1/up=0@2"]);
        assert_eq!((read.samples, read.refused, read.errors.len()), (2, 3, 2));
    }

    #[test]
    fn labels_may_stand_anywhere_and_are_known_again() {
        let label =
            |name: &str, value: &str| field(1, &[field(1, name.as_bytes()), field(2, value.as_bytes())].concat());
        let (name, instance) = (label("__name__", "up"), label("instance", "h:1"));
        let value = |millis| field(2, &sample(1.0, millis));
        let body = [
            field(1, &[name.clone(), instance.clone(), value(1)].concat()),
            field(1, &[name.clone(), value(2), instance.clone()].concat()),
            field(1, &[instance.clone(), name.clone(), value(3)].concat()),
            field(1, &[value(4), instance, name].concat()),
        ]
        .concat();
        let twice = [&body[..], &body].concat();
        let (_, said) = read_it(&twice, Version::V1);
        let once = ["h:1/up=1@1", "h:1/up=1@2", "h:1/up=1@3", "h:1/up=1@4"];
        assert_eq!(said, [once, once].concat());
    }

    #[test]
    fn version_2_refers_to_its_symbols() {
        let symbols: Vec<u8> = ["", "__name__", "up", "job", "j"]
            .iter()
            .flat_map(|symbol| field(4, symbol.as_bytes()))
            .collect();
        let series = |references: &[u8]| {
            field(
                5,
                &[field(1, references), field(2, &sample(1.0, 5)), field(3, b"")].concat(),
            )
        };
        let (read, said) = read_it(&[symbols.clone(), series(&[1, 2, 3, 4])].concat(), Version::V2);
        assert_eq!(said, ["j/up=1@5"]);
        assert_eq!(read.unwrap().histograms, 1);
        for bad in [&[1_u8, 9][..], &[1, 2, 3]] {
            assert!(
                read_it(&[symbols.clone(), series(bad)].concat(), Version::V2)
                    .0
                    .is_err()
            );
        }
    }

    proptest::proptest! {
        #[test]
        fn no_bytes_make_it_panic(body in proptest::collection::vec(proptest::num::u8::ANY, 0..200), cut in 0..60_usize) {
            let good = v1(&[("__name__", "up"), ("instance", "h:1")], &[(1.0, 1)]);
            for body in [&body[..], good.get(..cut).unwrap_or(&good)] {
                for version in [Version::V1, Version::V2] {
                    let _ = read_it(body, version);
                }
            }
        }
    }
}
