//! The scores of labelled sets of whole rows: that the scorers score as their sets do, and that the figures which ship hold.
//!
//! The bars lie a little below what was measured on the half of the sets that is here, so that they catch a change for the worse
//! and not the last bit of a sum.

use jurymast::eval::detect::{Format, Report, run, skab};

use crate::harness;

fn figure(report: &Report, name: &str) -> f64 {
    report.figures[name].as_f64().unwrap()
}

/// What is said of a scored row, by its place.
fn skab_scores(folder: &std::path::Path, said: impl Fn(usize) -> bool) -> skab::Scores {
    let mut scores = skab::Scores::default();
    for experiment in skab::read(folder).unwrap() {
        let said: Vec<bool> = (0..experiment.rows.len() - 400).map(&said).collect();
        scores.add(&experiment, &said);
    }
    scores
}

#[test]
fn skab_scores_as_its_own_code_does() {
    let Some(folder) = harness::data("ad/skab") else {
        return;
    };
    let near = |found: &[f64], expected: &[f64], within: f64| {
        for (found_one, expected) in found.iter().zip(expected) {
            assert!((found_one - expected).abs() < within, "{found:?} is not {expected}");
        }
    };
    let always = skab_scores(&folder, |_| true);
    near(&[always.f1(), always.far(), always.mar()], &[0.69, 1.0, 0.0], 0.005);
    near(&always.changepoints(), &[-1.51, -3.02, -1.01], 0.005);
    let later = skab_scores(&folder, |row| row >= 150);
    near(&[later.f1()], &[0.78], 0.005);
    near(&[later.far(), later.mar()], &[0.5659, 0.0236], 0.00005);
    near(&later.changepoints(), &[-0.31, -1.77, 0.33], 0.0051);
}

#[test]
fn the_pumps_of_skab() {
    let Some(folder) = harness::data("ad/skab") else {
        return;
    };
    let report = run(Format::Skab, &folder).unwrap();
    assert!(figure(&report, "far") <= 0.14, "{report}");
    assert!(figure(&report, "mar") <= 0.26, "{report}");
    assert!(figure(&report, "changepoint_low_fp") >= 27.0, "{report}");
}

#[test]
fn the_process_of_tennessee_eastman() {
    let Some(folder) = harness::data("ad/tep") else {
        return;
    };
    let report = run(Format::Tep, &folder).unwrap();
    assert!(figure(&report, "detection_rate") >= 0.80, "{report}");
    assert!(figure(&report, "far") <= 0.01, "{report}");
}

/// Above a plain PCA in the same run, and above what an isolation forest was measured at.
#[test]
fn the_servers_of_asd() {
    let Some(folder) = harness::data("ad/asd") else {
        return;
    };
    let report = run(Format::Smd, &folder).unwrap();
    let (ours, plain) = (
        figure(&report, "average_precision"),
        figure(&report, "plain_pca_average_precision"),
    );
    assert!(ours > plain && ours > 0.29 && ours > 0.15, "{report}");
    assert!((0.0..=1.0).contains(&figure(&report, "vus_pr")), "{report}");
}

#[test]
fn the_servers_of_smd() {
    let Some(folder) = harness::data("ad/smd") else {
        return;
    };
    let report = run(Format::Smd, &folder).unwrap();
    let (ours, plain) = (
        figure(&report, "average_precision"),
        figure(&report, "plain_pca_average_precision"),
    );
    assert!(ours > plain && ours > 0.47 && ours > 0.36, "{report}");
}

#[test]
fn what_is_not_there_is_told() {
    let empty = tempfile::tempdir().unwrap();
    for format in [Format::Skab, Format::Smd, Format::Tep] {
        let error = run(format, empty.path()).unwrap_err().to_string();
        assert!(error.contains(&*empty.path().to_string_lossy()), "{error}");
    }
}
