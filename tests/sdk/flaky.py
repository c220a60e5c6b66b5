"""A proxy that fails every other request before it reaches the server, each time in another way that clients retry."""

import http.client
import http.server
import itertools
import json
import threading
import urllib.parse
import zlib

PREFIX = "com.amazonaws.dynamodb.v20120810#"
FAILURES = [
    (500, {"__type": PREFIX + "InternalServerError", "message": "made up by the proxy"}),
    (400, {"__type": PREFIX + "ProvisionedThroughputExceededException", "message": "made up by the proxy"}),
    (503, {"__type": "com.amazon.coral.availability#ServiceUnavailable", "message": "made up by the proxy"}),
    None,
]


class Flaky:
    def __init__(self, target):
        self.target = urllib.parse.urlsplit(target)
        self.turns = itertools.cycle(itertools.chain.from_iterable((failure, "pass") for failure in FAILURES))
        self.lock = threading.Lock()
        self.server = http.server.ThreadingHTTPServer(("127.0.0.1", 0), self._handler())
        self.server.daemon_threads = True
        self.thread = threading.Thread(target=self.server.serve_forever, daemon=True)

    @property
    def url(self):
        return f"http://127.0.0.1:{self.server.server_address[1]}"

    def __enter__(self):
        self.thread.start()
        return self

    def __exit__(self, *_):
        self.server.shutdown()
        self.server.server_close()
        self.thread.join()

    def turn(self):
        with self.lock:
            return next(self.turns)

    def forward(self, method, path, headers, body):
        connection = http.client.HTTPConnection(self.target.hostname, self.target.port, timeout=30)
        try:
            connection.request(method, path, body, headers)
            answer = connection.getresponse()
            return answer.status, answer.getheaders(), answer.read()
        finally:
            connection.close()

    def _handler(self):
        flaky = self

        class Handler(http.server.BaseHTTPRequestHandler):
            protocol_version = "HTTP/1.1"

            def do_POST(self):
                body = self.rfile.read(int(self.headers.get("content-length") or 0))
                turn = flaky.turn()
                if turn is None:
                    # The connection ends without an answer.
                    self.close_connection = True
                elif turn == "pass":
                    # The headers as they came: the signature covers them.
                    self.answer(*flaky.forward("POST", self.path, dict(self.headers.items()), body))
                else:
                    status, said = turn
                    said = json.dumps(said).encode()
                    self.answer(status, [("x-amz-crc32", str(zlib.crc32(said)))], said)

            def answer(self, status, headers, body):
                self.send_response(status)
                for name, value in headers:
                    if name.lower() not in ("content-length", "connection", "transfer-encoding", "date", "server"):
                        self.send_header(name, value)
                self.send_header("content-length", str(len(body)))
                self.end_headers()
                self.wfile.write(body)

            def log_message(self, *_):
                """Quiet."""

        return Handler
