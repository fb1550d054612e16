//! An agent that is a program in a container: the contract is that of a program. Does not know which engine is there.
//!
//! `docker run` or `podman run` stays as the client while the program runs. The folder and the files of the attempt are
//! mounted under their own paths, so that all variables are the same as without a container. Values are passed in the
//! client's environment, never on its command line. The client's end is not that of the container, so a container is
//! found by its labels and ended, also one that a dead runner has left.

use super::process::ProgramAgent;
use super::program::{GRACE, LOG, Program, Start, Started, Tail, aside, hear, last_word};
use super::spawned::{is_orphan_of, new_mark};
use super::variables::{self, Variables};
use super::{Adapter, Call, Ending, Recovery, Stop, contract};
use crate::event::{Answer, Cause, Outcome};
use std::collections::BTreeSet;
use std::ffi::OsString;
use std::path::{Path, PathBuf};
use std::time::Duration;

/// With this exit code the engine itself has failed.
const ENGINE_FAILED: i32 = 125;

/// The longest time to ask an engine something.
const PATIENCE: Duration = Duration::from_secs(30);

/// How often the file is read in which the engine writes the id of a container.
const LOOK: Duration = Duration::from_millis(20);

/// The labels of every container: its run, and a mark of the attempt with the runner that started it.
const RUN: &str = "orderflow.run";
const PROCESS: &str = "orderflow.process";

/// A program in a container, which is started for every attempt.
#[derive(Clone, Debug)]
pub struct Container {
    /// The engine: the path of `docker` or `podman`.
    pub engine: String,
    pub image: String,
    /// The program in the image and its arguments; empty for that of the image.
    pub command: Vec<String>,
    /// Whether it can use the network.
    pub network: bool,
    /// The variables that the engine itself needs.
    pub own: Vec<(String, OsString)>,
    /// The variables for the program.
    pub env: Vec<(String, OsString)>,
    /// The working directory of the engine.
    pub folder: PathBuf,
    /// The time between the request to stop and the kill.
    pub grace: Duration,
}

impl Container {
    pub fn new(engine: String, image: String, command: Vec<String>, folder: PathBuf) -> Self {
        let (own, env) = (Vec::new(), Vec::new());
        Container { engine, image, command, network: false, own, env, folder, grace: GRACE }
    }
}

impl Adapter for Container {
    fn call(&self, call: Call, stop: Stop) -> Ending<'_> {
        Box::pin(self.attempt(call, stop))
    }

    fn has_folder(&self) -> bool {
        true
    }

    fn recover<'a>(&'a self, run: &'a str) -> Recovery<'a> {
        Box::pin(self.end_orphans(run))
    }
}

impl Container {
    async fn attempt(&self, call: Call, stop: Stop) -> Answer {
        let id_file = call.scratch.join(format!("{}.cid", call.attempt_id));
        let own = call.scratch.join(format!("{}.box", call.attempt_id));
        let prepare = || {
            // What an earlier attempt left under these names is not this attempt's.
            let _ = std::fs::remove_file(&id_file);
            let _ = std::fs::remove_dir_all(&own);
            std::fs::create_dir_all(&own)
        };
        if let Err(error) = aside(prepare) {
            let message = format!("cannot prepare the attempt: {error}");
            return Err(contract::failure(Cause::Start, message, Outcome::NotExecuted, true));
        }
        let call = Call { scratch: own.clone(), input: None, ..call };
        let run = call.context.run.clone();
        let mark = new_mark(&run);
        let program = Program {
            command: self.words(&call, &id_file, &mark),
            folder: self.folder.clone(),
            env: self.own.iter().chain(&self.env).cloned().collect(),
        };
        // With podman, the processes of the container descend from the client.
        let agent = ProgramAgent { program, grace: self.grace, contained: Some(self.contained()) };
        let (mut ending, mut made) = (agent.call(call, stop), false);
        // Podman removes the file with the container.
        let mut answer = loop {
            tokio::select! {
                answer = &mut ending => break answer,
                () = tokio::time::sleep(LOOK), if !made => made = is_written(&id_file),
            }
        };
        made = made || is_written(&id_file);
        if let Err(failure) = &mut answer {
            let engine_failed = failure.cause == Cause::Exit(ENGINE_FAILED);
            // After any other exit code the container has ended.
            let mut over =
                failure.cause == Cause::Start || matches!(failure.cause, Cause::Exit(_)) && !engine_failed;
            if engine_failed && !made && is_of_engine(&failure.log) {
                (failure.outcome, over) = (Outcome::NotExecuted, true);
            }
            if !over && let Err(why) = self.end(&run, &mark).await {
                failure.message.push_str(&format!("; its container may still run: {why}"));
            }
        }
        aside(|| {
            let _ = std::fs::remove_file(&id_file);
            let _ = std::fs::remove_dir_all(&own);
        });
        answer
    }

