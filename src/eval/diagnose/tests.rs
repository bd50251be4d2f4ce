//! Readers on what no exporter should write, and cases whose cause is known.

use std::fmt::Write as _;
use std::path::Path;

use proptest::prelude::*;

use super::nezha::spans::{lines as read_lines, spans as read_spans};
use super::table::{Malformed, rows, text_of_rows};
use super::{Format, run};
use crate::diagnose::traces::Story;

fn all_rows(text: &str) -> (Vec<Vec<String>>, Malformed) {
    let mut found = Vec::new();
    let mut malformed = Malformed::default();
    rows(text, Path::new("x.csv"), &mut malformed, |_, fields, _| {
        found.push(fields.to_vec());
    });
    (found, malformed)
}

#[test]
fn quoted_fields_hold_commas_quotes_and_line_ends() {
    let (found, malformed) = all_rows("a,\"b, \"\"c\"\"\nd\",e\r\n\nf,,\n");
    assert_eq!(found, [vec!["a", "b, \"c\"\nd", "e"], vec!["f", "", ""]]);
    assert_eq!(malformed, Malformed::default());
}

#[test]
fn a_quote_that_is_never_closed_costs_one_line_and_is_counted_with_its_place() {
    let (found, malformed) = all_rows("a,b\n\"c,d\ne,f\n");
    assert_eq!(found, [["a", "b"], ["e", "f"]]);
    assert_eq!(malformed.count, 1);
    assert!(malformed.places[0].starts_with("x.csv:2: "), "{:?}", malformed.places);
}

#[test]
fn a_table_that_is_cut_off_is_read_as_far_as_it_has_whole_rows() {
    let dir = tempfile::tempdir().unwrap();
    let file = dir.path().join("x.csv.gz");
    let mut packer = flate2::write::GzEncoder::new(Vec::new(), flate2::Compression::fast());
    let text: String = (0_u32..5000)
        .map(|row| format!("{row},{}\n", row.wrapping_mul(2_654_435_761)))
        .collect();
    std::io::Write::write_all(&mut packer, text.as_bytes()).unwrap();
    let bytes = packer.finish().unwrap();
    std::fs::write(&file, &bytes[..bytes.len() / 2]).unwrap();
    let mut malformed = Malformed::default();
    let kept = text_of_rows(&dir.path().join("x.csv"), &mut malformed).unwrap();
    assert!(!kept.is_empty() && text.starts_with(&kept) && kept.ends_with('\n'));
    assert_eq!(malformed.count, 1);
    let line = format!("x.csv:{}: the file is cut off here", kept.lines().count() + 1);
    assert!(malformed.places[0].contains(&line), "{:?}", malformed.places);
    assert!(
        text_of_rows(&dir.path().join("y.csv"), &mut malformed).is_err(),
        "what is not there is not cut off"
    );
}

const SPANS: &str = "TraceID,SpanID,ParentID,PodName,OperationName,StartTimeUnixNano,EndTimeUnixNano,Duration\n";
const LINES: &str = "Timestamp,TimeUnixNano,Node,PodName,Container,TraceID,SpanID,Log\n";

