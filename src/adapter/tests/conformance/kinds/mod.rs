//! A maker for each kind of agent.

mod closure;
mod coder;
mod container;
mod headless;
pub(in crate::adapter::tests) mod mcp;
mod model;
mod programs;
mod service;
mod worker;

pub(super) use closure::CLOSURE;
pub(super) use coder::CODER;
pub(super) use container::CONTAINER;
pub(super) use headless::HEADLESS;
pub(super) use mcp::TOOL;
pub(super) use model::{CHAT, MESSAGES, RESPONSES};
pub(super) use programs::{COMMAND, PYTHON, SHELL};
pub(super) use service::SERVICE;
pub(super) use worker::WORKER;

use std::path::{Path, PathBuf};
use std::sync::LazyLock;

/// The interpreter itself: what PATH finds may be a slow way to it.
pub(in crate::adapter::tests) static INTERPRETER: LazyLock<String> = LazyLock::new(|| {
    let output =
        std::process::Command::new("python3").args(["-c", "import sys; print(sys.executable)"]).output();
    String::from_utf8(output.unwrap().stdout).unwrap().trim().to_owned()
});

/// Writes the bytes that an agent says to a file of its own.
fn kept(bytes: &[u8], folder: &Path) -> PathBuf {
    let path = folder.join("answer");
    std::fs::write(&path, bytes).unwrap();
    path
}