    /// The program within, as far as it is known here.
    fn contained(&self) -> Program {
        Program { command: self.command.clone(), folder: self.folder.clone(), env: self.env.clone() }
    }

    /// The command line of the client, without any value.
    fn words(&self, call: &Call, id_file: &Path, mark: &str) -> Vec<String> {
        let run = &call.context.run;
        let mut words = vec![self.engine.clone(), "run".into(), "--rm".into(), "--interactive".into()];
        words.push(format!("--name=orderflow-{run}-{}", call.attempt_id));
        words.push(format!("--cidfile={}", id_file.display()));
        words.push(format!("--label={RUN}={run}"));
        words.push(format!("--label={PROCESS}={mark}"));
        // Podman would wait this long before it removes a container by force.
        words.push("--stop-timeout=0".into());
        if !self.network {
            words.push("--network=none".into());
        }
        words.push(self.user());
        words.push(mount(&call.scratch, false));
        words.push(mount(&call.dir, false));
        let files: BTreeSet<&PathBuf> = call.files.iter().collect();
        words.extend(files.into_iter().map(|file| mount(file, true)));
        let variables = Variables::new(call, variables::used(&self.contained())).all;
        let paths = ["ORDERFLOW_INPUT", "ORDERFLOW_OUTPUT"].into_iter();
        let paths = paths.chain((!call.instructions.is_empty()).then_some("ORDERFLOW_INSTRUCTIONS"));
        let names = variables.iter().map(|(name, _)| name.as_str()).chain(paths);
        for name in names.chain(self.env.iter().map(|(name, _)| name.as_str())) {
            words.push(format!("--env={name}"));
        }
        words.push(self.image.clone());
        words.extend(self.command.iter().cloned());
        words
    }

    /// The user inside, to whom the files of the attempt belong as outside.
    fn user(&self) -> String {
        let (user, group) = (rustix::process::geteuid().as_raw(), rustix::process::getegid().as_raw());
        match Path::new(&self.engine).file_name().is_some_and(|name| name == "podman") && user != 0 {
            true => "--userns=keep-id".to_owned(),
            false => format!("--user={user}:{group}"),
        }
    }

    /// Ends the containers of a run whose runner has exited.
    async fn end_orphans(&self, run: &str) -> Result<(), String> {
        let label = format!("{RUN}={run}");
        for id in self.listed(run, &label).await? {
            let format = format!("--format={{{{index .Config.Labels \"{PROCESS}\"}}}}");
            match self.ask(run, &["inspect", &format, &id]).await {
                Ok(mark) if is_orphan_of(run, mark.trim()) => self.remove(run, &label, &id).await?,
                Ok(_) => {}
                Err(why) => self.unless_gone(run, &label, &id, why).await?,
            }
        }
        Ok(())
    }

    /// Ends the container of an attempt, if it exists.
    async fn end(&self, run: &str, mark: &str) -> Result<(), String> {
        let label = format!("{PROCESS}={mark}");
        for id in self.listed(run, &label).await? {
            self.remove(run, &label, &id).await?;
        }
        Ok(())
    }

    /// The ids of the containers with a label.
    async fn listed(&self, run: &str, label: &str) -> Result<Vec<String>, String> {
        let filter = format!("--filter=label={label}");
        let ids = self.ask(run, &["ps", "--all", "--quiet", "--no-trunc", &filter]).await?;
        Ok(ids.split_whitespace().map(str::to_owned).collect())
    }

