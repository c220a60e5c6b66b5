"""Signatures under `--auth`: the right ones pass in every allowed spelling, every wrong one is refused by name.

Whoever exposes a server relies on this, and SDKs correct their clocks by the words of the skew errors.
"""

import urllib.parse

import pytest

import server
from endpoints import JSON_1_0
from rejections import rejected
from server import Server
from signing import amz_date, authorize, now
from values import unique

pytestmark = [pytest.mark.tradewind_only("starts servers of its own"), pytest.mark.embedded_only("starts `tradewind dev`")]

KEY, SECRET = "AKIAFIRST00000000000", "first/secret+with=signs"
OTHER_KEY, OTHER_SECRET = "AKIASECOND0000000000", "second-secret"
BODY = b"{}"


@pytest.fixture(scope="module")
def guarded(tmp_path_factory):
    path = tmp_path_factory.mktemp("auth") / "credentials"
    path.write_text(
        f"# two users\n[default]\naws_access_key_id = {KEY}\naws_secret_access_key = {SECRET}\n\n"
        f"[other]\naws_access_key_id={OTHER_KEY}\naws_secret_access_key={OTHER_SECRET}\nregion = eu-west-1\n"
    )
    with Server("--in-memory", "--auth", "--credentials", str(path), credentials=(KEY, SECRET)) as running:
        yield running.endpoint()


@pytest.fixture
def headers(guarded):
    return {
        "host": urllib.parse.urlsplit(guarded.url).netloc,
        "content-type": JSON_1_0,
        "x-amz-target": "DynamoDB_20120810.ListTables",
    }


def post(guarded, headers, body=BODY):
    return guarded.exchange("POST", "/", body, headers)


def client_of(guarded, key, secret):
    from dataclasses import replace

    return replace(guarded, access_key=key, secret_key=secret).client()


# What passes


@pytest.mark.parametrize("key, secret", [(KEY, SECRET), (OTHER_KEY, OTHER_SECRET)])
def test_every_listed_user_may_sign(guarded, key, secret):
    assert client_of(guarded, key, secret).list_tables()["TableNames"] == []


def test_a_signature_by_hand_passes(guarded, headers):
    assert post(guarded, authorize(KEY, SECRET, BODY, headers)).status == 200


@pytest.mark.parametrize("separator", [",", ", ", " , "])
def test_parts_may_be_separated_by_any_commas(guarded, headers, separator):
    assert post(guarded, authorize(KEY, SECRET, BODY, headers, separator=separator)).status == 200


def test_header_values_are_trimmed_and_collapsed(guarded, headers):
    given = {**headers, "x-amz-note": "  two   words  "}
    assert post(guarded, authorize(KEY, SECRET, BODY, given)).status == 200


@pytest.mark.parametrize("minutes", [-14, 14])
def test_a_clock_may_be_a_quarter_of_an_hour_off(guarded, headers, minutes):
    assert post(guarded, authorize(KEY, SECRET, BODY, headers, moment=now(minutes=minutes))).status == 200


@pytest.mark.parametrize("region", ["us-east-1", "eu-west-1"])
def test_every_region_may_be_signed_for(guarded, headers, region):
    assert post(guarded, authorize(KEY, SECRET, BODY, headers, region=region)).status == 200


def test_headers_that_are_not_amazons_need_no_signature(guarded, headers):
    signed = authorize(KEY, SECRET, BODY, headers)
    assert post(guarded, {**signed, "User-Agent": "anything"}).status == 200


# What does not


def test_a_wrong_secret(guarded):
    with rejected("InvalidSignatureException", has="The request signature we calculated does not match"):
        client_of(guarded, KEY, "wrong").list_tables()


def test_the_secret_of_another_user(guarded):
    with rejected("InvalidSignatureException"):
        client_of(guarded, KEY, OTHER_SECRET).list_tables()


def test_an_unknown_key(guarded):
    with rejected("UnrecognizedClientException", "The security token included in the request is invalid."):
        client_of(guarded, "AKIANOBODY0000000000", SECRET).list_tables()


def refused(answer, code, has=""):
    assert (answer.status, answer.code) == (400, code), answer.body
    assert has in answer.message
    assert answer.json()["__type"].startswith("com.amazon.coral.service#")


def test_a_changed_body(guarded, headers):
    refused(post(guarded, authorize(KEY, SECRET, BODY, headers), b'{"Limit":1}'), "InvalidSignatureException")


def test_a_changed_header(guarded, headers):
    signed = authorize(KEY, SECRET, BODY, headers)
    refused(post(guarded, {**signed, "x-amz-target": "DynamoDB_20120810.DescribeLimits"}), "InvalidSignatureException")


@pytest.mark.parametrize("minutes, text", [(-20, "Signature expired: "), (20, "Signature not yet current: ")])
def test_a_clock_too_far_off(guarded, headers, minutes, text):
    signed = authorize(KEY, SECRET, BODY, headers, moment=now(minutes=minutes))
    refused(post(guarded, signed), "InvalidSignatureException", text)


