//! Prometheus' script format (`promql/promqltest`): `load`, `eval`, `expect`, `clear`.

#![allow(clippy::float_cmp, reason = "what is not near is the same or it is not")]

use jurymast::promql::fixture::{self, Fixture};
use jurymast::promql::{
    EvalError, Evaluator, Item, Labels, Note, Options, Query, QueryError, RangeSeries, Value, is_native_histogram,
};

#[derive(Debug)]
pub enum Outcome {
    Passed,
    /// Experimental syntax or native histograms, with the reason.
    Refused(String),
    Failed(String),
}

#[derive(Default, Debug)]
struct Expect {
    fail: Option<String>,
    ordered: bool,
    /// Empty: any will do.
    warn: Option<String>,
    info: Option<String>,
    no_warn: bool,
    no_info: bool,
    text: Option<String>,
    range: Option<(i64, i64)>,
    series: Vec<(Labels, Vec<Option<f64>>)>,
    scalar: Option<f64>,
}

/// Plays a script; of each evaluation the line, the query and what became of it.
pub fn play(script: &str) -> Vec<(usize, String, Outcome)> {
    let lines: Vec<&str> = script.lines().collect();
    let mut store = Fixture::default();
    let mut starts = false;
    let mut outcomes = Vec::new();
    let mut at = 0;
    while at < lines.len() {
        let line = lines[at].trim();
        let number = at + 1;
        at += 1;
        if line.is_empty() || line.starts_with('#') {
            continue;
        }
        let mut block = Vec::new();
        while at < lines.len() && !lines[at].trim().is_empty() && !is_command(lines[at]) {
            let inner = lines[at].trim();
            if !inner.starts_with('#') {
                block.push(inner);
            }
            at += 1;
        }
        let (command, rest) = line.split_once(char::is_whitespace).unwrap_or((line, ""));
        match command {
            "clear" => {
                store = Fixture::default();
                starts = false;
            }
            "load" | "load_with_nhcb" => {
                let interval = span(rest);
                for series in block {
                    // Start timestamps are an experimental property of samples.
                    if series
                        .split_whitespace()
                        .next()
                        .is_some_and(|metric| metric.ends_with("@st"))
                    {
                        starts = true;
                        continue;
                    }
                    store
                        .load(series, 0, interval)
                        .unwrap_or_else(|error| panic!("line {number}: {error}"));
                }
            }
            command if command.starts_with("eval") => {
                let (query, outcome) = eval(&store, command, rest.trim(), &block);
                let outcome = match outcome {
                    Outcome::Failed(_) if starts => {
                        Outcome::Refused("the data have start timestamps, which are experimental".into())
                    }
                    outcome => outcome,
                };
                outcomes.push((number, query, outcome));
            }
            other => panic!("line {number}: command {other}"),
        }
    }
    outcomes
}

fn is_command(line: &str) -> bool {
    ["load", "eval", "clear"]
        .iter()
        .any(|word| line.trim_start().starts_with(word))
        && !line.trim_start().contains("{{")
        && line.split_whitespace().next().is_some_and(|word| {
            [
                "load",
                "load_with_nhcb",
                "clear",
                "eval",
                "eval_fail",
                "eval_warn",
                "eval_info",
                "eval_ordered",
            ]
            .contains(&word)
        })
}

fn span(text: &str) -> i64 {
    let (sign, text) = text.strip_prefix('-').map_or((1, text), |text| (-1, text));
    let text = text.trim();
    let millis = text
        .parse::<f64>()
        .map(|seconds| (seconds * 1000.0).round() as i64)
        .ok();
    sign * millis
        .or_else(|| duration(text))
        .unwrap_or_else(|| panic!("span {text}"))
}

fn duration(text: &str) -> Option<i64> {
    let mut total = 0;
    let mut rest = text;
    while !rest.is_empty() {
        let digits = rest.find(|c: char| !c.is_ascii_digit())?;
        let (number, tail) = rest.split_at(digits);
        let letters = tail.find(|c: char| c.is_ascii_digit()).unwrap_or(tail.len());
        let unit = match &tail[..letters] {
            "ms" => 1,
            "s" => 1000,
            "m" => 60_000,
            "h" => 3_600_000,
            "d" => 86_400_000,
            "w" => 604_800_000,
            "y" => 31_536_000_000,
            _ => return None,
        };
        total += number.parse::<i64>().ok()? * unit;
        rest = &tail[letters..];
    }
    Some(total)
}

