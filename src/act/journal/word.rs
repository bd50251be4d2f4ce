//! Operators' words that outlive the agent: which of them still count, and which say the same.

use crate::engine::OperatorCommand;
use crate::model::Timestamp;

/// Does the older word say nothing any more once the newer one is said?
pub(super) fn supersedes(newer: &OperatorCommand, older: &OperatorCommand) -> bool {
    match (newer, older) {
        (OperatorCommand::Hold { .. }, OperatorCommand::Hold { .. }) => true,
        (OperatorCommand::Maintenance { service: of, .. }, OperatorCommand::Maintenance { service, .. }) => {
            of.is_none() || of == service
        }
        (OperatorCommand::Silenced { service: of, .. }, OperatorCommand::Silenced { service, .. }) => of == service,
        (OperatorCommand::Drilled { drill }, OperatorCommand::Drilled { drill: known }) => {
            (&drill.service, drill.kind) == (&known.service, known.kind)
        }
        _ => false,
    }
}

/// The same, by whomever.
pub(super) fn same(a: &OperatorCommand, b: &OperatorCommand) -> bool {
    match (a, b) {
        (OperatorCommand::Hold { on: a, .. }, OperatorCommand::Hold { on: b, .. }) => a == b,
        (
            OperatorCommand::Maintenance {
                service: a,
                until: ends,
                ..
            },
            OperatorCommand::Maintenance { service: b, until, .. },
        ) => (a, ends) == (b, until),
        (
            OperatorCommand::Silenced {
                service: a,
                until: ends,
                planned: later,
            },
            OperatorCommand::Silenced {
                service: b,
                until,
                planned,
            },
        ) => (a, ends, later) == (b, until, planned),
        (OperatorCommand::Drilled { drill: a }, OperatorCommand::Drilled { drill: b }) => a == b,
        (OperatorCommand::LinkUsed { link: a, .. }, OperatorCommand::LinkUsed { link: b, .. }) => a == b,
        _ => false,
    }
}

pub(super) fn still_counts(word: &OperatorCommand, now: Timestamp) -> bool {
    match word {
        OperatorCommand::Hold { on, .. } => *on,
        OperatorCommand::Maintenance { until, .. } | OperatorCommand::LinkUsed { until, .. } => *until > now,
        OperatorCommand::Silenced { until, planned, .. } => *until > now || planned.iter().any(|(_, ends)| *ends > now),
        OperatorCommand::Drilled { .. } => true,
        _ => false,
    }
}
