"""Agents of every kind that note each call as `STEP KEY` in the file `asked`, and do the second step once `go` exists.

The first argument is the kind. `http` serves a service, models and tools on a free port, which it writes to `port`, until
standard input ends.
"""
import http.server
import json
import os
import sys
import threading
import time


def do(step, key):
    with open("asked", "a") as notes:
        notes.write(f"{step} {key}\n")
    while step == "Second" and not os.path.exists("go"):
        time.sleep(0.01)
    return "done"


def program():
    json.load(sys.stdin)
    print(do(os.environ["ORDERFLOW_STEP"], os.environ["ORDERFLOW_KEY"]))


def worker():
    for line in sys.stdin:
        call = json.loads(line)
        if call["method"] == "step/run":
            result = do(call["params"]["step"], call["params"]["idempotency_key"])
            print(json.dumps({"jsonrpc": "2.0", "id": call["id"], "result": result}), flush=True)


def answer_of_mcp(call):
    if call.get("method") == "initialize":
        result = {
            "protocolVersion": call["params"]["protocolVersion"],
            "capabilities": {"tools": {}},
            "serverInfo": {"name": "kinds", "version": "1"},
        }
    elif call.get("method") == "tools/list":
        schema = {"type": "object"}
        result = {"tools": [{"name": name, "inputSchema": schema} for name in ("first", "second")]}
    elif call.get("method") == "tools/call":
        params = call["params"]
        text = do(params["name"].capitalize(), params["_meta"]["orderflow/idempotency_key"])
        result = {"content": [{"type": "text", "text": text}]}
    elif "id" in call:
        error = {"code": -32601, "message": "unknown method"}
        return {"jsonrpc": "2.0", "id": call["id"], "error": error}
    else:
        return None
    return {"jsonrpc": "2.0", "id": call["id"], "result": result}


def mcp():
    for line in sys.stdin:
        answer = answer_of_mcp(json.loads(line))
        if answer:
            print(json.dumps(answer), flush=True)


def headless(events):
    sys.stdin.read()
    text = do(os.environ["ORDERFLOW_STEP"], os.environ["ORDERFLOW_KEY"])
    for event in events:
        print(json.dumps(event).replace("TEXT", text))


def claude():
    headless([{"type": "result", "subtype": "success", "is_error": False, "result": "TEXT"}])


def codex():
    message = {"type": "agent_message", "text": "TEXT"}
    headless([{"type": "item.completed", "item": message}, {"type": "turn.completed"}])


def gemini():
    headless([{"response": "TEXT", "stats": {"models": {}}}])


def opencode():
    headless([{"type": "text", "part": {"text": "TEXT"}}, {"type": "step_finish", "part": {}}])


def acp():
    for line in sys.stdin:
        call = json.loads(line)
        result = {"protocolVersion": 1, "sessionId": "s-1"}
        if call["method"] == "session/prompt":
            text = do(os.environ["ORDERFLOW_STEP"], os.environ["ORDERFLOW_KEY"])
            chunk = {"sessionUpdate": "agent_message_chunk", "content": {"type": "text", "text": text}}
            update = {"method": "session/update", "params": {"sessionId": "s-1", "update": chunk}}
            print(json.dumps({"jsonrpc": "2.0", **update}), flush=True)
            result = {"stopReason": "end_turn"}
        print(json.dumps({"jsonrpc": "2.0", "id": call["id"], "result": result}), flush=True)


class Pages(http.server.BaseHTTPRequestHandler):
    def do_POST(self):
        body = self.rfile.read(int(self.headers["Content-Length"])).decode()
        if self.path == "/mcp":
            answer = answer_of_mcp(json.loads(body))
            if answer:
                return self.answer(answer)
            self.send_response(202)
            return self.end_headers()
        step = self.headers["ce-step"] or ("Second" if "the second step" in body else "First")
        text = do(step, self.headers["Idempotency-Key"])
        answer = {
            "/steps": text,
            "/v1/chat/completions": {"choices": [{"message": {"content": text}}]},
            "/v1/messages": {"content": [{"type": "text", "text": text}]},
            "/v1/responses": {"output": [{"type": "message", "content": [{"text": text}]}]},
        }[self.path]
        self.answer(answer)

    def answer(self, answer):
        answer = json.dumps(answer).encode()
        try:
            self.send_response(200)
            self.send_header("Content-Type", "application/json")
            self.send_header("Content-Length", str(len(answer)))
            self.end_headers()
            self.wfile.write(answer)
        except BrokenPipeError:
            pass  # who asked has been killed

    def log_message(self, *_):
        pass


def serve():
    server = http.server.ThreadingHTTPServer(("127.0.0.1", 0), Pages)
    threading.Thread(target=server.serve_forever, daemon=True).start()
    with open("port.new", "w") as port:
        port.write(str(server.server_port))
    os.rename("port.new", "port")
    sys.stdin.read()


KINDS = [program, worker, mcp, acp, claude, codex, gemini, opencode]
{"http": serve, **{kind.__name__: kind for kind in KINDS}}[sys.argv[1]]()
