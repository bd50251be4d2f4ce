//! Company: what one channel does that the others of its entity do not account for.
//!
//! A load that comes and goes moves all of a device's signals together; a sensor that lies moves alone. Each channel is judged by
//! what is left of it when the others have said what they know (its conditional residual, from the inverse covariance), in several
//! [`View`]s: at four paces, from a jump to a creep over a thousand rows; and by how much is left of it row for row, as a geometric mean, for
//! noise and for a channel that follows the others no more: a burst makes a few rows large, a fault makes most of them larger; and by how well it still
//! does what they say ([`follows`]).
//! What is left of most others at the same time is taken into account too: when nothing fits any more, no single channel is to blame.
//!
//! Learns from its first rows, and again whenever twice as many are known: whoever holds it does so when it is [`Company::due`], because that
//! takes a moment. A row is only ever judged by what was learned before it.

mod follows;
mod pace;
#[cfg(test)]
mod tests;

use super::peaks::Peaks;
use super::{CHANNELS_MAX, LearnError};
use follows::{Follows, Told};
use pace::{Pace, Span};

/// Rows after which it first learns, and the most that are kept to learn from; then the older half goes. When so many were seen, it has learned.
const LEARN_MIN: usize = 192;
const KEPT_MAX: usize = 4096;
const LEARNED_ROWS: usize = 1 << 16;

/// The paces: what is compared with what, as the rows of two moving averages. The first compares the row itself.
const PACES: usize = 4;
const AVERAGES: [f64; PACES] = [1.0 / 8.0, 1.0 / 32.0, 1.0 / 128.0, 1.0 / 1024.0];

/// How channels hang together is learned at the first three. Of the slowest few independent moves are ever seen, and what holds at one pace
/// holds at the next.
const LEARNED: usize = 3;

/// The slowest average begins as if so many rows had lain at the centre.
const SETTLED_ROWS: f64 = 128.0;

/// What is left row for row is averaged over so many rows: at which pace, and how many.
const LOOSE: [(usize, f64); 3] = [(0, 32.0), (0, 128.0), (1, 128.0)];

/// Nothing left at all, in usual remainders: what has no logarithm.
const NOTHING: f64 = 0.05;

/// Ways of standing alone.
pub const VIEWS: usize = PACES + LOOSE.len() + 1;

/// The views from [`PACES`] on ask in several ways whether it still moves with the others. Chance raises one of them, a fault all, so they
/// count together: as the root of the sum of their squares, by this power of how many know enough to say anything.
const ALIKE: f32 = 0.28;

/// Of each view: false alarms a day of one channel by an exponential tail, rows of a stretch of which the peak counts, and rows before it
/// says anything. Jumps have the heaviest tail and are given least; what moves slowly has few independent peaks.
const VIEW: [View; VIEWS] = [
    View::of(0.03, 64, 0, "jumps alone"),
    View::of(0.09, 64, 0, "moves alone"),
    View::of(0.15, 64, 128, "moves alone and stays there"),
    View::of(0.005, 512, 512, "creeps alone"),
    View::of(0.02, 64, 32, "no longer moves with the others"),
    View::of(0.02, 128, 128, "no longer moves with the others"),
    View::of(0.02, 256, 128, "no longer moves with the others"),
    View::of(0.02, 128, 96, "no longer moves with the others"),
];

/// Who stands so many times as much alone as the next is told from it.
const CLEARLY: f32 = 1.2;

/// Parts into which the first rows are cut, so that each is judged by what the others teach.
const FOLDS: usize = 4;

/// Rows between looks at what spread is usual among the channels.
const POOL_ROWS: usize = 64;

/// First rows, of which nothing is learned: the averages begin at the first.
const WARM_UP: usize = 64;

/// See [`VIEW`].
struct View {
    false_per_day: f32,
    stretch: u16,
    from: usize,
    words: &'static str,
}

impl View {
    const fn of(false_per_day: f32, stretch: u16, from: usize, words: &'static str) -> Self {
        Self {
            false_per_day,
            stretch,
            from,
            words,
        }
    }
}