    async fn remove(&self, run: &str, label: &str, id: &str) -> Result<(), String> {
        match self.ask(run, &["rm", "--force", id]).await {
            Ok(_) => Ok(()),
            Err(why) => self.unless_gone(run, label, id, why).await,
        }
    }

    /// An error about a container, which may have ended by itself meanwhile.
    async fn unless_gone(&self, run: &str, label: &str, id: &str, why: String) -> Result<(), String> {
        let is_there = self.listed(run, label).await?.iter().any(|listed| listed == id);
        if is_there { Err(why) } else { Ok(()) }
    }

    /// What the engine prints for this command.
    ///
    /// # Errors
    /// The last line that it writes to its standard error, or that it does not answer.
    pub async fn ask(&self, run: &str, words: &[&str]) -> Result<String, String> {
        let command =
            std::iter::once(&*self.engine).chain(words.iter().copied()).map(str::to_owned).collect();
        let program = Program { command, folder: self.folder.clone(), env: self.own.clone() };
        let Started { mut child, tree, .. } = program
            .start(run, |_| ())
            .await
            .map_err(|error| format!("cannot start {}: {error}", self.engine))?;
        drop(child.stdin.take());
        let (stdout, stderr) = (child.stdout.take(), child.stderr.take());
        let (mut out, mut log) = (Start::new(1 << 20), Tail::new(LOG));
        let ended = async {
            tokio::join!(
                child.wait(),
                hear(stdout, |chunk| out.take(chunk)),
                hear(stderr, |chunk| log.take(chunk))
            )
            .0
        };
        let Ok(status) = tokio::time::timeout(PATIENCE, ended).await else {
            tree.kill().await;
            return Err(format!("{} does not answer", self.engine));
        };
        match status {
            Ok(status) if status.success() => Ok(String::from_utf8_lossy(&out.bytes).into_owned()),
            _ => Err(format!("{} failed{}", self.engine, last_word(&log.text()))),
        }
    }
}

/// Whether the engine has written an id to this file.
fn is_written(path: &Path) -> bool {
    aside(|| std::fs::metadata(path)).is_ok_and(|file| file.len() > 0)
}

/// Whether a line of a client's log is an error of the engine, and not of the program in the container.
fn is_of_engine(log: &str) -> bool {
    log.lines().any(|line| line.starts_with("docker: ") || line.starts_with("Error: "))
}

/// A mount of a file or folder under its own path. The value is a line of CSV for the engines.
fn mount(path: &Path, readonly: bool) -> String {
    let path = path.display().to_string();
    let field = |name: &str| {
        let field = format!("{name}={path}");
        let quoted = field.contains([',', '"', '\n']);
        if quoted { format!("\"{}\"", field.replace('"', "\"\"")) } else { field }
    };
    let readonly = if readonly { ",readonly" } else { "" };
    format!("--mount=type=bind,{},{}{readonly}", field("source"), field("target"))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn paths_with_commas_and_quotes_are_one_value_of_csv() {
        for (path, word) in [
            ("/a b:c", "--mount=type=bind,source=/a b:c,target=/a b:c"),
            ("/a,b", "--mount=type=bind,\"source=/a,b\",\"target=/a,b\""),
            ("/a\"b", "--mount=type=bind,\"source=/a\"\"b\",\"target=/a\"\"b\""),
        ] {
            assert_eq!(mount(Path::new(path), false), word);
            assert_eq!(mount(Path::new(path), true), format!("{word},readonly"));
        }
    }

    #[test]
    fn podman_maps_the_user_into_the_container() {
        let user =
            |engine: &str| Container::new(engine.into(), "x".into(), Vec::new(), PathBuf::new()).user();
        let (id, group) = (rustix::process::geteuid().as_raw(), rustix::process::getegid().as_raw());
        assert_eq!(user("/usr/bin/docker"), format!("--user={id}:{group}"));
        let podman = if id == 0 { format!("--user={id}:{group}") } else { "--userns=keep-id".to_owned() };
        assert_eq!(user("/usr/bin/podman"), podman);
    }
}
