"""Runs commands in a network namespace in which every address is this machine, and reports where each one connects.

`unshare` made the namespace: nothing leaves it. Each line of standard input is a command as a JSON list; for each, a
line of JSON is printed: exit, output, and the addresses of all connections, other datagrams, and names that were asked
for. Port 8080 answers as a service and as a provider of models, by path; port 53 answers every name.
"""
import http.server
import json
import socket
import subprocess
import sys
import threading

ELSEWHERE = "http://elsewhere.example:8080/steps"
CHAT = {"choices": [{"finish_reason": "stop", "message": {"content": "done"}}]}
MESSAGES = {"stop_reason": "end_turn", "content": [{"type": "text", "text": "done"}]}
RESPONSES = {
    "status": "completed",
    "output": [{"type": "message", "content": [{"type": "output_text", "text": "done"}]}],
}
# By path: a status, headers and a body.
PAGES = {
    "/steps": (200, {}, "done"),
    "/alternative": (200, {"Alt-Svc": 'h2="elsewhere.example:8080"', "Link": f"<{ELSEWHERE}>; rel=preload"}, "done"),
    "/moved": (307, {"Location": ELSEWHERE}, ""),
    "/port": (308, {"Location": "http://127.0.0.1:3128/steps"}, ""),
    "/found": (302, {"Location": ELSEWHERE}, ""),
    "/other": (303, {"Location": ELSEWHERE}, ""),
    "/accepted": (202, {"Location": ELSEWHERE}, ""),
    "/proxy": (407, {"Proxy-Authenticate": "Basic", "Location": ELSEWHERE}, ""),
    "/v1/chat/completions": (200, {}, json.dumps(CHAT)),
    "/v1/messages": (200, {}, json.dumps(MESSAGES)),
    "/v1/responses": (200, {}, json.dumps(RESPONSES)),
    "/moved/chat/completions": (307, {"Location": ELSEWHERE}, ""),
    "/moved/messages": (308, {"Location": ELSEWHERE}, ""),
    "/moved/responses": (302, {"Location": ELSEWHERE}, ""),
}


class Pages(http.server.BaseHTTPRequestHandler):
    def do_POST(self):
        self.rfile.read(int(self.headers.get("Content-Length", 0)))
        status, headers, body = PAGES.get(self.path, (404, {}, ""))
        self.send_response(status)
        for name, value in headers.items():
            self.send_header(name, value)
        self.send_header("Content-Type", "text/plain")
        self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        self.wfile.write(body.encode())

    do_GET = do_POST

    def log_message(self, *_):
        pass


def name_of(query):
    """The name in a DNS query."""
    at, labels = 12, []
    while query[at]:
        labels.append(query[at + 1 : at + 1 + query[at]].decode())
        at += 1 + query[at]
    return ".".join(labels), at + 5


def answer_names(server):
    while True:
        query, sender = server.recvfrom(1024)
        _, end = name_of(query)
        found = query[end - 4 : end - 2] == b"\x00\x01"
        record = b"\xc0\x0c\x00\x01\x00\x01\x00\x00\x00\x3c\x00\x04" + bytes([198, 51, 100, 7])
        head = query[:2] + b"\x81\x80\x00\x01" + (b"\x00\x01" if found else b"\x00\x00") + bytes(4)
        server.sendto(head + query[12:end] + (record if found else b""), sender)


def seen(wire):
    """What the packets on the wire were sent to."""
    found = set()
    while True:
        try:
            packet = wire.recv(65536, socket.MSG_DONTWAIT)
        except BlockingIOError:
            return sorted(found)
        kind, packet = packet[12:14], packet[14:]
        if kind == b"\x08\x00":
            protocol, target, rest = packet[9], socket.inet_ntoa(packet[16:20]), packet[(packet[0] & 15) * 4 :]
        elif kind == b"\x86\xdd":
            protocol, target, rest = packet[6], socket.inet_ntop(socket.AF_INET6, packet[24:40]), packet[40:]
        else:
            continue
        source, port = int.from_bytes(rest[:2], "big"), int.from_bytes(rest[2:4], "big")
        if protocol == 6 and rest[13] & 0x12 == 2:
            found.add(f"tcp {target}:{port}")
        elif protocol == 17 and port == 53:
            found.add(f"name {name_of(rest[8:])[0]}")
        elif protocol == 17 and source != 53:
            found.add(f"udp {target}:{port}")


wire = socket.socket(socket.AF_PACKET, socket.SOCK_RAW, socket.htons(3))
wire.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 1 << 24)
wire.bind(("lo", 0))
names = socket.socket(socket.AF_INET6, socket.SOCK_DGRAM)
names.setsockopt(socket.IPPROTO_IPV6, socket.IPV6_V6ONLY, 0)
names.bind(("::", 53))
threading.Thread(target=answer_names, args=(names,), daemon=True).start()
server = http.server.ThreadingHTTPServer(("0.0.0.0", 8080), Pages)
threading.Thread(target=server.serve_forever, daemon=True).start()
for line in sys.stdin:
    told = subprocess.run(json.loads(line), stdin=subprocess.DEVNULL, capture_output=True, text=True)
    report = {"exit": told.returncode, "out": told.stdout, "err": told.stderr, "seen": seen(wire)}
    print(json.dumps(report), flush=True)
