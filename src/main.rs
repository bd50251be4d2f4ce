//! The agent of a plant: finds out what broke, decides whether moving helps, moves exactly once.
fn main() {}
