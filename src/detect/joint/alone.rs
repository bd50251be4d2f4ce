//! The signal that no longer moves with the others of its device: since when, and whether it was told.

use crate::detect::budget::one_in;
use crate::detect::multivariate::Company;
use crate::detect::news::LEAST;
use crate::detect::scribe::Scribe;
use crate::detect::settings::JointSettings;
use crate::model::{SignalName, SymptomKind, Timestamp};

use super::draft;

/// A signal that stands alone by less than this is back among the others, after so many rows in a row.
const BACK: f32 = 0.6;
const BACK_ROWS: u32 = 60;

/// The signal that stands alone, if one does.
#[derive(Default)]
pub struct Alone {
    channel: usize,
    /// Since when it is the one that does so most, and by more than [`BACK`].
    since: Option<Timestamp>,
    /// Rows since the one that was told came back.
    back: u32,
    told: Option<(usize, SignalName)>,
}

impl Alone {
    /// `most` stands alone most.
    pub fn follow(
        &mut self,
        most: usize,
        company: &Company,
        members: &[(u32, SignalName)],
        entity: usize,
        at: Timestamp,
        bar: f32,
        settings: &JointSettings,
        out: &mut Scribe<'_>,
    ) {
        let strength = company.strength(most);
        if strength < BACK {
            self.since = None;
        } else if self.since.is_none() || most != self.channel {
            self.channel = most;
            self.since = Some(at);
        }
        if let Some((channel, _)) = &self.told {
            self.back = if company.strength(*channel) < BACK {
                self.back.saturating_add(1)
            } else {
                0
            };
            if self.back >= BACK_ROWS
                && let Some((_, signal)) = self.told.take()
            {
                out.clear_entity(entity, SymptomKind::Decoupled, signal.as_str(), at);
            }
            return;
        }
        let surprise = company.surprise(strength);
        if surprise >= LEAST {
            out.ledger.hear(entity, surprise, out.now);
        }
        if surprise < bar || !company.is_apart(most) {
            return;
        }
        let Some((_, signal)) = members.get(most) else {
            return;
        };
        let (does, others) = (company.words(most), members.len() - 1);
        let (rare, bar_in) = (one_in(surprise), one_in(bar));
        let text = format!(
            "{does}, by what its {others} other signals say of it; {rare} by its own past, told from {bar_in} on"
        );
        let onset = self.since.unwrap_or(at);
        let draft = draft(SymptomKind::Decoupled, text, onset, surprise, bar, settings);
        out.ledger.spend(entity, out.now);
        out.raise_entity(entity, signal.as_str(), draft);
        self.told = Some((most, signal.clone()));
        self.back = 0;
    }
}
