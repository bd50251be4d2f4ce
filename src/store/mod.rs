//! The store: the latest values of each series in bounded windows, columns side by side.
//!
//! In: samples. Out: windows and last values. Never: a decision, a name where a number will do, growth without a bound.
