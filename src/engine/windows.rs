//! Opens the maintenance windows of the config when they begin.

use super::Engine;

impl Engine {
    /// Those that have begun since the last look, and at the first look those that are open. From then on it is maintenance as if a person had said so.
    pub(super) fn open_windows(&mut self) {
        if self.policy.maintenance.is_empty() || self.now.minute() == self.windows_seen.minute() {
            return;
        }
        for window in &self.policy.maintenance {
            let Some(until) = window.open_until(self.windows_seen, self.now) else {
                continue;
            };
            for (_, state) in self.states.iter_mut().filter(|(name, _)| window.is_of(name)) {
                state.maintenance_until = state.maintenance_until.max(until);
                self.changed = true;
            }
        }
        self.windows_seen = self.now;
    }
}
