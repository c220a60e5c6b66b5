"""Runs a Python handler against the Lambda Runtime API where AWS's own client is not installed.

Behaves as AWS's runtime does as far as a handler can tell: the same context object, the same error objects, the same
exit on a handler that cannot be loaded. Standard library only.
"""

import importlib
import json
import logging
import os
import socket
import sys
import time
import traceback
from decimal import Decimal

PREFIX = "/2018-06-01/runtime"


class Fault(Exception):
    """What is wrong with the function rather than inside it, with the type name that Lambda uses for it."""

    def __init__(self, error_type, message, trace=None):
        super().__init__(message)
        self.error_type = error_type
        self.trace = trace or []


class RuntimeApi:
    """One connection for all calls; the Runtime API is on this machine and ends only with this process.

    HTTP as far as that API speaks it: answers have a length. `http.client` takes longer for two calls than everything
    else does for an invocation.
    """

    def __init__(self, address):
        self.address = address
        host, _, port = address.rpartition(":")
        # No time-out: `next` waits for as long as there is no work.
        self.socket = socket.create_connection((host, int(port)))
        self.socket.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        self.answers = self.socket.makefile("rb", 64 * 1024)

    def call(self, method, path, body=b"", headers=()):
        head = ["%s %s%s HTTP/1.1" % (method, PREFIX, path), "Host: " + self.address]
        head += ["%s: %s" % header for header in headers]
        head += ["Content-Length: %d" % len(body), "", ""]
        self.socket.sendall("\r\n".join(head).encode("latin-1") + body)
        status = self.line().split(b" ", 2)[1]
        received = {}
        while line := self.line():
            name, _, value = line.decode("latin-1").partition(":")
            received[name.lower()] = value.strip()
        return int(status), received, self.answers.read(int(received["content-length"]))

    def line(self):
        line = self.answers.readline()
        if not line.endswith(b"\n"):
            raise SystemExit("The Runtime API is gone")
        return line.rstrip(b"\r\n")

    def next(self):
        status, headers, body = self.call("GET", "/invocation/next")
        if status != 200:
            raise SystemExit("Runtime API refused the next invocation: %d" % status)
        return headers, body

    def respond(self, request_id, body, content_type):
        self.call("POST", "/invocation/%s/response" % request_id, body, [("Content-Type", content_type)])

    def report(self, path, error):
        headers = [
            ("Content-Type", "application/json"),
            ("Lambda-Runtime-Function-Error-Type", header_safe(error["errorType"])),
        ]
        self.call("POST", path, json.dumps(error).encode(), headers)


def header_safe(text):
    return text.encode("ascii", "replace").decode().replace("\r", " ").replace("\n", " ")


class CognitoIdentity:
    cognito_identity_id = None
    cognito_identity_pool_id = None


class ClientContext:
    """The caller's `X-Amz-Client-Context`, by attribute."""

    def __init__(self, given):
        self.custom = given.get("custom")
        self.env = given.get("env")
        self.client = given.get("client")


class Context:
    def __init__(self, headers):
        environment = os.environ
        self.aws_request_id = headers["lambda-runtime-aws-request-id"]
        self.invoked_function_arn = headers["lambda-runtime-invoked-function-arn"]
        self.function_name = environment.get("AWS_LAMBDA_FUNCTION_NAME")
        self.function_version = environment.get("AWS_LAMBDA_FUNCTION_VERSION")
        self.memory_limit_in_mb = environment.get("AWS_LAMBDA_FUNCTION_MEMORY_SIZE")
        self.log_group_name = environment.get("AWS_LAMBDA_LOG_GROUP_NAME")
        self.log_stream_name = environment.get("AWS_LAMBDA_LOG_STREAM_NAME")
        self.identity = CognitoIdentity()
        given = headers.get("lambda-runtime-client-context")
        self.client_context = ClientContext(json.loads(given)) if given else None
        self._deadline_ms = int(headers["lambda-runtime-deadline-ms"])

    def get_remaining_time_in_millis(self):
        return max(0, self._deadline_ms - int(time.time() * 1000))

    def log(self, message):
        print(message, flush=True)


class Formatter(logging.Formatter):
    """The text format of Lambda's Python runtime: level, time, request id, message, separated by tabs."""

    converter = time.gmtime
    request_id = ""

    def format(self, record):
        record.aws_request_id = Formatter.request_id
        return super().format(record)


