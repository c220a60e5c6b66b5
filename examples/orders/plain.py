"""The little of boto3's DynamoDB client that the example needs, over plain HTTP, for machines that have only Python.

`tradewind dev` without `--auth` wants the shape of a signature, for the region and against web pages, and verifies nothing.
Use boto3 where signatures are verified.
"""

import json
import os
import urllib.error
import urllib.request


class ConditionalCheckFailedException(Exception):
    pass


class Exceptions:
    ConditionalCheckFailedException = ConditionalCheckFailedException


class Client:
    exceptions = Exceptions

    def __init__(self, region=None):
        self.endpoint = os.environ["AWS_ENDPOINT_URL"]
        scope = f"20250101/{region or os.environ['AWS_REGION']}/dynamodb/aws4_request"
        self.headers = {
            "Content-Type": "application/x-amz-json-1.0",
            "X-Amz-Date": "20250101T000000Z",
            "Authorization": f"AWS4-HMAC-SHA256 Credential=example/{scope}, SignedHeaders=host, Signature=none",
        }

    def put_item(self, **request):
        return self.call("PutItem", request)

    def update_item(self, **request):
        return self.call("UpdateItem", request)

    def call(self, operation, request):
        headers = {**self.headers, "X-Amz-Target": f"DynamoDB_20120810.{operation}"}
        http = urllib.request.Request(self.endpoint, json.dumps(request).encode(), headers)
        try:
            with urllib.request.urlopen(http, timeout=10) as answer:
                return json.load(answer)
        except urllib.error.HTTPError as refusal:
            error = json.load(refusal)
            if error["__type"].endswith("#ConditionalCheckFailedException"):
                raise ConditionalCheckFailedException from refusal
            raise RuntimeError(f"{operation}: {error}") from refusal
