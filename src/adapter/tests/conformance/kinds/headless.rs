//! A coding agent without a protocol: a program that prints what claude prints.

use super::super::{Does, Kind, Refusal};
use super::INTERPRETER;
use crate::adapter::Adapter;
use crate::adapter::coder::{Cli, CodingAgent};
use crate::adapter::program::Program;
use serde_json::json;
use std::os::unix::fs::PermissionsExt;
use std::path::Path;
use std::sync::Arc;

pub struct Headless;

pub const HEADLESS: Headless = Headless;

impl Kind for Headless {
    fn name(&self) -> &'static str {
        "headless"
    }

    fn agent(&self, does: &Does, folder: &Path) -> Arc<dyn Adapter> {
        let path = folder.join("agent");
        std::fs::write(&path, format!("#!{}\n{HEAD}{}\n", *INTERPRETER, body(does, folder))).unwrap();
        std::fs::set_permissions(&path, std::fs::Permissions::from_mode(0o755)).unwrap();
        let command = vec![path.to_string_lossy().into_owned()];
        let program = Program { command, folder: folder.to_owned(), env: Vec::new() };
        Arc::new(CodingAgent { headless: Some(Cli::Claude), ..CodingAgent::new(program) })
    }
}

/// As claude does: what fits the schema is `structured_output`; here that is all JSON.
const HEAD: &str = r#"import json, os, signal, sys, time
def ready(): open(os.environ['ORDERFLOW_DIR'] + '/ready', 'w').close()
def result(text, **other):
    result = {'type': 'result', 'subtype': 'success', 'is_error': False, 'result': text, 'session_id': 's-1', **other}
    if '--json-schema' in sys.argv:
        try: result['structured_output'] = json.loads(text)
        except ValueError: pass
    return json.dumps(result)
def say(text, **other): print(result(text, **other), flush=True)
def fail(text, status): say(text, is_error=True, api_error_status=status); sys.exit(1)
prompt = sys.stdin.read()
"#;

fn body(does: &Does, folder: &Path) -> String {
    let text = |bytes: &[u8]| json!(String::from_utf8(bytes.to_vec()).unwrap()).to_string();
    if let Does::Says(bytes) = does {
        std::fs::write(folder.join("answer"), bytes).unwrap();
    }
    match does {
        Does::Says(_) => "say(open('answer').read())".to_owned(),
        Does::Blurts(bytes) => format!("say({})", text(bytes)),
        Does::Dawdles(bytes) => format!(
            "words = result({})\nprint(words[:40], end='', flush=True)\ntime.sleep(0.3)\nprint(words[40:])",
            text(bytes)
        ),
        Does::Fails(bytes) => {
            format!("print('first words\\nlast words', file=sys.stderr)\nsay({})", text(bytes))
        }
        Does::Refuses(why) => match why {
            Refusal::BadInput => {
                let error = r#"{"message": "no such order", "retryable": false, "outcome": "failed"}"#;
                format!("say('{{\"error\": {error}}}')")
            }
            Refusal::Busy => "fail('API Error: 529 Overloaded.', 529)".to_owned(),
            Refusal::Pause => {
                let error = r#"{"message": "busy", "retry_after_ms": 2000, "outcome": "failed"}"#;
                format!("say('{{\"error\": {error}}}')")
            }
            Refusal::Unavailable => "fail('no credit', 402)".to_owned(),
            Refusal::Crash => "fail('boom', 500)".to_owned(),
        },
        Does::Returns => {
            "say(json.dumps({'a': json.loads(prompt.split('```json\\n')[1].split('\\n```')[0])}))".to_owned()
        }
        Does::Tells(name) => format!("say(json.dumps({{'a': os.environ['ORDERFLOW_{name}']}}))"),
        Does::Babbles(_) => panic!("it has no protocol"),
        Does::Dies => "os.kill(os.getpid(), signal.SIGKILL)".to_owned(),
        Does::Breaks(bytes) => format!(
            "print(result({})[:40], end='', flush=True)\nos.kill(os.getpid(), signal.SIGKILL)",
            text(bytes)
        ),
        Does::Finishes(bytes) => format!(
            "def end(*_): say({}); sys.exit()\nsignal.signal(signal.SIGTERM, end)\nready()\nsignal.pause()",
            text(bytes)
        ),
        Does::Ignores => {
            "signal.signal(signal.SIGTERM, signal.SIG_IGN)\nready()\ntime.sleep(1000)".to_owned()
        }
    }
}