def set_up_logging():
    handler = logging.StreamHandler(sys.stdout)
    form = "[%(levelname)s]\t%(asctime)s.%(msecs)03dZ\t%(aws_request_id)s\t%(message)s"
    handler.setFormatter(Formatter(form, "%Y-%m-%dT%H:%M:%S"))
    logging.getLogger().addHandler(handler)


def load(handler):
    module_name, dot, function_name = handler.rpartition(".")
    if not dot:
        raise Fault("Runtime.MalformedHandlerName", "Bad handler '%s'" % handler)
    if module_name.split(".")[0] in sys.builtin_module_names:
        message = "Cannot use built-in module %s as a handler module" % module_name
        raise Fault("Runtime.BuiltInModuleConflict", message)
    try:
        module = importlib.import_module(module_name.replace("/", "."))
    except ImportError as error:
        message = "Unable to import module '%s': %s" % (module_name, error)
        raise Fault("Runtime.ImportModuleError", message)
    except SyntaxError as error:
        trace = ['  File "%s" Line %s\n    %s' % (error.filename, error.lineno, error.text)]
        message = "Syntax error in module '%s': %s" % (module_name, error)
        raise Fault("Runtime.UserCodeSyntaxError", message, trace)
    try:
        return getattr(module, function_name)
    except AttributeError:
        message = "Handler '%s' missing on module '%s'" % (function_name, module_name)
        raise Fault("Runtime.HandlerNotFound", message)


def marshal(value):
    if isinstance(value, bytes):
        return value, "application/unknown"
    return to_json(value), "application/json"


def to_json(value):
    try:
        text = json.dumps(value, ensure_ascii=False, default=plain)
        # A lone surrogate cannot be UTF-8; escaped it can.
        return text.encode("utf-8", "backslashreplace")
    except (TypeError, ValueError) as error:
        raise Fault("Runtime.MarshalError", "Unable to marshal response: %s" % error)


def plain(value):
    if isinstance(value, Decimal):
        return float(value)
    raise TypeError("Object of type %s is not JSON serializable" % type(value).__name__)


def error_object(error, request_id=""):
    if isinstance(error, Fault):
        error_type, trace = error.error_type, error.trace
    else:
        error_type = type(error).__name__
        frames = traceback.extract_tb(error.__traceback__)
        trace = traceback.format_list([f for f in frames if f.filename != __file__])
    return {
        "errorMessage": str(error),
        "errorType": error_type,
        "requestId": request_id,
        "stackTrace": trace,
    }


def log_error(error):
    print("[ERROR] %s: %s" % (error["errorType"], error["errorMessage"]))
    if error["stackTrace"]:
        print("Traceback (most recent call last):\n" + "".join(error["stackTrace"]))


def invoke(api, handler, headers, body):
    request_id = headers["lambda-runtime-aws-request-id"]
    Formatter.request_id = request_id
    trace_id = headers.get("lambda-runtime-trace-id")
    if trace_id:
        os.environ["_X_AMZN_TRACE_ID"] = trace_id
    try:
        context = Context(headers)
        try:
            event = json.loads(body.decode("utf-8"))
        except ValueError as error:
            raise Fault("Runtime.UnmarshalError", "Unable to unmarshal input: %s" % error)
        answer, content_type = marshal(handler(event, context))
    except Exception as error:
        described = error_object(error, request_id)
        log_error(described)
        api.report("/invocation/%s/error" % request_id, described)
    else:
        api.respond(request_id, answer, content_type)


def main():
    for stream in (sys.stdout, sys.stderr):
        stream.reconfigure(encoding="utf-8", errors="backslashreplace")
    # The script's own folder would hide a handler's modules of the same name.
    sys.path[0] = os.environ["LAMBDA_TASK_ROOT"]
    set_up_logging()
    api = RuntimeApi(os.environ["AWS_LAMBDA_RUNTIME_API"])
    try:
        handler = load(sys.argv[1])
    except Exception as error:
        described = error_object(error)
        log_error(described)
        api.report("/init/error", described)
        sys.exit(1)
    while True:
        headers, body = api.next()
        invoke(api, handler, headers, body)


if __name__ == "__main__":
    main()
