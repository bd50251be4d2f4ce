//! Holds spans with their steps, in columns, with numbers for names.

use std::collections::{BTreeMap, BTreeSet};

use crate::diagnose::drain::Drain;
use crate::model::hash::{FNV, fnv1a};

/// Spans that are kept; further ones are counted.
const MAX_SPANS: usize = 8_000_000;
/// Log lines that are kept; further ones are counted.
const MAX_LINES: usize = 8_000_000;
/// Lines and spans are kept or lost by the minute.
const MINUTE_NS: i64 = 60_000_000_000;
/// Spans above and below one another; deeper ones hang on nothing. A loop of parents ends here as well.
pub(super) const MAX_DEPTH: usize = 64;

/// A span as it was read.
#[derive(Debug, Clone, Copy)]
pub struct SpanRow<'a> {
    /// The trace.
    pub trace: &'a str,
    /// The span.
    pub span: &'a str,
    /// The span that it was called from, or anything that is none.
    pub parent: &'a str,
    /// Who worked.
    pub service: &'a str,
    /// At what.
    pub operation: &'a str,
    /// Nanoseconds since 1970.
    pub start_ns: i64,
    /// Nanoseconds since 1970.
    pub end_ns: i64,
}

/// A log line as it was read.
#[derive(Debug, Clone, Copy)]
pub struct LogRow<'a> {
    /// The span that it was written in.
    pub span: &'a str,
    /// Who wrote.
    pub service: &'a str,
    /// Nanoseconds since 1970.
    pub time_ns: i64,
    /// What.
    pub text: &'a str,
}

#[derive(Debug, Clone, Copy)]
pub(super) struct Span {
    pub id: u64,
    pub parent_id: u64,
    pub trace: u64,
    pub signature: u32,
    pub start: i64,
    pub end: i64,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
struct Line {
    span: u64,
    step: u32,
    time: i64,
    hash: u64,
}

/// A step of a signature.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub(super) enum Step {
    /// A child of this signature.
    Child(u32),
    /// A log line of this template.
    Line(u32),
}

/// A signature, or one of its variants, that takes a step at least so many times.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub(super) struct Pair {
    pub variant: u32,
    pub step: u32,
    pub times: u32,
}

/// A step taken more often counts at each of these: a loop that ends too early takes the same steps, but fewer.
const TIMES: &[u32] = &[1, 2, 3, 5, 8, 13, 21];

/// Absent parent.
pub(super) const NONE: u32 = u32::MAX;

/// All spans and lines of a system, in order.
#[derive(Debug, Default)]
pub struct Story {
    drain: Drain,
    services: Names,
    signatures: BTreeMap<u32, BTreeMap<String, u32>>,
    pub(super) signature_of: Vec<(u32, String)>,
    steps: BTreeMap<Step, u32>,
    step_of: Vec<Step>,
    pairs: BTreeMap<Pair, u32>,
    pub(super) pair_of: Vec<Pair>,
    pub(super) spans: Vec<Span>,
    lines: Vec<Line>,
    minutes: BTreeSet<i64>,
    beyond: u64,
    pub(super) parents: Vec<u32>,
    taken_from: Vec<u32>,
    taken: Vec<u32>,
    pub(super) own_ns: Vec<i64>,
    /// One operation often serves several kinds of requests; what it does first tells them apart. A variant is a signature with its first child;
    /// numbers below the number of signatures are the signatures themselves.
    variants: BTreeMap<(u32, u32), u32>,
    variant_of: Vec<u32>,
    pub(super) base_of: Vec<u32>,
    /// It waits for another service: what is its own cannot be told from the way there and back.
    pub(super) crosses: Vec<bool>,
    /// Nobody else was called from where it was called from.
    pub(super) only_child: Vec<bool>,
    /// One, shared by the spans of one signature in one trace.
    pub(super) shares: Vec<f64>,
}

#[derive(Debug, Default)]
struct Names {
    numbers: BTreeMap<String, u32>,
    names: Vec<String>,
}

impl Names {
    fn number(&mut self, name: &str) -> u32 {
        if let Some(number) = self.numbers.get(name) {
            return *number;
        }
        let number = u32::try_from(self.names.len()).unwrap_or(NONE);
        self.numbers.insert(name.to_owned(), number);
        self.names.push(name.to_owned());
        number
    }
}

/// Span ids are random already, they need only become numbers.
fn number_of(text: &str) -> u64 {
    fnv1a(FNV, text)
}

impl Story {
    /// Empty.
    pub fn new() -> Self {
        Self::default()
    }

