//! Scrapes of small servers that do what servers do: end, stall, cut off, redirect, ask for credentials, send too much.

#![allow(clippy::float_cmp, reason = "values arrive as they were written")]

mod answers;
mod security;
mod world;