def test_the_words_of_an_expired_signature(guarded, headers):
    moment = now(minutes=-20)
    answer = post(guarded, authorize(KEY, SECRET, BODY, headers, moment=moment))
    refused(answer, "InvalidSignatureException", f"Signature expired: {amz_date(moment)} is now earlier than ")
    assert answer.message.endswith(" - 15 min.)")


@pytest.mark.parametrize(
    "wrong, code, text",
    [
        ({"service": "s3"}, "InvalidSignatureException", "correct service: 'dynamodb'."),
        ({"terminator": "aws4_answer"}, "InvalidSignatureException", "valid terminator: 'aws4_request'"),
        ({"scope_date": "20200101"}, "InvalidSignatureException", "Date in Credential scope does not match"),
    ],
    ids=["service", "terminator", "date"],
)
def test_a_wrong_scope(guarded, headers, wrong, code, text):
    refused(post(guarded, authorize(KEY, SECRET, BODY, headers, **wrong)), code, text)


def test_the_host_must_be_signed(guarded, headers):
    unsigned = {name: value for name, value in headers.items() if name != "host"}
    signed = authorize(KEY, SECRET, BODY, unsigned)
    refused(
        post(guarded, signed), "InvalidSignatureException", "'Host' must be a 'SignedHeader' in the AWS Authorization."
    )


@pytest.mark.parametrize("part", ["Credential", "SignedHeaders", "Signature"])
def test_every_part_is_required(guarded, headers, part):
    signed = authorize(KEY, SECRET, BODY, headers)
    scheme, fields = signed["authorization"].split(" ", 1)
    kept = ", ".join(field for field in fields.split(", ") if not field.startswith(part + "="))
    answer = post(guarded, {**signed, "authorization": f"{scheme} {kept}"})
    refused(answer, "IncompleteSignatureException", f"Authorization header requires '{part}' parameter.")


def test_a_date_is_required(guarded, headers):
    signed = authorize(KEY, SECRET, BODY, headers)
    signed.pop("x-amz-date")
    refused(post(guarded, signed), "IncompleteSignatureException")


def test_a_malformed_date(guarded, headers):
    signed = authorize(KEY, SECRET, BODY, headers)
    refused(
        post(guarded, {**signed, "x-amz-date": "yesterday"}),
        "IncompleteSignatureException",
        "Date must be in ISO-8601 'basic format'. Got 'yesterday'.",
    )


@pytest.mark.parametrize("credential", ["nothing", f"{KEY}/20200101/us-east-1", f"{KEY}/a/b/c/d/e/f"])
def test_a_malformed_credential(guarded, headers, credential):
    signed = authorize(KEY, SECRET, BODY, headers)
    scheme, fields = signed["authorization"].split(" ", 1)
    rest = ", ".join(field for field in fields.split(", ") if not field.startswith("Credential="))
    answer = post(guarded, {**signed, "authorization": f"{scheme} Credential={credential}, {rest}"})
    refused(answer, "IncompleteSignatureException", "Credential must have exactly 5 slash-delimited elements")


@pytest.mark.parametrize("authorization", [None, "Basic abc", ""])
def test_no_signature_at_all(guarded, headers, authorization):
    given = {**headers, **({"authorization": authorization} if authorization is not None else {})}
    refused(post(guarded, given), "MissingAuthenticationTokenException", "Request is missing Authentication Token")


def test_a_session_token_nobody_gave(guarded, headers):
    signed = authorize(KEY, SECRET, BODY, {**headers, "x-amz-security-token": "made up"})
    refused(post(guarded, signed), "UnrecognizedClientException")


def test_a_refused_write_writes_nothing(guarded):
    from schemas import keyed_by

    name = unique("auth")
    with rejected("InvalidSignatureException"):
        client_of(guarded, KEY, "wrong").create_table(TableName=name, **keyed_by("p:S"))
    assert name not in client_of(guarded, KEY, SECRET).list_tables()["TableNames"]


def test_json_is_checked_before_the_signature(guarded, headers):
    answer = post(guarded, authorize(KEY, "wrong", b"{", headers), b"{")
    assert answer.code == "SerializationException"


def test_the_health_check_needs_none(guarded):
    assert guarded.send(None, b"", method="GET", sign=False).status == 200


# Settings


@pytest.mark.parametrize(
    "content",
    [None, "no section\n", "[default]\naws_access_key_id = only\n"],
    ids=["missing", "noise", "half"],
)
def test_a_useless_credentials_file_is_said_in_one_line(tmp_path, content):
    path = tmp_path / "credentials"
    if content is not None:
        path.write_text(content)
    ended = server.run("dev", "--in-memory", "--port", "0", "--auth", "--credentials", str(path))
    assert ended.returncode != 0
    assert len(ended.stderr.strip().splitlines()) == 1 and "credentials" in ended.stderr
