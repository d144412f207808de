"""What obstore raises, as the errors of the raw port: told apart by what the service answered, and without a secret.

obstore's messages are never shown as they are: they go over many lines and hold addresses, whose queries can be signatures.
Only the status, the service's own code and its sentence are taken from them.
"""

from __future__ import annotations

import html
import re
from collections.abc import Callable
from dataclasses import dataclass
from enum import StrEnum
from http import HTTPStatus

from otagate._text import harmless
from otagate.store.objects import (
    BrokenRequestError,
    DeniedError,
    MissingObjectError,
    NoBucketError,
    ObjectError,
    RefusedError,
    TransientError,
    UnsupportedError,
)


class Operation(StrEnum):
    """What was asked for; decides which permission is missing, and what 404 and 409 mean."""

    READ = "read"
    WRITE = "write"
    CONDITIONAL = "conditional write"
    DELETE = "delete"
    LIST = "list"
    SIGN = "sign"


@dataclass(frozen=True, slots=True)
class Answer:
    """What a failed request was answered with, as far as obstore tells.

    Attributes:
        status: The HTTP status, or None when there was no answer.
        code: The service's name for the error, or empty; an answer to HEAD has none.
        text: Everything that obstore says, with its debug part. May hold secrets.
    """

    status: int | None
    code: str
    text: str


_STATUS = re.compile(r"status code: (\d{3})", re.ASCII)
_CODE = re.compile(r"<Code>\s*([A-Za-z0-9_.-]{1,80})\s*</Code>", re.ASCII)
_MESSAGE = re.compile(r"<Message>\s*([^<\n]{1,400})")
_DEBUG = "\n\nDebug source"
_ADDRESS = re.compile(r"\b[a-z][a-z0-9+.-]*://\S+", re.ASCII | re.IGNORECASE)
_DETAIL = re.compile(r'(?:message|error): "([^"]{1,200})"')
_CERTIFICATE = re.compile(r"InvalidCertificate\(\s*([A-Za-z]+)", re.ASCII)
_CONNECTION = re.compile(r"kind: (Timeout|Connect|Request|Interrupted|Decode)\b", re.ASCII)
_PAST_THE_END = "Wanted range starting at"
"""obstore's own words, for services that answer such a read with nothing instead of refusing it."""
_BROKEN_ANSWER = re.compile(r"(?:invalid \w+ response|response body|error decoding|Header missing)", re.IGNORECASE)

_NO_BUCKET = {"NoSuchBucket", "ContainerNotFound", "ResourceNotFound", "AccountNotFound"}
_MISSING = {"", "NoSuchKey", "BlobNotFound"}
_PASSING = {
    "BadDigest",
    "ContainerBeingDeleted",
    "IncompleteBody",
    "InternalError",
    "InvalidBlobOrBlock",
    "InvalidBlockList",
    "Md5Mismatch",
    "NoSuchUpload",
    "OperationAborted",
    "OperationTimedOut",
    "RequestTimeout",
    "ServerBusy",
    "SlowDown",
    "XAmzContentChecksumMismatch",
    "XAmzContentSHA256Mismatch",
}
"""Codes that come with a 4xx status and that may pass: bytes damaged on the way, and uploads that another one crossed.

**Sources:** Amazon S3 API reference, "Error responses"; Azure, "Blob service error codes".
"""
_CREDENTIALS = {
    "AuthenticationFailed": "the credentials are wrong or have expired, or this machine's clock is wrong",
    "ExpiredToken": "the credentials have expired",
    "InvalidAccessKeyId": "the access key is not known there",
    "InvalidAuthenticationInfo": "the token is not valid there",
    "InvalidToken": "the session token is not valid",
    "RequestTimeTooSkewed": "this machine's clock is wrong",
    "SignatureDoesNotMatch": "the secret key is wrong",
    "TokenRefreshRequired": "the credentials have expired",
}
"""Codes that no permission would mend."""
_PASSING_STATUS = {HTTPStatus.REQUEST_TIMEOUT, HTTPStatus.TOO_MANY_REQUESTS, HTTPStatus.TOO_EARLY}


