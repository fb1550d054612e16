//! A tool of an MCP server in Python, which speaks as those of 2025 do.

use super::super::{Does, Kind, Refusal};
use super::{INTERPRETER, kept};
use crate::adapter::Adapter;
use crate::adapter::mcp::{Mcp, Server};
use crate::adapter::program::Program;
use std::path::Path;
use std::sync::Arc;

pub struct Tool;

pub const TOOL: Tool = Tool;

impl Kind for Tool {
    fn name(&self) -> &'static str {
        "mcp"
    }

    fn agent(&self, does: &Does, folder: &Path) -> Arc<dyn Adapter> {
        Arc::new(server(folder, &source(does, folder)))
    }
}

/// A server whose tool `work` runs this; `id` is that of the call, `call` its parameters.
pub(in crate::adapter::tests) fn server(folder: &Path, work: &str) -> Mcp {
    server_with(folder, work, Some("work"))
}

/// The same for a step that calls this tool, or that of its own name.
pub(in crate::adapter::tests) fn server_with(folder: &Path, work: &str, tool: Option<&str>) -> Mcp {
    std::fs::write(folder.join("server.py"), format!("{HEAD}{}\n    {TAIL}", work.replace('\n', "\n    ")))
        .unwrap();
    let command = vec![INTERPRETER.clone(), "-S".to_owned(), "server.py".to_owned()];
    let program = Program { command, folder: folder.to_owned(), env: Vec::new() };
    Mcp::new(Server::Program(program), tool.map(str::to_owned))
}

const HEAD: &str = "\
import json, os, sys, time
def note(file, text):
    with open(file, 'a') as notes: notes.write(f'{text}\\n')
def send(**message):
    sys.stdout.buffer.write(line(message)); sys.stdout.flush()
def say(words): sys.stdout.buffer.write(words); sys.stdout.flush()
def line(message): return (json.dumps({'jsonrpc': '2.0', **message}) + '\\n').encode()
def result(**members): return {'id': ID, 'result': {'content': [], **members}}
def text(words, **members): return result(content=[{'type': 'text', 'text': words}], **members)
def log(words): send(method='notifications/message', params={'level': 'info', 'data': words})
def answer(): return open('answer', newline='').read()
def ready(): open('item/ready', 'w').close()
def work(id, call):
    global ID
    ID = id
    ";

const TAIL: &str = "pass
note('starts', os.getpid())
for request in sys.stdin:
    message = json.loads(request)
    method, id = message.get('method'), message.get('id')
    if method == 'initialize':
        send(id=id, result={'protocolVersion': '2025-11-25', 'capabilities': {'tools': {}}, 'serverInfo': {'name': 'stand-in', 'version': '1.2'}})
    elif method == 'tools/list':
        send(id=id, result={'tools': [{'name': 'work', 'inputSchema': {'type': 'object'}}]})
    elif method == 'tools/call':
        note('calls', message['params'].get('_meta', {}).get('orderflow/idempotency_key'))
        work(id, message['params'])
    elif method == 'notifications/cancelled':
        note('cancels', message['params']['requestId'])
    elif method and id is not None:
        send(id=id, error={'code': -32601, 'message': 'Method not found'})
";

fn source(does: &Does, folder: &Path) -> String {
    if let Does::Says(bytes) | Does::Blurts(bytes) | Does::Dawdles(bytes) | Does::Fails(bytes) = does {
        kept(bytes, folder);
    }
    if let Does::Babbles(bytes) | Does::Breaks(bytes) | Does::Finishes(bytes) = does {
        kept(bytes, folder);
    }
    let refuses =
        |error: &str| format!("send(**result(structuredContent={{'error': {error}}}, isError=True))");
    match does {
        Does::Says(_) | Does::Blurts(_) => "send(**text(answer()))".to_owned(),
        Does::Dawdles(_) => {
            "whole = line(text(answer()))\nsay(whole[:16])\ntime.sleep(0.3)\nsay(whole[16:])".to_owned()
        }
        Does::Fails(_) => {
            "log('first words')\nlog('last words')\nsend(**text(answer(), isError=True))".to_owned()
        }
        Does::Refuses(why) => match why {
            Refusal::BadInput => "send(id=id, error={'code': -32602, 'message': 'no such order'})".to_owned(),
            Refusal::Busy => "send(**text('busy', isError=True))".to_owned(),
            Refusal::Pause => refuses("{'message': 'busy', 'retry_after_ms': 2000, 'outcome': 'failed'}"),
            Refusal::Unavailable => {
                refuses("{'message': 'no credit', 'unavailable': True, 'outcome': 'failed'}")
            }
            Refusal::Crash => "send(id=id, error={'code': -32603, 'message': 'boom'})".to_owned(),
        },
        Does::Returns => "send(**result(structuredContent={'a': call['arguments']}))".to_owned(),
        Does::Tells(name) => {
            let name = if *name == "KEY" { "idempotency_key".to_owned() } else { name.to_lowercase() };
            format!("send(**result(structuredContent={{'a': str(call['_meta']['orderflow/{name}'])}}))")
        }
        Does::Babbles(_) => "say(open('answer', 'rb').read())".to_owned(),
        Does::Dies => "os.kill(os.getpid(), 9)".to_owned(),
        Does::Breaks(_) => "say(line(text(answer()))[:16])\nos.kill(os.getpid(), 9)".to_owned(),
        Does::Finishes(_) | Does::Ignores => "ready()".to_owned(),
    }
}
