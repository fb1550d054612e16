//! What tests share and that tests nothing by itself.
//!
//! - [`aimock`]: a mock of model providers, where it is installed.
//! - [`coding`]: coding agents, a stand-in and a real one.
//! - `collector`: a collector of OpenTelemetry, where it is installed.
//! - [`dialogue`]: a person at the terminal, who answers questions.
//! - [`editor`]: an editor with the language server.
//! - `jetstream`: a server of NATS, where it is installed.
//! - [`parts`]: parts that may be missing.
//! - [`program`]: the program as a user starts it.
//! - [`serving`]: `orderflow serve`, and a client of it.
//! - [`place`]: a folder with a document in it, and runs of that document.
//! - [`restate_server`]: a real server of Restate, and workers of it.
//! - [`shop_floor`]: the example's shop, its folder and its database.
//! - [`python`]: programs in Python, where there is one.
//! - [`share`]: how much of a large table is tried.
//! - [`screen`]: the program at a terminal of a given size.
//! - [`parsers`]: every parser as a function of bytes, for tests and for `fuzz/`.

pub mod aimock;
pub mod coding;
#[cfg(feature = "telemetry")]
pub mod collector;
pub mod dialogue;
pub mod editor;
#[cfg(feature = "nats")]
pub mod jetstream;
pub mod parsers;
pub mod parts;
pub mod place;
pub mod program;
pub mod python;
#[cfg(feature = "restate")]
pub mod restate_server;
pub mod screen;
pub mod serving;
pub mod share;
pub mod shop_floor;
