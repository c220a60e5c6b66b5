"""Receives changes over HTTP and checks that they come from Tradewind (Standard Webhooks)."""

import base64, hashlib, hmac, http.server, json, os, sys, time

KEY = base64.b64decode(os.environ["WEBHOOK_SECRET"].removeprefix("whsec_"))


class Receiver(http.server.BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"

    def do_POST(self):
        body = self.rfile.read(int(self.headers["Content-Length"]))
        if not self.is_signed(body):
            return self.answer(401)
        for record in json.loads(body)["Records"]:
            print(self.headers["webhook-id"], record["eventName"], record["dynamodb"]["Keys"], flush=True)
        self.answer(204)

    def is_signed(self, body):
        timestamp = self.headers["webhook-timestamp"]
        signed = b".".join([self.headers["webhook-id"].encode(), timestamp.encode(), body])
        expected = "v1," + base64.b64encode(hmac.digest(KEY, signed, hashlib.sha256)).decode()
        given = self.headers.get("webhook-signature", "").split()
        fresh = abs(time.time() - int(timestamp)) < 300
        return fresh and any(hmac.compare_digest(expected, each) for each in given)

    def answer(self, status):
        self.send_response(status)
        self.send_header("Content-Length", "0")
        self.end_headers()


http.server.ThreadingHTTPServer(("127.0.0.1", int(sys.argv[1])), Receiver).serve_forever()
