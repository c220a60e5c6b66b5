"""Signature Version 4 by hand, so that tests can sign wrongly in one place at a time."""

import datetime
import hashlib
import hmac


def now(**shift):
    return datetime.datetime.now(datetime.UTC) + datetime.timedelta(**shift)


def amz_date(moment):
    return moment.strftime("%Y%m%dT%H%M%SZ")


def digest(key, text):
    return hmac.new(key, text.encode(), hashlib.sha256).digest()


def signing_key(secret, date, region, service, terminator):
    key = ("AWS4" + secret).encode()
    for part in (date, region, service, terminator):
        key = digest(key, part)
    return key


def canonical(headers):
    return "".join(f"{name}:{' '.join(value.split())}\n" for name, value in sorted(headers.items()))


def authorize(
    access_key,
    secret,
    body,
    headers,
    *,
    moment=None,
    region="us-east-1",
    service="dynamodb",
    terminator="aws4_request",
    scope_date=None,
    separator=", ",
    method="POST",
    path="/",
):
    """The headers (of lower-case names, all to be signed) with date and Authorization added."""
    moment = moment or now()
    signed = {**headers, "x-amz-date": amz_date(moment)}
    names = ";".join(sorted(signed))
    request = f"{method}\n{path}\n\n{canonical(signed)}\n{names}\n{hashlib.sha256(body).hexdigest()}"
    date = scope_date or amz_date(moment)[:8]
    scope = f"{date}/{region}/{service}/{terminator}"
    text = f"AWS4-HMAC-SHA256\n{amz_date(moment)}\n{scope}\n{hashlib.sha256(request.encode()).hexdigest()}"
    signature = digest(signing_key(secret, date, region, service, terminator), text).hex()
    fields = separator.join((f"Credential={access_key}/{scope}", f"SignedHeaders={names}", f"Signature={signature}"))
    return {**signed, "authorization": f"AWS4-HMAC-SHA256 {fields}"}
