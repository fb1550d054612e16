"""A coding agent that speaks the Agent Client Protocol and does what its script says: a list of acts for each method, in
JSON; for `session/prompt` a list of such lists, one for each turn, the last one again and again.

`coder.py SCRIPT` appends what it is sent to `SCRIPT.seen`, a line for each message.
"""

import json
import os
import signal
import subprocess
import sys
import time

script = json.load(open(sys.argv[1]))
seen = open(sys.argv[1] + ".seen", "a", buffering=1)
turn = 0
turns = script.get("session/prompt", [])


def write(data):
    os.write(1, data) if len(data) < 65536 else (sys.stdout.buffer.write(data), sys.stdout.buffer.flush())


def send(**message):
    write((json.dumps({"jsonrpc": "2.0", **message}) + "\n").encode())


def hear():
    line = sys.stdin.readline()
    if not line:
        sys.exit()
    seen.write(line)
    return json.loads(line)


def inputs(prompt):
    """The inputs in the first block of JSON of a prompt."""
    return json.loads(prompt.split("```json\n")[1].split("\n```")[0])


def act(it, message):
    [(what, value)] = it.items()
    if what == "update":
        send(method="session/update", params={"sessionId": "s-1", "update": value})
    elif what == "say":
        chunk = {"sessionUpdate": "agent_message_chunk", "content": {"type": "text", "text": value}}
        send(method="session/update", params={"sessionId": "s-1", "update": chunk})
    elif what == "file":
        act({"say": open(value).read().strip()}, message)
    elif what == "result":
        send(id=message["id"], result=value)
    elif what == "end":
        send(id=message["id"], result={"stopReason": value})
    elif what == "error":
        send(id=message["id"], error=value)
    elif what == "raw":
        write(bytes(value))
    elif what == "ask":
        send(id="ask-1", **value)
        while hear().get("id") != "ask-1":
            pass
    elif what == "log":
        print(value, file=sys.stderr, flush=True)
    elif what == "sleep":
        time.sleep(value)
    elif what == "exit":
        os._exit(value)
    elif what == "kill":
        os.kill(os.getpid(), signal.SIGKILL)
    elif what == "run":
        subprocess.run(value, shell=True, check=True)
    elif what == "wait":
        while hear().get("method") != value:
            pass
    elif what == "deafen":
        signal.signal(signal.SIGTERM, signal.SIG_IGN)
        time.sleep(value)
    elif what == "inputs":
        text = message["params"]["prompt"][0]["text"]
        act({"say": json.dumps({value: inputs(text)})}, message)
    elif what == "variable":
        act({"say": json.dumps({"a": os.environ[value]})}, message)
    else:
        raise ValueError(what)


defaults = {
    "initialize": [{"result": {"protocolVersion": 1, "agentCapabilities": {}}}],
    "session/new": [{"result": {"sessionId": "s-1"}}],
}
while True:
    message = hear()
    method = message.get("method")
    acts = script.get(method, defaults.get(method, []))
    if method == "session/prompt":
        acts = turns[min(turn, len(turns) - 1)]
        turn += 1
    for one in acts:
        act(one, message)