def answer_of(error: Exception, scrub: Callable[[str], str] = lambda text: text) -> Answer:
    """Take apart what obstore raised. ``scrub`` comes first: of a secret that is cut off nobody would know that it is one."""
    text = scrub(str(error))
    status, code = _STATUS.search(text), _CODE.search(text)
    return Answer(int(status.group(1)) if status else None, code.group(1) if code else "", text)


def is_past_the_end(error: Exception) -> bool:
    """Tell whether a read was refused because it began at or after the end."""
    answer = answer_of(error)
    return answer.status == HTTPStatus.REQUESTED_RANGE_NOT_SATISFIABLE or _PAST_THE_END in answer.text


def translated(
    error: Exception, operation: Operation, permission: str, scrub: Callable[[str], str] = lambda text: text
) -> ObjectError:
    """Give the port's error for obstore's.

    Args:
        error: What obstore raised.
        operation: What was asked for.
        permission: What that needs, in the service's words.
        scrub: Blanks the secrets in use out of a text.
    """
    answer = answer_of(error, scrub)
    reason = harmless(scrub(_reason(answer)), 300)
    if answer.code in _CREDENTIALS:
        return DeniedError(f"{_CREDENTIALS[answer.code]} ({reason})", of_credentials=True)
    if answer.code in _NO_BUCKET:
        return NoBucketError(reason)
    if answer.status is None:
        return _without_answer(error, answer, reason)
    return _by_status(answer.status, answer.code, operation, permission, reason)


def _by_status(status: int, code: str, operation: Operation, permission: str, reason: str) -> ObjectError:
    is_writing = operation in {Operation.WRITE, Operation.CONDITIONAL}
    if operation is Operation.CONDITIONAL and status in {HTTPStatus.CONFLICT, HTTPStatus.PRECONDITION_FAILED}:
        return RefusedError(reason)
    if code in _PASSING or status in _PASSING_STATUS or status == HTTPStatus.CONFLICT:
        return TransientError(reason, status=status)
    if status in {HTTPStatus.UNAUTHORIZED, HTTPStatus.FORBIDDEN}:
        return DeniedError(reason, permission)
    if status == HTTPStatus.NOT_FOUND:
        # Nothing but the bucket can be missing where an object is to be made or counted.
        is_bucket = (is_writing and not (operation is Operation.CONDITIONAL and code)) or operation is Operation.LIST
        return NoBucketError(reason) if is_bucket else MissingObjectError(reason)
    if status == HTTPStatus.NOT_IMPLEMENTED:
        return UnsupportedError(reason)
    if status >= HTTPStatus.INTERNAL_SERVER_ERROR:
        return TransientError(reason, status=status)
    return BrokenRequestError(reason)


def _without_answer(error: Exception, answer: Answer, reason: str) -> ObjectError:
    if _CERTIFICATE.search(answer.text):
        return BrokenRequestError(reason)
    if _CONNECTION.search(answer.text) or _BROKEN_ANSWER.search(answer.text):
        return TransientError(reason)
    if "not supported" in answer.text:
        return UnsupportedError(reason)
    return MissingObjectError(reason) if isinstance(error, FileNotFoundError) else BrokenRequestError(reason)


def _reason(answer: Answer) -> str:
    if answer.status is not None:
        message = _MESSAGE.search(answer.text)
        said = f"{answer.code}: {html.unescape(message.group(1)).strip()}" if message else answer.code
        shown = f"HTTP {answer.status} {_phrase(answer.status)}".rstrip()
        return f"{said} ({shown})" if said else shown
    certificate = _CERTIFICATE.search(answer.text)
    if certificate:
        return f"the server's certificate is not trusted: {certificate.group(1)}"
    connection, detail = _CONNECTION.search(answer.text), _DETAIL.search(answer.text)
    if connection:
        return _NO_ANSWER[connection.group(1)] + (f": {detail.group(1)}" if detail else "")
    shown = answer.text.partition(_DEBUG)[0].rpartition(" - ")[2]
    return " ".join(_ADDRESS.sub("", shown).split())


_NO_ANSWER = {
    "Timeout": "no answer within the time limit",
    "Connect": "no connection",
    "Request": "the connection was closed before an answer",
    "Interrupted": "the connection broke off in the middle of an answer",
    "Decode": "an answer that cannot be read",
}


def _phrase(status: int) -> str:
    try:
        return HTTPStatus(status).phrase
    except ValueError:
        return ""
