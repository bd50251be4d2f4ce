//! Decision: would moving help, and may we? One list of gates in order.
