"""obstore's words as our errors, where no server makes them easily."""

from __future__ import annotations

from urllib.parse import quote, unquote

import pytest

from otagate.identity.interface import AwsKeys, AzureSas, Identity, Kind, Link
from otagate.store.azure import _shape as azure_shape
from otagate.store.objects import BrokenRequestError, MissingObjectError, ObjectError, TransientError, UnsupportedError
from otagate.store.obstore_client import Credentials, client_options
from otagate.store.obstore_errors import Operation, answer_of, translated
from otagate.store.s3 import _shape

DEBUG = "\n\nDebug source:\nGeneric {{ source: HttpError {{ {} }} }}"


def text(said: str, debug: str = "") -> str:
    return f"Generic S3 error: Error performing PUT https://host/b/k?sig=SECRET in 1ms - {said}" + DEBUG.format(debug)


@pytest.mark.parametrize(
    ("said", "debug", "kind", "reason"),
    [
        (
            "HTTP error: error sending request",
            "kind: Timeout, kind: Request",
            TransientError,
            "no answer within the time limit",
        ),
        ("HTTP error", 'kind: Connect, error: "failed to lookup address"', TransientError, "no connection: failed to lookup"),
        (
            "HTTP error",
            "kind: Connect, error: InvalidCertificate(\n  UnknownIssuer",
            BrokenRequestError,
            "not trusted: UnknownIssuer",
        ),
        ("Got invalid multipart response: Eof", "UnexpectedEof", TransientError, "invalid multipart response"),
        ("ETag Header missing from response", "", TransientError, "ETag Header missing"),
        ("copying is not supported", "", UnsupportedError, "not supported"),
        ("see https://host/b/k?sig=SECRET for more", "", BrokenRequestError, "see for more"),
        ("status code: 599 : ", "", TransientError, "HTTP 599"),
        (
            "status code: 403 Forbidden: <Code>A</Code><Message>a &lt;b&gt;\nRequestId:1</Message>",
            "",
            ObjectError,
            "A: a <b> (HTTP",
        ),
        ("status code: 400: <Code>A</Code><Message>a\x1b[31mred</Message>", "", BrokenRequestError, r"a\x1b[31mred"),
    ],
)
def test_words(said: str, debug: str, kind: type[ObjectError], reason: str) -> None:
    error = translated(ValueError(text(said, debug)), Operation.WRITE, "p")
    assert isinstance(error, kind)
    assert reason in error.reason
    assert "SECRET" not in repr(error)
    assert "\n" not in error.reason


def test_a_file_that_is_not_found_without_a_status_is_missing() -> None:
    assert isinstance(translated(FileNotFoundError("Object at k not found"), Operation.READ, "p"), MissingObjectError)


def test_secrets_in_use_are_blanked() -> None:
    error = translated(ValueError("the token abc is odd"), Operation.READ, "p", lambda said: said.replace("abc", "***"))
    assert error.reason == "the token *** is odd"


def test_long_words_are_cut() -> None:
    assert len(translated(ValueError("x" * 5000), Operation.READ, "p").reason) < 310


def test_an_answer_is_taken_apart() -> None:
    answer = answer_of(ValueError("status code: 404 Not Found: <Error>\n <Code>\nNoSuchKey </Code>"))
    assert (answer.status, answer.code) == (404, "NoSuchKey")


SESSION = "IQoJb3JpZ2luX2Vj+/" + "x9Yz" * 200 + "=="


@pytest.mark.parametrize("shown", [SESSION, quote(SESSION), quote(SESSION, safe=""), f"{'a' * 390}{SESSION}"])
def test_a_service_that_repeats_a_long_token_does_not_get_a_part_of_it_shown(shown: str) -> None:
    used = Link(Kind.OIDC, found=True, detail="x")
    identity = Identity((used,), used, lambda: AwsKeys("AKIDEXAMPLE", "s" * 40, SESSION))
    credentials = Credentials(identity, _shape)
    credentials()
    said = f"status code: 400: <Code>A</Code><Message>The token {shown} is bad</Message>"
    error = translated(ValueError(text(said)), Operation.WRITE, "p", credentials.scrub)
    assert not any(SESSION[at : at + 12] in unquote(error.reason) for at in range(0, len(SESSION) - 12, 6))


def test_of_a_shared_access_signature_the_signature_is_hidden_in_every_form() -> None:
    used = Link(Kind.ENVIRONMENT, found=True, detail="x")
    sas = "sv=2024-11-04&sr=c&sig=ab%2Bcd%2Fef0123456789%3D"
    credentials = Credentials(Identity((used,), used, lambda: AzureSas(sas)), azure_shape)
    credentials()
    told = credentials.scrub(
        "sig=ab%2Bcd%2Fef0123456789%3D or ab+cd/ef0123456789= or sv=2024-11-04&amp;sr=c&amp;sig=ab%2Bcd%2Fef0123456789%3D"
    )
    assert "0123456789" not in told


def test_a_service_on_this_machine_is_asked_without_a_proxy() -> None:
    assert all(use["proxy_url"] == "http://127.0.0.1:1" for use in client_options("http://127.0.0.1:9000").values())
    assert all("proxy_url" not in use for use in client_options("https://s3.eu-west-1.amazonaws.com").values())