#[test]
fn rows_that_are_no_spans_or_lines_are_counted_and_the_others_kept() {
    let dir = tempfile::tempdir().unwrap();
    let file = dir.path().join("12_00_trace.csv");
    std::fs::write(
        &file,
        format!("{SPANS}t,s,root,a-1,op,1,2,1\nt,s2\nt,s3,s,a-1,op,one,2,1\nt,s4,s,a-1,op,3,4,1\n"),
    )
    .unwrap();
    let (mut story, mut malformed) = (Story::new(), Malformed::default());
    read_spans(&file, &mut story, &mut malformed).unwrap();
    assert_eq!((story.len(), malformed.count), (2, 2));
    assert!(
        malformed.places[0].contains("12_00_trace.csv:3: "),
        "{:?}",
        malformed.places
    );

    let file = dir.path().join("12_00_log.csv");
    std::fs::write(
        &file,
        format!("{LINES}x,1,n,p,c,t,s,INFO fine\nx,yesterday,n,p,c,t,s,INFO lost\n"),
    )
    .unwrap();
    read_lines(&file, &mut story, &mut malformed).unwrap();
    assert_eq!(malformed.count, 3);
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(64))]

    #[test]
    fn no_text_makes_the_table_reader_panic(text in "(?s).{0,200}") {
        let (found, malformed) = all_rows(&text);
        let lines = text.lines().count() + 1;
        prop_assert!(found.len() as u64 + malformed.count <= lines as u64);
    }

    #[test]
    fn no_rows_make_the_span_and_line_readers_panic(
        spans in proptest::collection::vec("[ts0-9,\"-]{0,30}", 0..20),
        lines in proptest::collection::vec("(?s)[ts0-9,\"{}a\\\\: -]{0,40}", 0..20),
    ) {
        let dir = tempfile::tempdir().unwrap();
        let (mut story, mut malformed) = (Story::new(), Malformed::default());
        let file = dir.path().join("trace.csv");
        std::fs::write(&file, format!("{SPANS}{}", spans.join("\n"))).unwrap();
        read_spans(&file, &mut story, &mut malformed).unwrap();
        let file = dir.path().join("log.csv");
        std::fs::write(&file, format!("{LINES}{}", lines.join("\n"))).unwrap();
        read_lines(&file, &mut story, &mut malformed).unwrap();
        story.finish();
        let _ = (story.changes(5, 1_000), story.gaps(5, 1_000), story.calls(1_000));
    }

    #[test]
    fn no_files_make_the_folder_readers_panic(
        metrics in "(?s)[a-z_,0-9.\"\n\r-]{0,200}",
        graph in "(?s)[a-c,01.\"\n-]{0,60}",
        label in prop_oneof![Just("{\"target\":{\"node\":\"a\",\"metric\":\"latency\",\"agg\":\"Average\",\"timestamp\":7},\"root_cause\":{\"node\":\"b\"}}".to_owned()), "(?s).{0,40}"],
    ) {
        let dir = tempfile::tempdir().unwrap();
        let root = dir.path();
        for folder in ["noissue", "test/issue_1", "metric", "svc_cpu/1"] {
            std::fs::create_dir_all(root.join(folder)).unwrap();
        }
        let header = format!("microservice,a,a,b\nmetric,latency,requests,latency\nstatistic,Average,Sum,Average\n{metrics}");
        std::fs::write(root.join("graph.csv"), format!(",a,b\n{graph}")).unwrap();
        std::fs::write(root.join("noissue/metrics.csv"), &header).unwrap();
        std::fs::write(root.join("test/issue_1/metrics.csv"), &header).unwrap();
        std::fs::write(root.join("test/issue_1/target.json"), &label).unwrap();
        let _ = run(Format::Petshop, root);

        std::fs::write(root.join("metric/a-1_metric.csv"), format!("Time,TimeStamp,PodName,CpuUsageRate(%)\n{metrics}")).unwrap();
        std::fs::write(root.join("metric/source_50.csv"), format!("time,timestamp,a_b\n{metrics}")).unwrap();
        std::fs::write(root.join("day-fault_list.json"), r#"{"03":[{"inject_time":"1970-01-01 00:00:09","inject_timestamp":"9","inject_pod":"a","inject_type":"return"}]}"#).unwrap();
        prop_assert!(run(Format::Nezha, root).is_ok());

        std::fs::write(root.join("svc_cpu/1/inject_time.txt"), "5\n").unwrap();
        std::fs::write(root.join("svc_cpu/1/data.csv"), format!("time,svc_cpu,db_cpu\n{metrics}")).unwrap();
        prop_assert!(run(Format::Rcaeval, root).is_ok());
    }
}

/// The columns of a wide case, with their levels.
const WIDE: &[(&str, f64)] = &[
    ("cpu", 0.2),
    ("mem", 5e8),
    ("latency-50", 0.02),
    ("load", 40.0),
    ("error", 0.0),
];

/// Those of the later sets, in a file of their own beside one of all raw metrics.
const WIDE_LATER: &[(&str, f64)] = &[
    ("cpu", 0.2),
    ("diskio", 2e6),
    ("latency-50", 0.02),
    ("latency-90", 0.05),
    ("mem", 5e8),
    ("socket", 12.0),
    ("workload", 40.0),
    ("error", 0.0),
];

