//! Rule files as Prometheus reads them: groups of alerting and recording rules, evaluated at an interval; and promtool's unit tests of them.
//!
//! [`RuleFile`] is the file, [`Groups`] what runs: `tick` evaluates the groups that are due and says which alerts stand.

mod alert;
mod file;
mod go_number;
mod group;
mod humanize;
mod restore;
mod template;
mod unit;

pub use alert::{ActiveAlert, AlertState};
pub use file::{GroupSpec, RuleError, RuleFile, RuleSpec, Spelled};
pub use group::{Group, Groups, Health, RuleRun, Store};
pub use restore::{Restoring, Stood, StoodAlert};
pub use template::{Template, TemplateContext};
pub use unit::{UnitFile, UnitResult, holds_unit_tests};
