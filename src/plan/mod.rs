//! Planning: which standby takes over, and by which steps.
