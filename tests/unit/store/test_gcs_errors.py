"""What Google's answers mean."""

from __future__ import annotations

import json

import httpx
import pytest

from otagate.store.gcs_errors import answered, failure
from otagate.store.objects import (
    BrokenRequestError,
    DeniedError,
    MissingObjectError,
    NoBucketError,
    RefusedError,
    TransientError,
)

NEEDED = "storage.objects.get"


def google(status: int, message: str, reason: str = "") -> httpx.Response:
    return httpx.Response(status, text=json.dumps({"error": {"message": message, "errors": [{"reason": reason}]}}))


@pytest.mark.parametrize(
    ("status", "kind"),
    [
        (301, BrokenRequestError),
        (400, BrokenRequestError),
        (401, DeniedError),
        (403, DeniedError),
        (404, MissingObjectError),
        (408, TransientError),
        (409, RefusedError),
        (411, BrokenRequestError),
        (412, RefusedError),
        (429, TransientError),
        (500, TransientError),
        (503, TransientError),
        (599, TransientError),
    ],
)
def test_each_status_has_its_meaning(status: int, kind: type[Exception]) -> None:
    error = failure(google(status, "some words"), NEEDED, of_object=True)
    assert type(error) is kind
    assert str(error) == f"{status} some words"


@pytest.mark.parametrize(
    ("message", "permission"),
    [
        ("a@b.iam.gserviceaccount.com does not have storage.objects.create access to the object.", "storage.objects.create"),
        ("Permission 'storage.objects.list' denied on resource (or it may not exist).", "storage.objects.list"),
        ("Permission 'iam.serviceAccounts.signBlob' denied", "iam.serviceAccounts.signBlob"),
        ("sa@iam.gserviceaccount.com may not", NEEDED),
        ("no words", NEEDED),
    ],
)
def test_the_permission_is_the_one_that_google_names(message: str, permission: str) -> None:
    error = failure(google(403, message, "forbidden"), NEEDED, of_object=True)
    assert isinstance(error, DeniedError)
    assert error.permission == permission


def test_a_401_is_about_who_not_about_a_permission_that_it_names() -> None:
    error = failure(google(401, "Anonymous caller does not have storage.objects.list access"), NEEDED, of_object=True)
    assert isinstance(error, DeniedError)
    assert (error.permission, error.of_credentials) == ("", True)


@pytest.mark.parametrize("reason", ["rateLimitExceeded", "userRateLimitExceeded"])
def test_a_403_for_haste_passes(reason: str) -> None:
    assert isinstance(failure(google(403, "slow down", reason), NEEDED, of_object=True), TransientError)


@pytest.mark.parametrize(
    ("of_object", "message", "kind"),
    [
        (True, "No such object: bucket/key", MissingObjectError),
        (True, "The specified bucket does not exist.", NoBucketError),
        (False, "Not Found", NoBucketError),
    ],
)
def test_what_is_missing(of_object: bool, message: str, kind: type[Exception]) -> None:
    assert isinstance(failure(google(404, message), NEEDED, of_object=of_object), kind)


@pytest.mark.parametrize(
    ("text", "words"),
    [
        ("", "400 Bad Request"),
        ("plain\n", "400 plain"),
        ("[]", "400 []"),
        ('{"error": "x"}', '400 {"error": "x"}'),
        ('{"error": {"message": "m", "errors": [3]}}', '400 {"error": {"message": "m", "errors": [3]}}'),
        ('{"error": {"message": "m"}}', "400 m"),
        ('{"error": {"message": "m\\u001b[2Jn"}}', "400 m\\x1b[2Jn"),
        ("x" * 1000, "400 " + "x" * 300 + "…"),
    ],
)
def test_any_answer_gives_one_harmless_line(text: str, words: str) -> None:
    assert str(failure(httpx.Response(400, text=text), NEEDED, of_object=True)) == words


def test_when_to_come_back() -> None:
    error = failure(httpx.Response(503, headers={"Retry-After": "12"}), NEEDED, of_object=True)
    assert isinstance(error, TransientError)
    assert (error.retry_after, error.status) == (12.0, 503)


@pytest.mark.parametrize(
    ("raised", "kind", "words"),
    [
        (httpx.ConnectError("[Errno 111] Connection refused"), TransientError, "no answer: [Errno 111] Connection refused"),
        (httpx.ReadTimeout(""), TransientError, "no answer: ReadTimeout"),
        (httpx.ReadError("a\nb"), TransientError, "no answer: a\\x0ab"),
        (
            httpx.ConnectError("[SSL: CERTIFICATE_VERIFY_FAILED] self-signed"),
            BrokenRequestError,
            "no answer: [SSL: CERTIFICATE_VERIFY_FAILED] self-signed",
        ),
        (httpx.UnsupportedProtocol("ftp"), BrokenRequestError, "no answer: ftp"),
        (httpx.InvalidURL("bad"), BrokenRequestError, "bad"),
        (httpx.DecodingError("bad"), BrokenRequestError, "bad"),
    ],
)
def test_no_answer(raised: Exception, kind: type[Exception], words: str) -> None:
    with pytest.raises(kind) as caught, answered():
        raise raised
    assert str(caught.value) == words
    assert caught.value.__cause__ is None


def test_other_errors_pass_through() -> None:
    with pytest.raises(ZeroDivisionError), answered():
        _ = 1 // 0