fn eval(store: &Fixture, command: &str, rest: &str, block: &[&str]) -> (String, Outcome) {
    let words: Vec<&str> = rest.splitn(2, char::is_whitespace).collect();
    let (bounds, step, query) = if words[0] == "instant" {
        let rest = words[1].trim().strip_prefix("at").unwrap().trim();
        let (at, query) = rest.split_once(char::is_whitespace).unwrap();
        ((span(at), span(at)), None, query)
    } else {
        let parts: Vec<&str> = words[1].trim().splitn(7, char::is_whitespace).collect();
        ((span(parts[1]), span(parts[3])), Some(span(parts[5])), parts[6])
    };
    let query = query.trim().to_owned();
    let mut expect = Expect {
        ordered: command == "eval_ordered",
        ..Expect::default()
    };
    if command == "eval_fail" {
        expect.fail = Some(String::new());
    }
    for line in block {
        if let Err(why) = read_expectation(line, &mut expect) {
            return (query, Outcome::Failed(why));
        }
    }
    let outcome = run(store, &query, bounds, step, &expect);
    (query, outcome)
}

fn read_expectation(line: &str, expect: &mut Expect) -> Result<(), String> {
    if let Some(rest) = line.strip_prefix("expect ") {
        let rest = rest.trim();
        let (what, tail) = rest.split_once(char::is_whitespace).unwrap_or((rest, ""));
        let message = tail.split_once(':').map(|(_, message)| message.trim().to_owned());
        match what {
            "fail" => expect.fail = Some(message.unwrap_or_default()),
            "ordered" => expect.ordered = true,
            "warn" => expect.warn = Some(message.unwrap_or_default()),
            "info" => expect.info = Some(message.unwrap_or_default()),
            "no_warn" => expect.no_warn = true,
            "no_info" => expect.no_info = true,
            "string" => {
                expect.text = Some(
                    fixture::metric(&format!("{{x={}}}", tail.trim()))
                        .map_err(|why| format!("{line}: {why}"))?
                        .0
                        .get("x")
                        .to_owned(),
                );
            }
            "range" => {
                let words: Vec<&str> = tail.split_whitespace().collect();
                expect.range = Some((span(words[2]), span(words[6])));
            }
            other => return Err(format!("expect {other} is not known")),
        }
        return Ok(());
    }
    if let Ok((labels, values)) = fixture::parse(line)
        && (line.contains('{') || !line.starts_with(|c: char| c.is_ascii_digit() || c == '-' || c == '+'))
        && !values.is_empty()
    {
        expect.series.push((labels, values));
        return Ok(());
    }
    let number = match line {
        "NaN" => f64::NAN,
        "+Inf" | "Inf" => f64::INFINITY,
        "-Inf" => f64::NEG_INFINITY,
        other => other.parse::<f64>().map_err(|_| format!("cannot read '{other}'"))?,
    };
    expect.scalar = Some(number);
    Ok(())
}

/// As Prometheus' tests are run: names are taken away at the end.
fn options() -> Options {
    Options {
        delayed_names: true,
        ..Options::default()
    }
}

fn run(store: &Fixture, text: &str, bounds: (i64, i64), step: Option<i64>, expect: &Expect) -> Outcome {
    let histogram = expect
        .series
        .iter()
        .any(|(_, values)| values.iter().flatten().any(|value| is_native_histogram(*value)));
    let query = match Query::parse(text) {
        Ok(query) => query,
        Err(error @ (QueryError::Experimental(_) | QueryError::NativeHistogram(_))) => {
            return Outcome::Refused(error.to_string());
        }
        Err(_) if expect.fail.is_some() => return Outcome::Passed,
        Err(error) => return Outcome::Failed(error.to_string()),
    };
    let run = Evaluator::new(&query, store, bounds, options());
    let result = match step {
        None => run.instant(),
        Some(step) => run.range(step).map(Value::Matrix),
    };
    let value = match (result, &expect.fail) {
        (Err(EvalError::NativeHistogram(_)), _) => return Outcome::Refused("the data are native histograms".into()),
        (Err(error), Some(message)) if error.to_string().contains(message.as_str()) || message.is_empty() => {
            let _ = error;
            return Outcome::Passed;
        }
        (Err(error), Some(message)) => return Outcome::Failed(format!("fails with '{error}' instead of '{message}'")),
        (Err(error), None) => return Outcome::Failed(error.to_string()),
        (Ok(_), Some(_)) => return Outcome::Failed("does not fail".into()),
        (Ok(value), None) => value,
    };
    if let Err(why) = notes(&run.notes(), expect).and_then(|()| compare(&value, bounds, step, expect)) {
        if histogram {
            return Outcome::Refused("the expected result is a native histogram".into());
        }
        return Outcome::Failed(why);
    }
    // As Prometheus does: the middle of a range must be what the instant was.
    if let (None, Value::Vector(_) | Value::Scalar(_)) = (step, &value)
        && let Err(why) = same_in_range(store, &query, bounds.0, &value)
    {
        return Outcome::Failed(format!("as a range: {why}"));
    }
    Outcome::Passed
}

