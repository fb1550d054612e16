//! A program in a container. The engine is the stand-in for docker of `tests/it/support`, with a daemon for each agent.

use super::super::{Does, Kind};
use super::INTERPRETER;
use super::programs::shell_source;
use crate::adapter::container::Container;
use crate::adapter::{Adapter, Call, Ending, Stop};
use std::os::unix::fs::PermissionsExt;
use std::path::Path;
use std::process::{Child, Command};
use std::sync::Arc;
use std::time::Duration;

pub struct Contained;

pub const CONTAINER: Contained = Contained;

impl Kind for Contained {
    fn name(&self) -> &'static str {
        "container"
    }

    fn agent(&self, does: &Does, folder: &Path) -> Arc<dyn Adapter> {
        let script = concat!(env!("CARGO_MANIFEST_DIR"), "/tests/it/support/docker.py");
        let engine = folder.join("docker");
        std::fs::write(&engine, format!("#!/bin/sh\nexec {} -S {script} \"$@\"\n", *INTERPRETER)).unwrap();
        std::fs::set_permissions(&engine, std::fs::Permissions::from_mode(0o755)).unwrap();
        let mut daemon = Command::new(&*INTERPRETER);
        let daemon = daemon.args(["-S", script, "--daemon", "socket"]).current_dir(folder).spawn().unwrap();
        let daemon = Daemon(daemon);
        let socket = folder.join("socket");
        while !socket.exists() {
            std::thread::sleep(Duration::from_millis(2));
        }
        // Of the folders of a test only that of the attempt is mounted.
        let mounted = folder.join("item");
        std::fs::create_dir_all(&mounted).unwrap();
        let command = vec!["sh".to_owned(), "-c".to_owned(), shell_source(does, &mounted)];
        let engine = engine.to_string_lossy().into_owned();
        let mut container = Container::new(engine, "image".into(), command, folder.to_owned());
        container.own = vec![
            ("PATH".to_owned(), std::env::var_os("PATH").unwrap()),
            ("DOCKER_HOST".to_owned(), format!("unix://{}", socket.display()).into()),
        ];
        Arc::new(Docked { container, _daemon: daemon })
    }
}

struct Docked {
    container: Container,
    _daemon: Daemon,
}

/// The engine's daemon, which ends with the agent.
struct Daemon(Child);

impl Drop for Daemon {
    fn drop(&mut self) {
        drop(self.0.kill());
        drop(self.0.wait());
    }
}

impl Adapter for Docked {
    fn call(&self, call: Call, stop: Stop) -> Ending<'_> {
        self.container.call(call, stop)
    }

    fn has_folder(&self) -> bool {
        self.container.has_folder()
    }
}