    /// Takes a span.
    pub fn push_span(&mut self, row: &SpanRow<'_>) {
        if self.spans.len() >= MAX_SPANS {
            self.beyond += 1;
            return;
        }
        let service = self.services.number(row.service);
        let known = self.signatures.entry(service).or_default();
        let signature = known.get(row.operation).copied().unwrap_or_else(|| {
            let fresh = u32::try_from(self.signature_of.len()).unwrap_or(NONE);
            known.insert(row.operation.to_owned(), fresh);
            self.signature_of.push((service, row.operation.to_owned()));
            fresh
        });
        self.spans.push(Span {
            id: number_of(row.span),
            parent_id: number_of(row.parent),
            trace: number_of(row.trace),
            signature,
            start: row.start_ns,
            end: row.end_ns.max(row.start_ns),
        });
    }

    /// Takes a log line.
    pub fn push_line(&mut self, row: &LogRow<'_>) {
        if self.lines.len() >= MAX_LINES {
            self.beyond += 1;
            return;
        }
        let template = self.drain.learn(row.text);
        let step = self.step(Step::Line(template));
        self.minutes.insert(row.time_ns.div_euclid(MINUTE_NS));
        self.lines.push(Line {
            span: number_of(row.span),
            step,
            time: row.time_ns,
            hash: number_of(row.text),
        });
    }

    fn step(&mut self, step: Step) -> u32 {
        let next = u32::try_from(self.step_of.len()).unwrap_or(NONE);
        *self.steps.entry(step).or_insert_with(|| {
            self.step_of.push(step);
            next
        })
    }

    /// Links what was taken. Spans and lines that were taken twice count once.
    pub fn finish(&mut self) {
        self.spans.sort_by_key(|span| (span.start, span.trace, span.id));
        let mut seen = BTreeSet::new();
        self.spans.retain(|span| seen.insert(span.id));
        drop(seen);
        let mut index: Vec<(u64, u32)> = self
            .spans
            .iter()
            .enumerate()
            .filter_map(|(at, span)| Some((span.id, u32::try_from(at).ok()?)))
            .collect();
        index.sort_unstable();
        let find = |id: u64| -> u32 {
            index
                .binary_search_by_key(&id, |(id, _)| *id)
                .ok()
                .and_then(|at| index.get(at))
                .map_or(NONE, |(_, at)| *at)
        };
        let mut steps: Vec<(u32, u32)> = Vec::with_capacity(self.spans.len() + self.lines.len());
        self.parents = self.spans.iter().map(|span| find(span.parent_id)).collect();
        self.own_ns = self.spans.iter().map(|span| span.end - span.start).collect();
        self.crosses = vec![false; self.spans.len()];
        let mut children = vec![0_u32; self.spans.len()];
        let mut firsts = vec![NONE; self.spans.len()];
        for at in 0..self.spans.len() {
            let parent = self.parents[at];
            if parent == NONE || parent as usize == at {
                continue;
            }
            let child = self.spans[at];
            let step = self.step(Step::Child(child.signature));
            steps.push((parent, step));
            self.own_ns[parent as usize] -= child.end - child.start;
            children[parent as usize] += 1;
            if firsts[parent as usize] == NONE {
                firsts[parent as usize] = child.signature;
            }
            if self.service_number(child.signature) != self.service_number(self.spans[parent as usize].signature) {
                self.crosses[parent as usize] = true;
            }
        }
        self.only_child = self
            .parents
            .iter()
            .map(|parent| children.get(*parent as usize) == Some(&1))
            .collect();
        self.shares = self.share_out();
        self.base_of = (0..u32::try_from(self.signature_of.len()).unwrap_or(NONE)).collect();
        self.variant_of = firsts
            .iter()
            .zip(&self.spans)
            .map(|(first, span)| {
                if *first == NONE {
                    return NONE;
                }
                let fresh = u32::try_from(self.base_of.len()).unwrap_or(NONE);
                *self.variants.entry((span.signature, *first)).or_insert_with(|| {
                    self.base_of.push(span.signature);
                    fresh
                })
            })
            .collect();
        self.lines.sort_unstable();
        self.lines.dedup();
        for line in &self.lines {
            let at = find(line.span);
            if at != NONE {
                steps.push((at, line.step));
            }
        }
        steps.sort_unstable();
        self.taken_from = vec![0; self.spans.len() + 1];
        self.taken = Vec::with_capacity(steps.len());
        let mut next = steps.iter().peekable();
        for at in 0..self.spans.len() {
            while let Some(&(_, step)) = next.next_if(|(span, _)| *span as usize == at) {
                let mut count = 1;
                while next.next_if_eq(&&(u32::try_from(at).unwrap_or(NONE), step)).is_some() {
                    count += 1;
                }
                for &times in TIMES.iter().filter(|times| **times <= count) {
                    for variant in [self.spans[at].signature, self.variant_of[at]] {
                        if variant == NONE {
                            continue;
                        }
                        let key = Pair { variant, step, times };
                        let fresh = u32::try_from(self.pair_of.len()).unwrap_or(NONE);
                        let pair = *self.pairs.entry(key).or_insert_with(|| {
                            self.pair_of.push(key);
                            fresh
                        });
                        self.taken.push(pair);
                    }
                }
            }
            let from = self.taken_from[at] as usize;
            if let Some(own) = self.taken.get_mut(from..) {
                own.sort_unstable();
            }
            self.taken_from[at + 1] = u32::try_from(self.taken.len()).unwrap_or(NONE);
        }
    }

