//! A worker in Python.

use super::super::{Does, Kind, Refusal};
use super::{INTERPRETER, kept};
use crate::adapter::Adapter;
use crate::adapter::program::Program;
use crate::adapter::worker::Worker;
use std::path::Path;
use std::sync::Arc;

pub struct PythonWorker;

pub const WORKER: PythonWorker = PythonWorker;

impl Kind for PythonWorker {
    fn name(&self) -> &'static str {
        "worker"
    }

    fn agent(&self, does: &Does, folder: &Path) -> Arc<dyn Adapter> {
        std::fs::write(folder.join("worker"), source(does, folder)).unwrap();
        let command = vec![INTERPRETER.clone(), "-S".to_owned(), "worker".to_owned()];
        Arc::new(Worker::new(Program { command, folder: folder.to_owned(), env: Vec::new() }, 1))
    }
}

fn source(does: &Does, folder: &Path) -> String {
    if let Does::Says(bytes) | Does::Blurts(bytes) | Does::Dawdles(bytes) | Does::Fails(bytes) = does {
        kept(bytes, folder);
    }
    if let Does::Babbles(bytes) | Does::Breaks(bytes) | Does::Finishes(bytes) = does {
        kept(bytes, folder);
    }
    if matches!(does, Does::Blurts(_)) {
        let source = "import json, os\nid = int(os.read(0, 40).split(b'\"id\":')[1].split(b',')[0])\n\
            print(json.dumps({'jsonrpc': '2.0', 'id': id, 'result': open('answer').read()}))\n";
        return source.to_owned();
    }
    let run = match does {
        Does::Says(_) | Does::Blurts(_) => "tell(id=call['id'], result=open('answer', newline='').read())",
        Does::Dawdles(_) => "say(line()[:16])\n        time.sleep(0.3)\n        say(line()[16:])",
        Does::Fails(_) => {
            "error = json.load(open('answer'))['error']\n        \
             error = {'message': error} if isinstance(error, str) else error\n        \
             tell(method='step/log', params={'id': call['id'], 'message': 'first words'})\n        \
             tell(method='step/log', params={'id': call['id'], 'message': 'last words'})\n        \
             tell(id=call['id'], error={'code': -32000, 'message': error.pop('message'), 'data': error})"
        }
        Does::Refuses(why) => match why {
            Refusal::BadInput => "tell(id=call['id'], error={'code': -32602, 'message': 'no such order'})",
            Refusal::Busy => "tell(id=call['id'], error={'code': -32000, 'message': 'busy'})",
            Refusal::Pause => {
                "tell(id=call['id'], error={'code': -32000, 'message': 'busy', 'data': {'retry_after_ms': 2000}})"
            }
            Refusal::Unavailable => {
                "tell(id=call['id'], error={'code': -32000, 'message': 'no credit', 'data': {'unavailable': True}})"
            }
            Refusal::Crash => "tell(id=call['id'], error={'code': -32603, 'message': 'boom'})",
        },
        Does::Returns => "tell(id=call['id'], result={'a': params['inputs']})",
        Does::Tells(name) => {
            let name = if *name == "KEY" { "idempotency_key".to_owned() } else { name.to_lowercase() };
            &format!("tell(id=call['id'], result={{'a': str(params['{name}'])}})")
        }
        Does::Babbles(_) => "say(open('answer', 'rb').read())",
        Does::Dies => "os.kill(os.getpid(), 9)",
        Does::Breaks(_) => "say(line()[:16])\n        os.kill(os.getpid(), 9)",
        Does::Finishes(_) | Does::Ignores => "open(params['dir'] + '/ready', 'w').close()",
    };
    let cancel = match does {
        Does::Finishes(_) => "tell(id=params['id'], result=json.load(open('answer')))",
        _ => "pass",
    };
    format!(
        "import json, os, sys, time\n\
        def tell(**message): print(json.dumps({{'jsonrpc': '2.0', **message}}), flush=True)\n\
        def say(words): sys.stdout.buffer.write(words); sys.stdout.flush()\n\
        def line(): return (json.dumps({{'jsonrpc': '2.0', 'id': call['id'], 'result': json.load(open('answer'))}}) + '\\n').encode()\n\
        for request in sys.stdin:\n    \
            call = json.loads(request)\n    \
            params = call['params']\n    \
            if call['method'] == 'step/run':\n        {run}\n    \
            if call['method'] == 'step/cancel':\n        {cancel}\n"
    )
}
