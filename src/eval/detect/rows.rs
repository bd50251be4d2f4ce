//! SMD and sets laid out as it is (ASD): `NAME.train.csv` is learned from, `NAME.test.csv` scored row by row.
//!
//! Average precision, best F1 (an oracle) and VUS-PR are of the rows of each machine, then the mean over machines. Nothing is
//! adjusted by the label. A plain PCA (squared prediction error, 90 % of the variance) runs beside as the mark to be above.

use std::collections::BTreeMap;
use std::fs;
use std::path::{Path, PathBuf};

use serde::Deserialize;
use serde_json::{Value, json};

use super::{EvalError, Report, Tally, machine, metrics, plain_pca, table};

/// Longest ramp of a label in VUS-PR.
const VUS_WINDOW: usize = 100;

/// One minute, as in SMD.
const ROW_S: f64 = 60.0;

/// ASD's servers, as its makers named them; it has five minutes.
const ASD_NAME: &str = "omi-";
const ASD_ROW_S: f64 = 300.0;

#[derive(Deserialize)]
struct Labels {
    anomalies: Vec<(usize, usize)>,
}

/// Scores every machine that `labels.json` names.
pub fn run(path: &Path) -> Result<Report, EvalError> {
    let file = path.join("labels.json");
    let labels: BTreeMap<String, Labels> =
        serde_json::from_str(&table::text(&file)?).map_err(|source| EvalError::Labels {
            path: file.clone(),
            source,
        })?;
    let mut tally = Tally::default();
    let mut sums: BTreeMap<&str, Vec<f64>> = BTreeMap::new();
    let mut machines: BTreeMap<String, Value> = BTreeMap::new();
    for (name, labels) in &labels {
        let (train, test) = (find(path, name, "train"), find(path, name, "test"));
        let (learning, rows) = (read(&train)?, read(&test)?);
        let watch = machine::learn(&train, &learning)?;
        let run = machine::watch(&watch, &rows);
        let mut truth = vec![false; rows.len()];
        for (first, last) in &labels.anomalies {
            for label in truth.iter_mut().take(last.saturating_add(1)).skip(*first) {
                *label = true;
            }
        }
        let plain = plain_pca::residuals(&learning, &rows, 0.9);
        let figures = [
            ("average_precision", metrics::average_precision(&run.scores, &truth)),
            ("best_f1_oracle", metrics::best_f1_oracle(&run.scores, &truth)),
            ("vus_pr", metrics::vus_pr(&run.scores, &truth, VUS_WINDOW)),
            (
                "plain_pca_average_precision",
                metrics::average_precision(&plain, &truth),
            ),
        ];
        let mut own = serde_json::Map::new();
        for (figure, value) in figures {
            // A machine without any anomaly has none of these figures.
            if let Some(value) = value {
                sums.entry(figure).or_default().push(value);
                own.insert(figure.to_owned(), json!(value));
            }
        }
        machines.insert(name.clone(), Value::Object(own));
        let row_s = if name.starts_with(ASD_NAME) { ASD_ROW_S } else { ROW_S };
        run.tally(&mut tally, &metrics::segments(&truth), |row| row as f64 * row_s);
    }
    if machines.is_empty() {
        return Err(EvalError::Empty {
            path: path.to_owned(),
            expected: "labels.json that names machines, with NAME.train.csv and NAME.test.csv beside it",
        });
    }
    let mut report = Report::new("smd", tally.operator());
    for (figure, values) in sums {
        report.figure(figure, values.iter().sum::<f64>() / values.len() as f64);
    }
    report.figure("machines", json!(machines));
    Ok(report)
}

/// `NAME.PART.csv` or the same gzipped.
pub fn find(folder: &Path, name: &str, part: &str) -> PathBuf {
    let plain = folder.join(format!("{name}.{part}.csv"));
    let packed = folder.join(format!("{name}.{part}.csv.gz"));
    if fs::exists(&packed).unwrap_or(false) {
        packed
    } else {
        plain
    }
}

/// Rows of numbers under a header line.
pub fn read(path: &Path) -> Result<Vec<Vec<f64>>, EvalError> {
    let (_, rows) = table::rows(
        path,
        ',',
        |header| Ok((header.len(), Vec::new())),
        |(width, rows), fields| {
            if fields.len() != *width {
                return Err(format!("{} fields where the header has {width}", fields.len()));
            }
            rows.push(
                fields
                    .iter()
                    .map(|field| table::number(field))
                    .collect::<Result<Vec<f64>, _>>()?,
            );
            Ok(())
        },
    )?;
    Ok(rows)
}