/// What is followed of a channel.
#[derive(Debug, Clone, Default)]
struct Channel {
    averages: Averages,
    /// Mean logarithms of what is left, see [`LOOSE`].
    loose: [f64; LOOSE.len()],
    follows: Follows,
    rows: u32,
    peaks: [Peaks; VIEWS],
    strengths: [f32; VIEWS],
}

/// Moving averages, and how many rows they have seen.
#[derive(Debug, Clone, Default)]
struct Averages {
    values: [f64; PACES],
    rows: u32,
}

/// See the module. For one entity.
#[derive(Debug, Clone)]
pub struct Company {
    width: usize,
    /// What is learned from, in no more digits than that needs.
    rows: Vec<f32>,
    seen: usize,
    judged: usize,
    next_fit: usize,
    row_secs: f32,
    spans: Vec<Span>,
    paces: Vec<Pace>,
    channels: Vec<Channel>,
    /// Of each view, how far peaks usually spread: the channels learn it from one another.
    usual: [f32; VIEWS],
    strengths: Vec<f32>,
}

impl Company {
    /// For rows of so many channels.
    pub fn new(channels: usize) -> Result<Self, LearnError> {
        if !(2..=CHANNELS_MAX).contains(&channels) {
            return Err(LearnError::Channels { channels });
        }
        Ok(Self {
            width: channels,
            rows: Vec::new(),
            seen: 0,
            judged: 0,
            next_fit: LEARN_MIN,
            row_secs: 0.0,
            spans: Vec::new(),
            paces: Vec::new(),
            channels: vec![Channel::default(); channels],
            usual: [0.0; VIEWS],
            strengths: vec![0.0; channels],
        })
    }

    /// Takes in the next row, `secs` after the one before. Values that are missing are not finite. The answer is, of each
    /// channel, how far it stands alone: from 1 on that is worth an alarm. Nothing until it has learned once, and of a row of another length.
    pub fn observe(&mut self, row: &[f64], secs: f32) -> Option<&[f32]> {
        if row.len() != self.width || !row.iter().any(|value| value.is_finite()) {
            return None;
        }
        self.seen += 1;
        if secs > 0.0 && secs.is_finite() {
            let weight = (1.0 / self.seen as f32).max(1.0 / 256.0);
            self.row_secs += weight * (secs.min(8.0 * self.row_secs.max(secs / 8.0)) - self.row_secs);
        }
        let judged = !self.paces.is_empty();
        if judged {
            self.judge(row);
        }
        self.keep(row);
        judged.then_some(&self.strengths)
    }

    /// There is more to learn from: [`Self::learn`] is due.
    pub fn due(&self) -> bool {
        self.seen >= self.next_fit && !self.rows.is_empty()
    }

    /// How far a channel stood alone at the latest row.
    pub fn strength(&self, channel: usize) -> f32 {
        self.strengths.get(channel).copied().unwrap_or(0.0)
    }

    /// Whether the channel stands more alone than every other, clearly: where several do about as much, nothing fits any more, and it cannot be
    /// said who is to blame. Of two each stands apart from the other.
    pub fn is_apart(&self, channel: usize) -> bool {
        let others = self.strengths.iter().enumerate().filter(|(place, _)| *place != channel);
        let next = others.map(|(_, strength)| *strength).fold(0.0, f32::max);
        self.width == 2 || self.strength(channel) >= CLEARLY * next
    }

    /// What a strength is as a surprise, minus the logarithm of a probability: with 1, a row that comes about by chance as often as all views
    /// together are allowed to raise false alarms.
    pub fn surprise(&self, strength: f32) -> f32 {
        let rows_per_day = 86_400.0 / self.row_secs.max(1e-3);
        let allowed: f32 = VIEW.iter().map(|view| view.false_per_day).sum();
        strength * (rows_per_day / allowed).ln().max(2.0)
    }

