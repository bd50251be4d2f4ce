//! Small charts as SVG: a timeline of findings, and the signals that they were made of. Colours come from the page's style.

use std::fmt::Write as _;

use crate::api::escape;
use crate::model::{Severity, Timestamp};

/// Width of every chart in its own units.
const WIDTH: f64 = 1000.0;

/// What stands left of a timeline.
const LABELS: f64 = 260.0;

const LANE: f64 = 18.0;

/// Points of a signal that are drawn; of more, the least and the greatest of each stretch.
const POINTS_MAX: usize = 500;

/// From when to when a page looks.
#[derive(Clone, Copy)]
pub struct Range {
    /// The first input.
    pub begins: Timestamp,
    /// The last one.
    pub ends: Timestamp,
}

impl Range {
    /// Seconds from the beginning.
    pub fn seconds(self, at: Timestamp) -> f64 {
        (at.nanos().saturating_sub(self.begins.nanos())) as f64 / 1e9
    }

    fn x(self, at: Timestamp, left: f64) -> f64 {
        let whole = self.seconds(self.ends).max(1e-9);
        left + (self.seconds(at) / whole).clamp(0.0, 1.0) * (WIDTH - left)
    }
}

/// Something that lasted.
pub struct Bar {
    /// Of what.
    pub label: String,
    /// How bad.
    pub severity: Severity,
    /// From when to when.
    pub spans: Vec<(Timestamp, Timestamp)>,
}

/// A moment.
pub struct Mark {
    /// When.
    pub at: Timestamp,
    /// The style: `truth`, `plan`, `done`.
    pub class: &'static str,
    /// In words.
    pub text: String,
}

/// Bars below one another, marks across all of them.
pub fn timeline(range: Range, bars: &[Bar], marks: &[Mark]) -> String {
    let height = LANE * (bars.len() as f64 + 2.0);
    let mut svg = format!("<svg viewBox=\"0 0 {WIDTH} {height:.0}\" role=\"img\" aria-label=\"timeline\">");
    axis(range, LABELS, height - LANE, &mut svg);
    for (lane, bar) in bars.iter().enumerate() {
        let y = LANE * (lane as f64 + 0.5);
        let _ = write!(
            svg,
            "<text class=\"label\" x=\"{:.0}\" y=\"{:.1}\">{}</text>",
            LABELS - 6.0,
            y + 10.0,
            escape(&bar.label)
        );
        let class = match bar.severity {
            Severity::Info => "info",
            Severity::Warning => "warning",
            Severity::Critical => "critical",
        };
        for (from, to) in &bar.spans {
            let (left, right) = (range.x(*from, LABELS), range.x(*to, LABELS));
            let _ = write!(
                svg,
                "<rect class=\"{class}\" x=\"{left:.1}\" y=\"{:.1}\" width=\"{:.1}\" height=\"{:.0}\"><title>{}: {:.3}s to {:.3}s</title></rect>",
                y + 2.0,
                (right - left).max(2.0),
                LANE - 5.0,
                escape(&bar.label),
                range.seconds(*from),
                range.seconds(*to),
            );
        }
    }
    for mark in marks {
        let x = range.x(mark.at, LABELS);
        let _ = write!(
            svg,
            "<line class=\"{}\" x1=\"{x:.1}\" x2=\"{x:.1}\" y1=\"0\" y2=\"{:.0}\"><title>{:.3}s {}</title></line>",
            mark.class,
            height - LANE,
            range.seconds(mark.at),
            escape(&mark.text)
        );
    }
    svg + "</svg>"
}

/// Seconds below a chart.
fn axis(range: Range, left: f64, y: f64, svg: &mut String) {
    let whole = range.seconds(range.ends);
    for part in 0..=4_u32 {
        let share = f64::from(part) / 4.0;
        let x = left + share * (WIDTH - left);
        let anchor = if part == 4 { "end" } else { "start" };
        let _ = write!(
            svg,
            "<line class=\"grid\" x1=\"{x:.1}\" x2=\"{x:.1}\" y1=\"0\" y2=\"{y:.0}\"/><text class=\"tick\" text-anchor=\"{anchor}\" x=\"{x:.1}\" y=\"{:.0}\">{:.1}s</text>",
            y + 12.0,
            whole * share
        );
    }
}

