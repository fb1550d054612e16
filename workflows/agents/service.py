"""HTTP for the services of an order: each answers POST with JSON, as orderflow and any other client ask.

A service is a table of paths and functions of (db, call). orderflow starts it with the port in PORT.
"""

import json
import os
import threading
from decimal import Decimal
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer

import contract


class Request(contract.Call):
    """One request. `step` is None for a client other than orderflow."""

    def __init__(self, headers, inputs):
        key, run = headers.get("Idempotency-Key"), headers.get("ce-run", "by-hand")
        super().__init__(headers.get("ce-step"), key, run, inputs, headers.get("ce-forwardkey"))
        self.messages = []

    def received(self, party, text):
        """Reports a message that this service has received."""
        self.messages.append({"from": party, "text": text})

    def sent(self, party, text):
        """Reports a message that this service has sent; to itself: what it does."""
        self.messages.append({"to": party, "text": text})


def serve(connect, paths):
    """Answers POST until the process is ended; `paths` are functions of (db, call) by path."""
    local = threading.local()

    def database():
        if not hasattr(local, "db"):
            local.db = connect()  # a connection belongs to its thread
        return local.db

    class Service(BaseHTTPRequestHandler):
        protocol_version = "HTTP/1.1"
        wbufsize = -1  # head and body in one packet

        def do_POST(self):
            body = self.rfile.read(int(self.headers.get("Content-Length", 0)))
            function = paths.get(self.path)
            if function is None:
                return self.answer(404, {"detail": f"no {self.path} here, only: {', '.join(paths)}"})
            try:
                request = Request(self.headers, json.loads(body, parse_float=Decimal))
            except ValueError as wrong:
                return self.answer(400, {"detail": f"the body is not JSON: {wrong}"})
            try:
                answer = function(database(), request)
            except contract.Busy as busy:
                return self.answer(503, {**busy.answer, "messages": request.messages})
            except contract.Refused as refused:
                return self.answer(400, {**refused.answer, "messages": request.messages})
            if request.step is not None:
                answer = {**answer, "messages": request.messages}
            self.answer(200, answer)

        def answer(self, status, answer):
            body = contract.dump(answer).encode()
            self.send_response(status)
            self.send_header("Content-Type", "application/json")
            self.send_header("Content-Length", str(len(body)))
            self.end_headers()
            self.wfile.write(body)

        def log_message(self, *words):
            pass

    ThreadingHTTPServer(("127.0.0.1", int(os.environ["PORT"])), Service).serve_forever()
