"""Signed requests to the regions' ports and plain ones to what observes them, by nothing beside Python's own library.

The environment has the access key, and CHECK_REGIONS where the regions are not the usual three: NAME=PORT, with commas."""

import datetime
import hashlib
import hmac
import json
import os
import sys
import time
import urllib.error
import urllib.request

REGIONS = os.environ.get("CHECK_REGIONS", "us-east-1=8101,eu-west-1=8102,ap-southeast-1=8103")
PORTS = dict(one.split("=") for one in REGIONS.split(","))
ATTEMPT_SECONDS = 10


class Refused(Exception):
    """An answer that is none of success; `kind` is the error's name where it has one."""

    def __init__(self, said, kind=""):
        super().__init__(said)
        self.kind = kind


def digest(key, text):
    return hmac.new(key, text.encode(), hashlib.sha256)


def sign(region, body, headers, service="dynamodb", method="POST", path="/"):
    now = datetime.datetime.now(datetime.timezone.utc)
    stamp, day = now.strftime("%Y%m%dT%H%M%SZ"), now.strftime("%Y%m%d")
    headers = {**headers, "host": f"localhost:{PORTS[region]}", "x-amz-date": stamp}
    names = ";".join(sorted(headers))
    canonical = "".join(f"{name}:{headers[name]}\n" for name in sorted(headers))
    request = f"{method}\n{path}\n\n{canonical}\n{names}\n{hashlib.sha256(body).hexdigest()}"
    scope = (day, region, service, "aws4_request")
    to_sign = "\n".join(
        ("AWS4-HMAC-SHA256", stamp, "/".join(scope), hashlib.sha256(request.encode()).hexdigest())
    )
    key = ("AWS4" + os.environ["AWS_SECRET_ACCESS_KEY"]).encode()
    for part in scope:
        key = digest(key, part).digest()
    signature = digest(key, to_sign).hexdigest()
    identity = "/".join((os.environ["AWS_ACCESS_KEY_ID"], *scope))
    headers["authorization"] = f"AWS4-HMAC-SHA256 Credential={identity}, SignedHeaders={names}, Signature={signature}"
    return headers


def send(region, what, method, path, body, headers):
    request = urllib.request.Request(f"http://localhost:{PORTS[region]}{path}", body, headers, method=method)
    try:
        with urllib.request.urlopen(request, timeout=ATTEMPT_SECONDS) as answer:
            return json.loads(answer.read() or b"{}")
    except urllib.error.HTTPError as error:
        text = error.read().decode(errors="replace")
        kind = text.split('"__type":"', 1)[-1].split('"', 1)[0].split("#")[-1] if "__type" in text else ""
        raise Refused(f"{what} in {region}: {error.code} {text[:300]}", kind) from error


def call(region, operation, body, more=None):
    """An operation of DynamoDB."""
    body = json.dumps(body).encode()
    headers = {"content-type": "application/x-amz-json-1.0", "x-amz-target": f"DynamoDB_20120810.{operation}"}
    return send(region, operation, "POST", "/", body, sign(region, body, headers) | (more or {}))


def call_lambda(region, method, path, body=None, version="2015-03-31"):
    """An operation of Lambda: `path` is what follows its version."""
    body = json.dumps(body).encode() if body else b""
    path = f"/{version}{path}"
    headers = sign(region, body, {"content-type": "application/json"}, "lambda", method, path)
    return send(region, path, method, path, body, headers)


def get(url):
    with urllib.request.urlopen(url, timeout=ATTEMPT_SECONDS) as answer:
        return json.load(answer)


def eventually(probe, within, saying):
    """What `probe` answers once that is something; ends the process if it is nothing for `within` seconds."""
    end, last = time.monotonic() + within, None
    while True:
        try:
            found = probe()
            if found:
                return found
        except (OSError, Refused) as error:
            last = error
        if time.monotonic() > end:
            sys.exit(f"not within {within} s: {saying}; last: {last}")
        time.sleep(0.5)
