//! Opens the maintenance windows of the config when they begin.

use crate::model::{ServiceName, Timestamp};

use super::Engine;

impl Engine {
    /// Those that have begun since the last look, and at the first look those that are open. From then on it is maintenance as if a person had said so.
    pub(super) fn open_windows(&mut self) {
        if self.policy.maintenance.is_empty() || self.now.minute() == self.windows_seen.minute() {
            return;
        }
        let mut opened: Vec<(ServiceName, Timestamp)> = Vec::new();
        for window in &self.policy.maintenance {
            if let Some(until) = window.open_until(self.windows_seen, self.now) {
                let of_it = self.services.keys().filter(|name| window.is_of(name));
                opened.extend(of_it.map(|name| (name.clone(), until)));
            }
        }
        for (name, until) in opened {
            self.each_state(Some(&name), |state| {
                state.maintenance_until = state.maintenance_until.max(until);
            });
            self.changed = true;
        }
        self.windows_seen = self.now;
    }
}