    /// What the channel does when it stands alone most as it does now.
    pub fn words(&self, channel: usize) -> &'static str {
        let strengths = self
            .channels
            .get(channel)
            .map_or([0.0; VIEWS], |channel| channel.strengths);
        let most = (0..VIEWS).max_by(|a, b| strengths[*a].total_cmp(&strengths[*b]));
        most.map_or("", |view| VIEW[view].words)
    }

    fn keep(&mut self, row: &[f64]) {
        if self.next_fit > LEARNED_ROWS {
            self.rows = Vec::new();
            return;
        }
        self.rows.extend(row.iter().map(|value| *value as f32));
        if self.rows.len() > KEPT_MAX * self.width {
            // The newest half: moves need rows that follow one another.
            self.rows.drain(..KEPT_MAX / 2 * self.width);
        }
    }

    fn judge(&mut self, row: &[f64]) {
        let mut steps = [[0.0; CHANNELS_MAX]; PACES];
        for ((channel, value), (place, span)) in self.channels.iter_mut().zip(row).zip(self.spans.iter().enumerate()) {
            let moved = channel.averages.moves(span.place(*value));
            for (steps, step) in steps.iter_mut().zip(moved) {
                steps[place] = step;
            }
        }
        let width = self.width;
        let mut alone = [[0.0; CHANNELS_MAX]; PACES];
        let mut told = [Told::default(); CHANNELS_MAX];
        for (place, (alone, steps)) in alone.iter_mut().zip(&mut steps).enumerate() {
            if let Some(pace) = self.paces.get(place.min(LEARNED - 1)) {
                let at_pace;
                (*alone, at_pace) = pace.alone(&mut steps[..width]);
                if place == 0 {
                    told = at_pace;
                }
            }
        }
        self.judged += 1;
        let bars: [f32; VIEWS] =
            std::array::from_fn(|view| Peaks::bar_over(VIEW[view].stretch, self.row_secs, VIEW[view].false_per_day));
        let channels = self.channels.iter_mut().zip(&mut self.strengths).zip(row);
        for (place, ((channel, strength), value)) in channels.enumerate() {
            channel.strengths = [0.0; VIEWS];
            if value.is_finite() {
                let left = std::array::from_fn(|pace| alone[pace][place]);
                let seen = channel.views(left, told[place]);
                for (view, rules) in VIEW.iter().enumerate() {
                    if self.judged > rules.from {
                        let above = channel.peaks[view].push_among(seen[view] as f32, rules.stretch, self.usual[view]);
                        let bar = channel.peaks[view].tempered(bars[view]);
                        channel.strengths[view] = above / bar;
                    }
                }
            }
            *strength = channel.strength();
        }
        if self.judged.is_multiple_of(POOL_ROWS) {
            self.pool();
        }
    }

    /// What spread is usual among the channels: the median, so that a few wild ones change nothing.
    fn pool(&mut self) {
        for (view, usual) in self.usual.iter_mut().enumerate() {
            let known = self
                .channels
                .iter()
                .filter_map(|channel| channel.peaks[view].variance());
            let mut known: Vec<f32> = known.collect();
            known.sort_by(f32::total_cmp);
            *usual = known.get(known.len() / 2).copied().unwrap_or(0.0);
        }
    }

    /// Learns from the rows that are kept: what takes a moment, the longer the more channels there are.
    pub fn learn(&mut self) {
        while self.next_fit <= self.seen {
            self.next_fit *= 2;
        }
        let width = self.width;
        let count = self.rows.len() / width;
        if count <= WARM_UP {
            return;
        }
        self.spans = (0..width)
            .map(|channel| {
                Span::of(
                    self.rows
                        .iter()
                        .skip(channel)
                        .step_by(width)
                        .map(|value| f64::from(*value)),
                )
            })
            .collect();
        let mut steps: [Vec<f64>; LEARNED] = std::array::from_fn(|_| Vec::with_capacity((count - WARM_UP) * width));
        let mut averages = vec![Averages::default(); width];
        for (n, row) in self.rows.chunks_exact(width).enumerate() {
            for (channel, value) in row.iter().enumerate() {
                let here = self.spans[channel].place(f64::from(*value));
                if n == 0 {
                    averages[channel] = Averages::begun(here);
                }
                let moves = averages[channel].moves(here);
                if n >= WARM_UP {
                    for (steps, step) in steps.iter_mut().zip(moves) {
                        steps.push(step);
                    }
                }
            }
        }
        // Without an inverse what was known before stays.
        let Some(paces) = fit(&steps, width, 0..0) else { return };
        if self.paces.is_empty() {
            self.prime(&steps, count);
        } else {
            let peaks = self.channels.iter_mut().flat_map(|channel| &mut channel.peaks);
            peaks.for_each(Peaks::doubt);
        }
        self.paces = paces;
        for (channel, averages) in self.channels.iter_mut().zip(averages) {
            channel.averages = averages;
        }
    }

    /// The rows that were learned from are a beginning of what is usual; each is judged by what was learned from the others, because by what was
    /// learned from itself it would look too usual.
    fn prime(&mut self, steps: &[Vec<f64>; LEARNED], count: usize) {
        let rows = std::mem::take(&mut self.rows);
        let (width, learned) = (self.width, count - WARM_UP);
        for ((channel, value), span) in self.channels.iter_mut().zip(&rows).zip(&self.spans) {
            channel.averages = Averages::begun(span.place(f64::from(*value)));
        }
        for fold in 0..FOLDS {
            let part = learned * fold / FOLDS..learned * (fold + 1) / FOLDS;
            if let Some(paces) = fit(steps, width, part.clone()) {
                self.paces = paces;
            }
            let first = if fold == 0 { 0 } else { WARM_UP + part.start };
            for row in rows.chunks_exact(width).take(WARM_UP + part.end).skip(first) {
                let row: Vec<f64> = row.iter().map(|value| f64::from(*value)).collect();
                self.judge(&row);
            }
        }
        self.rows = rows;
        self.pool();
    }
}