    fn share_out(&self) -> Vec<f64> {
        let mut order: Vec<usize> = (0..self.spans.len()).collect();
        let key = |at: &usize| (self.spans[*at].trace, self.spans[*at].signature);
        order.sort_unstable_by_key(key);
        let mut shares = vec![1.0; self.spans.len()];
        for group in order.chunk_by(|a, b| key(a) == key(b)) {
            for &at in group {
                shares[at] = 1.0 / group.len() as f64;
            }
        }
        shares
    }

    /// The pairs of signature and step that a span took, sorted.
    pub(super) fn taken(&self, span: usize) -> &[u32] {
        let from = self.taken_from.get(span).copied().unwrap_or(0) as usize;
        let until = self.taken_from.get(span + 1).copied().unwrap_or(0) as usize;
        self.taken.get(from..until).unwrap_or(&[])
    }

    /// Spans that began in `from..until`.
    pub(super) fn between(&self, from: i64, until: i64) -> std::ops::Range<usize> {
        self.spans.partition_point(|span| span.start < from)..self.spans.partition_point(|span| span.start < until)
    }

    pub(super) fn service_number(&self, signature: u32) -> u32 {
        self.signature_of
            .get(signature as usize)
            .map_or(NONE, |(service, _)| *service)
    }

    /// The signature of a span, and its variant if it has one.
    pub(super) fn variants(&self, span: usize) -> impl Iterator<Item = usize> + '_ {
        [
            self.spans.get(span).map_or(NONE, |span| span.signature),
            self.variant_of.get(span).copied().unwrap_or(NONE),
        ]
        .into_iter()
        .filter(|variant| *variant != NONE)
        .map(|variant| variant as usize)
    }

    /// Whose work a pair is.
    pub(super) fn service_of(&self, pair: Pair) -> u32 {
        self.service_number(self.base_of.get(pair.variant as usize).copied().unwrap_or(NONE))
    }

    pub(super) fn service(&self, number: u32) -> &str {
        self.services.names.get(number as usize).map_or("", String::as_str)
    }

    pub(super) fn step_at(&self, number: u32) -> Option<Step> {
        self.step_of.get(number as usize).copied()
    }

    pub(super) fn is_error(&self, step: Step) -> bool {
        match step {
            Step::Line(template) => self.drain.is_error(template),
            Step::Child(signature) => self
                .signature_of
                .get(signature as usize)
                .is_some_and(|(_, operation)| operation.to_ascii_lowercase().contains("error")),
        }
    }

    pub(super) fn describe(&self, pair: Pair) -> String {
        let base = self.base_of.get(pair.variant as usize).copied().unwrap_or(NONE);
        let operation = self.signature_of.get(base as usize).map_or("", |s| s.1.as_str());
        let times = if pair.times > 1 {
            format!(" ({} times)", pair.times)
        } else {
            String::new()
        };
        match self.step_at(pair.step) {
            Some(Step::Child(child)) => {
                let (service, name) = self
                    .signature_of
                    .get(child as usize)
                    .map_or(("", ""), |(service, name)| (self.service(*service), name));
                format!("{operation} → {service} {name}{times}")
            }
            Some(Step::Line(template)) => {
                let text: String = self.drain.text(template).chars().take(120).collect();
                format!("{operation}: “{text}”{times}")
            }
            None => operation.to_owned(),
        }
    }

    /// Some line was written in this minute.
    pub(super) fn has_lines(&self, time: i64) -> bool {
        self.minutes.contains(&time.div_euclid(MINUTE_NS))
    }

    /// How many spans there are.
    pub fn len(&self) -> usize {
        self.spans.len()
    }

    /// None.
    pub fn is_empty(&self) -> bool {
        self.spans.is_empty()
    }

    /// Spans and lines beyond the bounds.
    pub fn beyond(&self) -> u64 {
        self.beyond
    }
}
