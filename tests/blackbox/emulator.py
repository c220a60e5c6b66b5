"""A server of the form of AWS's Runtime Interface Emulator, with AWS's own runtime client behind it: what a Lambda
container is from outside.

One invocation at a time; a second one gets a 400, a function's error comes back with status 200, a time-out as plain text.
"""

import http.server
import os
import pathlib
import queue
import subprocess
import sys
import threading
import time
import uuid

INVOKE = "/2015-03-31/functions/function/invocations"
RUNTIME = "/2018-06-01/runtime/"


class Emulator:
    def __init__(self, folder, handler, timeout=10):
        self.waiting = queue.Queue()
        self.answers = {}
        self.busy = threading.Lock()
        self.timeout = timeout
        self.runtime_api = serve(self, RuntimeApi)
        self.front = serve(self, Front)
        self.url = f"http://127.0.0.1:{self.front.server_port}"
        self.output = open(pathlib.Path(folder) / "container.log", "w+b")
        self.process = subprocess.Popen(
            [sys.executable, "-m", "awslambdaric", handler],
            cwd=folder,
            stdout=self.output,
            stderr=self.output,
            env={
                **os.environ,
                "AWS_LAMBDA_RUNTIME_API": f"127.0.0.1:{self.runtime_api.server_port}",
                "LAMBDA_TASK_ROOT": str(folder),
                "AWS_LAMBDA_FUNCTION_NAME": "function",
                "AWS_LAMBDA_FUNCTION_VERSION": "$LATEST",
                "AWS_LAMBDA_FUNCTION_MEMORY_SIZE": "3008",
                "AWS_LAMBDA_LOG_GROUP_NAME": "/aws/lambda/Functions",
                "AWS_LAMBDA_LOG_STREAM_NAME": "$LATEST",
                "AWS_REGION": "us-east-1",
                "PYTHONPATH": str(folder),
            },
        )

    def printed(self):
        self.output.flush()
        return pathlib.Path(self.output.name).read_text(errors="replace")

    def invoke(self, event):
        """The status and body of an invocation."""
        if not self.busy.acquire(blocking=False):
            return 400, b""
        try:
            request_id, answer = str(uuid.uuid4()), queue.Queue()
            self.answers[request_id] = answer
            self.waiting.put((request_id, event))
            return 200, answer.get(timeout=self.timeout)
        except queue.Empty:
            return 200, f"Task timed out after {self.timeout:.2f} seconds".encode()
        finally:
            self.busy.release()

    def __enter__(self):
        return self

    def __exit__(self, *_):
        self.process.kill()
        self.process.wait(timeout=10)
        for server in (self.front, self.runtime_api):
            server.shutdown()
            server.server_close()
        self.output.close()


def serve(emulator, handler):
    server = http.server.ThreadingHTTPServer(("127.0.0.1", 0), handler)
    server.emulator, server.daemon_threads = emulator, True
    threading.Thread(target=server.serve_forever, daemon=True).start()
    return server


class Answering(http.server.BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"

    def body(self):
        return self.rfile.read(int(self.headers.get("Content-Length") or 0))

    def answer(self, status, body=b"", headers=()):
        self.send_response(status)
        for name, value in headers:
            self.send_header(name, value)
        self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        self.wfile.write(body)

    def log_message(self, *_):
        pass


class Front(Answering):
    def do_POST(self):
        event = self.body()
        if self.path != INVOKE:
            return self.answer(404)
        self.answer(*self.server.emulator.invoke(event))


class RuntimeApi(Answering):
    def do_GET(self):
        request_id, event = self.server.emulator.waiting.get()
        deadline = int((time.time() + self.server.emulator.timeout) * 1000)
        headers = [
            ("Lambda-Runtime-Aws-Request-Id", request_id),
            ("Lambda-Runtime-Deadline-Ms", str(deadline)),
            ("Lambda-Runtime-Trace-Id", f"Root=1-5bef4de7-{request_id[-12:]}{request_id[:8]}0000;Parent=;Sampled=0"),
            ("Content-Type", "application/json"),
            ("Lambda-Runtime-Invoked-Function-Arn", "arn:aws:lambda:us-east-1:012345678912:function:function"),
        ]
        self.answer(200, event, headers)

    def do_POST(self):
        body = self.body()
        request_id = self.path.removeprefix(RUNTIME + "invocation/").split("/")[0]
        if request_id in self.server.emulator.answers:
            self.server.emulator.answers.pop(request_id).put(body)
        self.answer(202, b"{}")
