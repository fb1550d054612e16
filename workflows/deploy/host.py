"""A small web host to try deploy.md on: python3 host.py FOLDER

It makes a site in the folder if there is none, serves the release that `current` names on a free port of this machine, and
writes the port to `port`. After each change of `current` it needs half a second to load the release. /health answers 200
with the name of the release once it is loaded, and 500 if its page is broken."""

import pathlib
import sys
import time
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer

site = pathlib.Path(sys.argv[1])
loaded = {"release": None, "at": 0.0}


class Host(BaseHTTPRequestHandler):
    def do_GET(self):
        release = (site / "current").resolve()
        if loaded["release"] != release:
            loaded.update(release=release, at=time.monotonic() + 0.5)
        page = (release / "index.html").read_text()
        if time.monotonic() < loaded["at"]:
            self.answer(503, f"{release.name} is loading")
        elif "</html>" not in page:
            self.answer(500, f"{release.name} has a broken page")
        else:
            self.answer(200, release.name if self.path == "/health" else page)

    def answer(self, status, text):
        self.send_response(status)
        self.send_header("Content-Length", str(len(text.encode())))
        self.end_headers()
        self.wfile.write(text.encode())

    def log_message(self, *_):
        pass


if not (site / "current").exists():
    (site / "releases" / "1").mkdir(parents=True)
    (site / "releases" / "1" / "index.html").write_text("<html>Version 1</html>\n")
    (site / "page.html").write_text("<html>Version VERSION</html>\n")
    (site / "current").symlink_to("releases/1")
server = ThreadingHTTPServer(("127.0.0.1", 0), Host)
(site / "port.new").write_text(str(server.server_port))
(site / "port.new").rename(site / "port")
server.serve_forever()