/// One signal over time.
pub fn line(range: Range, label: &str, points: &[(Timestamp, f64)], marks: &[Mark]) -> String {
    const HEIGHT: f64 = 90.0;
    let finite: Vec<(Timestamp, f64)> = points.iter().copied().filter(|(_, value)| value.is_finite()).collect();
    let (low, high) = finite
        .iter()
        .fold((f64::INFINITY, f64::NEG_INFINITY), |(low, high), (_, value)| {
            (low.min(*value), high.max(*value))
        });
    if finite.is_empty() {
        return String::new();
    }
    // Halves, because the span of the largest numbers is beyond any number.
    let span = (high / 2.0 - low / 2.0).max(f64::MIN_POSITIVE);
    let y = |value: f64| 14.0 + (1.0 - ((value / 2.0 - low / 2.0) / span).clamp(0.0, 1.0)) * (HEIGHT - 32.0);
    let mut svg = format!("<svg viewBox=\"0 0 {WIDTH} {HEIGHT:.0}\" role=\"img\">");
    axis(range, 0.0, HEIGHT - 14.0, &mut svg);
    let _ = write!(
        svg,
        "<text class=\"name\" x=\"4\" y=\"11\">{} ({low} to {high})</text><polyline points=\"",
        escape(label)
    );
    for (at, value) in thinned(&finite) {
        let _ = write!(svg, "{:.1},{:.1} ", range.x(at, 0.0), y(value));
    }
    svg += "\"/>";
    for mark in marks {
        let x = range.x(mark.at, 0.0);
        let _ = write!(
            svg,
            "<line class=\"{}\" x1=\"{x:.1}\" x2=\"{x:.1}\" y1=\"0\" y2=\"{:.0}\"/>",
            mark.class,
            HEIGHT - 14.0
        );
    }
    svg + "</svg>"
}

/// The least and the greatest of each stretch, in their order: no spike is lost.
fn thinned(points: &[(Timestamp, f64)]) -> Vec<(Timestamp, f64)> {
    if points.len() <= POINTS_MAX {
        return points.to_vec();
    }
    let stretch = points.len().div_ceil(POINTS_MAX / 2);
    let mut out = Vec::new();
    for part in points.chunks(stretch) {
        let by_value = |a: &&(Timestamp, f64), b: &&(Timestamp, f64)| a.1.total_cmp(&b.1);
        let mut ends: Vec<_> = [part.iter().min_by(by_value), part.iter().max_by(by_value)]
            .into_iter()
            .flatten()
            .copied()
            .collect();
        ends.sort_by_key(|(at, _)| *at);
        out.extend(ends);
    }
    out
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn thinning_keeps_a_lone_spike_and_names_are_no_markup() {
        let points: Vec<_> = (0..10_000)
            .map(|n| (Timestamp::from_secs(n), if n == 5_001 { 99.0 } else { 1.0 }))
            .collect();
        let few = thinned(&points);
        assert!(few.len() <= POINTS_MAX && few.contains(&(Timestamp::from_secs(5_001), 99.0)));
        let range = Range {
            begins: Timestamp::EPOCH,
            ends: Timestamp::from_secs(10_000),
        };
        let svg = line(range, "<script>", &points, &[]);
        assert!(svg.contains("&lt;script&gt;") && !svg.contains("<script"));
        assert!(line(range, "x", &[(Timestamp::EPOCH, f64::NAN)], &[]).is_empty());
        let huge = [(Timestamp::EPOCH, f64::MAX), (Timestamp::from_secs(1), f64::MIN)];
        assert!(!line(range, "x", &huge, &[]).contains("NaN"));
    }
}