/// Wide cases: services that rest, one of which moves in one metric. A fault of so many times its level.
fn wide(root: &Path, service: &str, fault: &str, metric: &str, times: f64) {
    let dir = root.join(format!("{service}_{fault}")).join("1");
    table(&dir, "data.csv", WIDE, service, metric, times);
    std::fs::write(dir.join("inject_time.txt"), "1120\n").unwrap();
}

fn table(dir: &Path, file: &str, metrics: &[(&str, f64)], service: &str, metric: &str, times: f64) {
    std::fs::create_dir_all(dir).unwrap();
    let services = ["front", "cart-service", "db"];
    let mut text = "time".to_owned();
    for service in services {
        for (metric, _) in metrics {
            let _ = write!(text, ",{service}_{metric}");
        }
    }
    for row in 0..240_u32 {
        let _ = write!(text, "\n{}", 1_000 + row);
        for (s, other) in services.iter().enumerate() {
            for (m, (name, level)) in metrics.iter().enumerate() {
                let noise = 1.0 + 0.03 * (f64::from((row * 13 + s as u32 * 5 + m as u32 * 3) % 11) / 5.0 - 1.0);
                let faulty = row >= 120 && *other == service && *name == metric;
                let value = if faulty {
                    level * times + f64::from(u8::from(*level == 0.0))
                } else {
                    level * noise
                };
                let _ = write!(text, ",{value}");
            }
        }
    }
    std::fs::write(dir.join(file), text).unwrap();
}

/// The three sets: RE1 has `data.csv`, RE2 has raw and simple metrics beside logs and traces, RE3 has bugs in code that are only numbered.
#[test]
fn all_sets_are_read_from_any_folder_of_theirs() {
    let dir = tempfile::tempdir().unwrap();
    let root = dir.path();
    wide(&root.join("RE1/RE1-OB"), "cart-service", "cpu", "cpu", 4.0);
    // Loss hits few requests: the median rests.
    for (set, label, metric, times) in [
        ("RE2/RE2-TT", "cart-service_disk", "diskio", 9.0),
        ("RE2/RE2-TT", "front_loss", "latency-90", 12.0),
        ("RE3/RE3-SS", "db_f3", "error", 1.0),
    ] {
        let folder = root.join(set).join(label).join("2");
        let (service, _) = label.rsplit_once('_').unwrap();
        table(&folder, "simple_metrics.csv", WIDE_LATER, service, metric, times);
        // All raw metrics, in which nothing moves.
        table(&folder, "metrics.csv", WIDE, "nobody", "none", 1.0);
        std::fs::write(folder.join("logs.csv"), "time,timestamp,container_name,message\n").unwrap();
        std::fs::write(folder.join("inject_time.txt"), "\n1120\n1121\n").unwrap();
    }
    let report = run(Format::Rcaeval, root).unwrap();
    assert_eq!((report.all.cases, report.malformed_rows), (4, 0));
    assert!((report.all.ac1 - 1.0).abs() < 1e-12, "{:#?}", report.per_case);
    for case in &report.per_case {
        assert_eq!(case.kind.is_none(), case.name.contains("_f3"), "{case:#?}");
        assert!(case.kind.is_none() || case.kind == case.kind_found, "{case:#?}");
    }
    for (folder, cases) in [
        ("RE1", 1),
        ("RE2/RE2-TT", 2),
        ("RE3/RE3-SS/db_f3", 1),
        ("RE3/RE3-SS/db_f3/2", 1),
    ] {
        assert_eq!(
            run(Format::Rcaeval, &root.join(folder)).unwrap().all.cases,
            cases,
            "{folder}"
        );
    }
}

#[test]
fn wide_cases_name_the_service_that_moved() {
    let dir = tempfile::tempdir().unwrap();
    wide(dir.path(), "cart-service", "cpu", "cpu", 4.0);
    wide(dir.path(), "db", "mem", "mem", 3.0);
    wide(dir.path(), "front", "delay", "latency-50", 20.0);
    wide(dir.path(), "db", "loss", "error", 1.0);
    let report = run(Format::Rcaeval, dir.path()).unwrap();
    assert_eq!((report.all.cases, report.malformed_rows), (4, 0));
    assert!((report.all.ac1 - 1.0).abs() < 1e-12, "{:#?}", report.per_case);
    for case in report.per_case.iter().filter(|case| !case.name.contains("loss")) {
        assert_eq!(case.kind, case.kind_found, "{case:#?}");
    }
}

