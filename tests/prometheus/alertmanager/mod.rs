//! Beside real Alertmanagers: our alerts out, their webhooks in, silences, and the bodies that they take and send.

mod bodies;
mod inward;
mod outward;
mod world;
