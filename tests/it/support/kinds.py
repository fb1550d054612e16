"""Agents of every kind that note each call as `STEP KEY` in the file `asked`, and do the second step once `go` exists.

The first argument is the kind. `http` serves a service and models on a free port, which it writes to `port`, until
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


def mcp():
    for line in sys.stdin:
        call = json.loads(line)
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
            print(json.dumps({"jsonrpc": "2.0", "id": call["id"], "error": error}), flush=True)
            continue
        else:
            continue
        print(json.dumps({"jsonrpc": "2.0", "id": call["id"], "result": result}), flush=True)


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
        step = self.headers["ce-step"] or ("Second" if "the second step" in body else "First")
        text = do(step, self.headers["Idempotency-Key"])
        answer = {
            "/steps": text,
            "/v1/chat/completions": {"choices": [{"message": {"content": text}}]},
            "/v1/messages": {"content": [{"type": "text", "text": text}]},
            "/v1/responses": {"output": [{"type": "message", "content": [{"text": text}]}]},
        }[self.path]
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


KINDS = {"program": program, "worker": worker, "mcp": mcp, "acp": acp, "http": serve}
KINDS[sys.argv[1]]()