/// What is normal at each pace, by all rows but those `without`.
fn fit(steps: &[Vec<f64>; LEARNED], width: usize, without: std::ops::Range<usize>) -> Option<Vec<Pace>> {
    let steps = steps.iter().map(|steps| {
        let (before, after) = (&steps[..without.start * width], &steps[without.end * width..]);
        Pace::fit([before, after].concat(), width)
    });
    steps.collect()
}

impl Channel {
    /// What each view sees of what is left of the channel at each pace.
    fn views(&mut self, left: [f64; PACES], told: Told) -> [f64; VIEWS] {
        self.rows = self.rows.saturating_add(1);
        let mut seen = [0.0; VIEWS];
        seen[..PACES].copy_from_slice(&left);
        for (((pace, rows), mean), seen) in LOOSE.into_iter().zip(&mut self.loose).zip(&mut seen[PACES..]) {
            let weight = (1.0 / rows).max(1.0 / f64::from(self.rows));
            *mean += weight * ((left[pace] + NOTHING).ln() - *mean);
            *seen = mean.exp();
        }
        seen[VIEWS - 1] = self.follows.push(told, self.rows);
        seen
    }

    /// By all views.
    fn strength(&self) -> f32 {
        let (moves, alike) = self.strengths.split_at(PACES);
        let squares: f32 = alike.iter().map(|strength| strength * strength).sum();
        let known = self.peaks[PACES..].iter().filter(|peaks| peaks.variance().is_some());
        let together = squares.sqrt() / (known.count().max(1) as f32).powf(ALIKE);
        moves.iter().copied().fold(together, f32::max)
    }
}

impl Averages {
    /// With the first value; the slowest begins at the centre.
    fn begun(here: f64) -> Self {
        let mut begun = Self::default();
        if here.is_finite() {
            begun.values[..LEARNED].fill(here);
        }
        begun
    }

    /// How far `here` is from the shortest average, that one from the next, and so on; the averages then follow.
    fn moves(&mut self, here: f64) -> [f64; PACES] {
        if !here.is_finite() {
            return [f64::NAN; PACES];
        }
        let jump = here - self.values[0];
        for (place, (average, weight)) in self.values.iter_mut().zip(AVERAGES).enumerate() {
            let young = if place < LEARNED {
                0.0
            } else {
                1.0 / (SETTLED_ROWS + f64::from(self.rows))
            };
            *average += weight.max(young) * (here - *average);
        }
        self.rows = self.rows.saturating_add(1);
        let [first, second, third, last] = self.values;
        [jump, first - second, second - third, third - last]
    }
}
