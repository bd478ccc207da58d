"""Serve the parts of files that are asked for, as a bucket does; prints its port."""

import http.server
import sys
from pathlib import Path


class Handler(http.server.SimpleHTTPRequestHandler):
    def do_HEAD(self):
        self.do_GET()

    def do_GET(self):
        path = Path(self.translate_path(self.path))
        if not path.is_file():
            self.send_error(404)
            return
        data = path.read_bytes()
        first, _, last = self.headers.get("Range", "").removeprefix("bytes=").partition("-")
        begin = int(first or 0)
        end = min(int(last or len(data)), len(data) - 1)
        self.send_response(206 if first else 200)
        self.send_header("Accept-Ranges", "bytes")
        self.send_header("Content-Length", str(end - begin + 1))
        self.send_header("Content-Range", f"bytes {begin}-{end}/{len(data)}")
        self.send_header("ETag", '"v1"')
        self.end_headers()
        if self.command == "GET":
            self.wfile.write(data[begin : end + 1])

    def log_message(self, *arguments):
        pass


if __name__ == "__main__":

    def handle(*arguments):
        return Handler(*arguments, directory=sys.argv[1])

    with http.server.ThreadingHTTPServer(("127.0.0.1", 0), handle) as server:
        sys.stdout.write(f"{server.server_port}\n")
        sys.stdout.flush()
        server.serve_forever()