fn notes(notes: &[Note], expect: &Expect) -> Result<(), String> {
    let warnings: Vec<&String> = notes
        .iter()
        .filter_map(|note| {
            if let Note::Warning(text) = note {
                Some(text)
            } else {
                None
            }
        })
        .collect();
    let infos: Vec<&String> = notes
        .iter()
        .filter_map(|note| if let Note::Info(text) = note { Some(text) } else { None })
        .collect();
    let told = |due: &Option<String>, found: &[&String], what: &str| match due {
        None => Ok(()),
        Some(message) if message.is_empty() && !found.is_empty() => Ok(()),
        // Where in the text it is (`(1:5)`) is not told here.
        Some(message) if found.iter().any(|text| message.contains(text.as_str())) => Ok(()),
        Some(message) => Err(format!("no {what} {message:?}, but {found:?}")),
    };
    told(&expect.warn, &warnings, "warning")?;
    told(&expect.info, &infos, "info")?;
    if expect.no_warn && !warnings.is_empty() {
        return Err(format!("warns: {warnings:?}"));
    }
    if expect.no_info && !infos.is_empty() {
        return Err(format!("informs: {infos:?}"));
    }
    Ok(())
}

fn near(a: f64, b: f64) -> bool {
    let close = (a - b).abs() / (a.abs() + b.abs()).min(f64::MAX) < 1e-6;
    a == b || (a.is_nan() && b.is_nan()) || close || (a.abs() + b.abs() < f64::MIN_POSITIVE)
}

fn compare(value: &Value<'_>, bounds: (i64, i64), step: Option<i64>, expect: &Expect) -> Result<(), String> {
    match value {
        Value::Text(text) => (expect.text.as_ref() == Some(text))
            .then_some(())
            .ok_or(format!("is {text:?}")),
        Value::Scalar(number) => {
            let due = expect.scalar.ok_or(format!("is the number {number}"))?;
            near(due, *number)
                .then_some(())
                .ok_or(format!("is {number} instead of {due}"))
        }
        Value::Vector(items) => vector(items, expect),
        Value::Matrix(series) => {
            let (start, step) = expect.range.unwrap_or((bounds.0, step.unwrap_or(1)));
            matrix(series, start, step, expect)
        }
    }
}

fn vector(items: &[Item], expect: &Expect) -> Result<(), String> {
    if items.len() != expect.series.len() {
        return Err(format!(
            "has {} elements instead of {}: {items:?}",
            items.len(),
            expect.series.len()
        ));
    }
    for (place, (labels, values)) in expect.series.iter().enumerate() {
        let found = items
            .iter()
            .position(|item| item.labels == *labels)
            .ok_or(format!("no {labels} in {items:?}"))?;
        if expect.ordered && found != place {
            return Err(format!("{labels} stands at {found} instead of {place}"));
        }
        let due = values.first().copied().flatten().ok_or("an instant needs a value")?;
        if !near(items[found].value, due) {
            return Err(format!("{labels} is {} instead of {due}", items[found].value));
        }
    }
    Ok(())
}

fn matrix(series: &[RangeSeries<'_>], start: i64, step: i64, expect: &Expect) -> Result<(), String> {
    let due: Vec<_> = expect
        .series
        .iter()
        .filter(|(_, values)| values.iter().any(Option::is_some))
        .collect();
    if series.len() != due.len() {
        return Err(format!(
            "has {} series instead of {}: {series:?}",
            series.len(),
            due.len()
        ));
    }
    for (labels, values) in due {
        let found = series
            .iter()
            .find(|series| series.labels == *labels)
            .ok_or(format!("no {labels} in {series:?}"))?;
        let due: Vec<(i64, f64)> = (0_i64..)
            .zip(values)
            .filter_map(|(place, value)| value.map(|value| (start + place * step, value)))
            .collect();
        let is: Vec<(i64, f64)> = found.points.iter().map(|point| (point.at, point.value)).collect();
        let same = due.len() == is.len() && due.iter().zip(&is).all(|(due, is)| due.0 == is.0 && near(due.1, is.1));
        if !same {
            return Err(format!("{labels} is {is:?} instead of {due:?}"));
        }
    }
    Ok(())
}

fn same_in_range(store: &Fixture, query: &Query, at: i64, value: &Value<'_>) -> Result<(), String> {
    let run = Evaluator::new(query, store, (at - 60_000, at + 60_000), options());
    // Other steps may meet what this one did not.
    let Ok(series) = run.range(60_000) else {
        return Ok(());
    };
    let single: Vec<Item> = match value {
        Value::Vector(items) => items.clone(),
        Value::Scalar(number) => vec![Item {
            labels: Labels::default(),
            value: *number,
            nameless: false,
        }],
        _ => return Ok(()),
    };
    // `@ start()` and `@ end()` mean another time in a range.
    if query.text().contains("start()") || query.text().contains("end()") {
        return Ok(());
    }
    for item in &single {
        let found = series.iter().find(|series| series.labels == item.labels);
        let point = found.and_then(|series| series.points.iter().find(|point| point.at == at));
        if !point.is_some_and(|point| near(point.value, item.value)) {
            return Err(format!("{} is {point:?} instead of {}", item.labels, item.value));
        }
    }
    Ok(())
}
