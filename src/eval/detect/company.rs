//! The other signals of a device, as company of the one that is watched.

use std::path::Path;

use crate::detect::multivariate::{CHANNELS_MAX, Company};
use crate::model::Timestamp;

use super::{EvalError, table};

/// All signals of a device, row by row.
pub struct Device {
    names: Vec<String>,
    /// In the order of their times.
    rows: Vec<(Timestamp, Vec<f64>)>,
}

/// The place of one signal among those of its device.
pub struct Seat<'a> {
    device: &'a Device,
    company: Company,
    /// Columns that take part; that of the signal itself comes first.
    columns: Vec<usize>,
    row: Vec<f64>,
    latest: Timestamp,
}

impl Device {
    /// Reads `timestamp` and a column a signal.
    pub fn read(path: &Path) -> Result<Self, EvalError> {
        let header = |fields: &[&str]| match fields {
            ["timestamp", names @ ..] if !names.is_empty() => Ok(Self {
                names: names.iter().map(|name| (*name).to_owned()).collect(),
                rows: Vec::new(),
            }),
            _ => Err("the header has to be timestamp and a column a signal".to_owned()),
        };
        let mut device = table::rows(path, ',', header, |device, fields| {
            let [time, values @ ..] = fields else {
                return Err("a time is expected".to_owned());
            };
            if values.len() != device.names.len() {
                return Err(format!(
                    "{} values where the header has {}",
                    values.len(),
                    device.names.len()
                ));
            }
            let values: Result<Vec<f64>, String> = values.iter().map(|value| table::number(value)).collect();
            device.rows.push((table::time(time)?, values?));
            Ok(())
        })?;
        device.rows.sort_by_key(|(at, _)| *at);
        Ok(device)
    }

    /// Of the signal of that name; nothing if there is none, or no other.
    pub fn seat(&self, signal: &str) -> Option<Seat<'_>> {
        let own = self.names.iter().position(|name| name == signal)?;
        let others = (0..self.names.len()).filter(|column| *column != own);
        let columns: Vec<usize> = std::iter::once(own).chain(others).take(CHANNELS_MAX).collect();
        Some(Seat {
            device: self,
            company: Company::new(columns.len()).ok()?,
            row: vec![f64::NAN; columns.len()],
            columns,
            latest: Timestamp::from_nanos(i64::MIN),
        })
    }
}

impl Seat<'_> {
    /// How far `value` of the signal stands alone among the others of its time, in alarms. Nothing while that is learned, of a
    /// sample that is not newer than those before it, and of a time at which the others said nothing.
    pub fn alone(&mut self, at: Timestamp, value: f64) -> Option<f32> {
        if at <= self.latest {
            return None;
        }
        let place = self.device.rows.binary_search_by_key(&at, |(at, _)| *at).ok()?;
        let (_, values) = self.device.rows.get(place)?;
        let secs = at.since(self.latest).as_secs_f32();
        let first = self.latest == Timestamp::from_nanos(i64::MIN);
        self.latest = at;
        for (here, column) in self.row.iter_mut().zip(&self.columns) {
            *here = values.get(*column).copied().unwrap_or(f64::NAN);
        }
        if let Some(own) = self.row.first_mut() {
            *own = value;
        }
        let strengths = self.company.observe(&self.row, if first { 0.0 } else { secs });
        let alone = strengths.and_then(|strengths| strengths.first().copied());
        if self.company.due() {
            self.company.learn();
        }
        alone
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_signal_is_judged_among_the_others_of_its_time() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("_device.csv");
        let load = |n: u32| f64::from(n).sin() + (f64::from(n) * 0.618_034).fract();
        let rows: String = (0..2000_u32)
            .map(|n| format!("{},{},{}\n", n * 60, load(n), 5.0 - 2.0 * load(n)))
            .collect();
        std::fs::write(&path, format!("timestamp,a,b\n{rows}")).unwrap();
        let device = Device::read(&path).unwrap();
        assert!(device.seat("c").is_none());
        let mut seat = device.seat("b").unwrap();
        let at = |n: u32| Timestamp::from_secs(i64::from(n) * 60);
        assert_eq!(seat.alone(at(0), 5.0), None);
        let most = (1..1900).filter_map(|n| seat.alone(at(n), 5.0 - 2.0 * load(n)));
        assert!(most.fold(0.0, f32::max) < 1.0);
        assert!(
            seat.alone(at(1900), 4.0 - 2.0 * load(1901))
                .is_some_and(|alone| alone >= 1.0)
        );
        assert_eq!(seat.alone(at(1900), 5.0), None, "repeated");
        assert_eq!(seat.alone(at(1_000_000), 5.0), None, "a time of nobody else");
    }
}
