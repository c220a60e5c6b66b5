"""Which server the tests talk to, and how: SDK clients without client-side checks, and raw signed requests."""

import functools
import http.client
import itertools
import json
import os
import urllib.parse
from dataclasses import dataclass, field

import boto3
from botocore.auth import SigV4Auth
from botocore.awsrequest import AWSRequest
from botocore.config import Config
from botocore.credentials import Credentials
from botocore.exceptions import ClientError

REGION = os.environ.get("TRADEWIND_TEST_REGION", "us-east-1")
SECOND_REGION = "eu-west-1"
THIRD_REGION = "ap-southeast-1"
ACCESS_KEY = "AKIATRADEWINDTESTS00"
SECRET_KEY = "secret-of-the-black-box-tests"
JSON_1_0 = "application/x-amz-json-1.0"


@dataclass
class Answer:
    """A raw HTTP answer; `json()` reads the body."""

    status: int
    headers: http.client.HTTPMessage
    body: bytes

    def json(self):
        return json.loads(self.body)

    @property
    def code(self):
        return self.json()["__type"].split("#")[-1]

    @property
    def message(self):
        body = self.json()
        return body.get("message", body.get("Message"))


@dataclass
class Endpoint:
    """A server under test."""

    url: str
    kind: str
    ports: dict = field(default_factory=dict)
    access_key: str = ACCESS_KEY
    secret_key: str = SECRET_KEY
    # Where there are several nodes: requests go to them in turn, whatever the client.
    urls: tuple = ()

    def __post_init__(self):
        self._turns = itertools.cycle(self.urls or (self.url,))

    def next_url(self):
        return next(self._turns)

    @property
    def is_tradewind(self):
        return self.kind == "tradewind"

    @property
    def is_aws(self):
        return self.kind == "aws"

    def credentials(self):
        if self.is_aws:
            return boto3.Session().get_credentials().get_frozen_credentials()
        return Credentials(self.access_key, self.secret_key)

    def client(self, service="dynamodb", region=REGION, port=None):
        return _client(self, service, region, self.url_of(port, service))

    def url_of(self, port=None, service="dynamodb"):
        if self.is_aws and service != "dynamodb":
            return None
        return self.url if port is None else f"http://127.0.0.1:{port}"

    def __hash__(self):
        return hash((self.url, self.urls, self.access_key, self.secret_key))

    def send(
        self,
        target,
        body=b"{}",
        *,
        headers=(),
        method="POST",
        path="/",
        region=REGION,
        sign=True,
        prefix="DynamoDB_20120810",
    ):
        """One signed request as given; header values of None are left out."""
        raw = body if isinstance(body, bytes) else json.dumps(body).encode()
        wanted = {"Content-Type": JSON_1_0}
        if target is not None:
            wanted["X-Amz-Target"] = f"{prefix}.{target}"
        wanted.update(dict(headers))
        wanted = {name: value for name, value in wanted.items() if value is not None}
        url = self.next_url()
        if sign:
            wanted = self.signed(method, path, raw, wanted, region, url)
        return self.exchange(method, path, raw, wanted, url)

    def signed(self, method, path, body, headers, region, url=None):
        request = AWSRequest(method=method, url=(url or self.url) + path, data=body, headers=headers)
        SigV4Auth(self.credentials(), "dynamodb", region).add_auth(request)
        return dict(request.headers.items())

    def exchange(self, method, path, body, headers, url=None):
        parts = urllib.parse.urlsplit(url or self.url)
        kind = http.client.HTTPSConnection if parts.scheme == "https" else http.client.HTTPConnection
        connection = kind(parts.hostname, parts.port, timeout=30)
        try:
            connection.request(method, path, body=body or None, headers=headers)
            response = connection.getresponse()
            return Answer(response.status, response.headers, response.read())
        finally:
            connection.close()

    def call(self, operation, body, **options):
        """A request given as JSON; returns the JSON answer or raises as the SDK would."""
        answer = self.send(operation, body, **options)
        parsed = answer.json() if answer.body else {}
        if answer.status == 200:
            return parsed
        raise ClientError({"Error": {"Code": answer.code, "Message": answer.message or ""}, **parsed}, operation)


@functools.cache
def _client(endpoint, service, region, url):
    settings = Config(
        parameter_validation=False,
        retries={"total_max_attempts": 4 if endpoint.is_aws else 1, "mode": "standard"},
        max_pool_connections=64,
        connect_timeout=5,
        read_timeout=30,
    )
    credentials = endpoint.credentials()
    client = boto3.client(
        service,
        endpoint_url=url,
        region_name=region,
        aws_access_key_id=credentials.access_key,
        aws_secret_access_key=credentials.secret_key,
        aws_session_token=getattr(credentials, "token", None),
        config=settings,
    )
    if len(endpoint.urls) > 1:
        client.meta.events.register("before-sign", functools.partial(_redirect, endpoint))
    return client


def _redirect(endpoint, request, **_):
    """Sends a request of the SDK to the next node, before it is signed."""
    parts = urllib.parse.urlsplit(request.url)
    request.url = endpoint.next_url() + (parts.path or "/") + (f"?{parts.query}" if parts.query else "")


def identify(url):
    """What kind of server answers at the URL: `aws`, `dynamodb-local` or `tradewind`."""
    if urllib.parse.urlsplit(url).hostname.endswith(".amazonaws.com"):
        return "aws"
    answer = Endpoint(url, "unknown").send(None, b"", method="GET", sign=False)
    return "dynamodb-local" if "Jetty" in answer.headers.get("Server", "") else "tradewind"