#[test]
fn a_case_of_which_nothing_is_known_counts_as_wrong_and_says_why() {
    let dir = tempfile::tempdir().unwrap();
    let root = dir.path();
    // The labelled service comes first by its name: that must earn nothing.
    for (service, file, inject, why) in [
        ("cart-service", "", "1120", "nothing was measured"),
        (
            "db",
            "cart-service_cpu,db_cpu\n1,2\n3,4\n",
            "1120",
            "nothing was measured",
        ),
        (
            "front",
            "time,cart-service_cpu,front_cpu\n1000,1,2\n1001,3,4\n",
            "9999",
            "after the time",
        ),
    ] {
        let folder = root.join(format!("{service}_cpu/1"));
        std::fs::create_dir_all(&folder).unwrap();
        std::fs::write(folder.join("data.csv"), file).unwrap();
        std::fs::write(folder.join("inject_time.txt"), inject).unwrap();
        let report = run(Format::Rcaeval, &folder).unwrap();
        assert_eq!((report.all.cases, report.unscored), (1, 1), "{service}");
        let case = &report.per_case[0];
        assert!(
            case.unscored.as_ref().is_some_and(|told| told.contains(why)),
            "{case:?}"
        );
        assert_eq!((case.rank, case.first.as_str()), (None, "nothing"));
        assert!(report.all.ac5.abs() < 1e-12);
    }
    // A time that is none, and a good case beside them.
    wide(root, "db", "mem", "mem", 3.0);
    std::fs::create_dir_all(root.join("db_disk/1")).unwrap();
    std::fs::write(root.join("db_disk/1/data.csv"), "time,db_cpu\n1,1\n").unwrap();
    std::fs::write(root.join("db_disk/1/inject_time.txt"), "noon").unwrap();
    let report = run(Format::Rcaeval, root).unwrap();
    assert_eq!((report.all.cases, report.unscored), (5, 4));
    assert!((report.all.ac1 - 0.2).abs() < 1e-12 && report.malformed_rows > 0);
    assert!(
        report
            .malformed
            .iter()
            .any(|place| place.contains("no time in seconds"))
    );
}

#[test]
fn folders_that_do_not_say_what_they_are_are_refused() {
    let dir = tempfile::tempdir().unwrap();
    wide(dir.path(), "db", "mem", "mem", 3.0);
    std::fs::rename(dir.path().join("db_mem"), dir.path().join("case")).unwrap();
    let error = run(Format::Rcaeval, &dir.path().join("case"))
        .err()
        .map(|error| error.to_string());
    assert!(
        error.as_ref().is_some_and(|error| error.contains("cartservice_cpu/1")),
        "{error:?}"
    );
}

#[test]
fn a_wrong_label_changes_the_score_and_not_the_ranking() {
    let dir = tempfile::tempdir().unwrap();
    wide(dir.path(), "cart-service", "cpu", "cpu", 4.0);
    std::fs::rename(dir.path().join("cart-service_cpu"), dir.path().join("front_mem")).unwrap();
    let report = run(Format::Rcaeval, dir.path()).unwrap();
    assert_eq!(report.per_case[0].first, "cart-service");
    assert!(report.all.ac1.abs() < 1e-12);
}

#[test]
fn a_folder_of_another_format_is_refused_with_what_is_missing() {
    let dir = tempfile::tempdir().unwrap();
    for format in [Format::Nezha, Format::Rcaeval] {
        let error = run(format, dir.path())
            .err()
            .map(|error| error.to_string())
            .unwrap_or_default();
        assert!(error.contains("does not look like"), "{error}");
    }
    let error = run(Format::Petshop, dir.path())
        .err()
        .map(|error| error.to_string())
        .unwrap_or_default();
    assert!(
        error.contains("graph.csv") && error.contains("one traffic folder"),
        "{error}"
    );
}
