"""obstore's words as our errors, where no server makes them easily."""

from __future__ import annotations

import pytest

from otagate.store.objects import BrokenRequestError, MissingObjectError, ObjectError, TransientError, UnsupportedError
from otagate.store.obstore_errors import Operation, answer_of, translated

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
