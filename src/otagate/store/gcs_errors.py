"""What Google's answers and a missing answer mean, as errors of :mod:`otagate.store.objects`."""

from __future__ import annotations

import json
import re
from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from http import HTTPStatus

import httpx

from otagate._retry import retry_after
from otagate._text import harmless
from otagate.store.objects import (
    BrokenRequestError,
    DeniedError,
    MissingObjectError,
    NoBucketError,
    ObjectError,
    RefusedError,
    TransientError,
)

_PERMISSION = re.compile(r"(?<![\w.@-])(?:storage|iam)\.[a-zA-Z]{2,30}\.[a-zA-Z]{2,40}\b", re.ASCII)
"""**Source:** IAM, "Permissions reference": SERVICE.RESOURCE.VERB."""
_LIMITED = ("rateLimitExceeded", "userRateLimitExceeded")
"""Reasons of a 403 that passes. **Source:** Cloud Storage, JSON API, "HTTP status and error codes"."""


@contextmanager
def answered() -> Iterator[None]:
    """Let a missing or broken answer leave as an error of :mod:`otagate.store.objects`.

    Without its cause, whose request holds the address: of an upload that is as good as a key.
    """
    try:
        yield
    except httpx.LocalProtocolError:
        # Its text holds what cannot be sent, and that may be the token.
        raise BrokenRequestError("the token or the address holds characters that cannot be sent") from None
    except httpx.TransportError as error:
        reason = f"no answer: {harmless(str(error) or type(error).__name__)}"
        if "CERTIFICATE_VERIFY_FAILED" in reason or isinstance(error, httpx.UnsupportedProtocol):
            raise BrokenRequestError(reason) from None
        raise TransientError(reason) from None
    except (httpx.HTTPError, httpx.InvalidURL) as error:
        raise BrokenRequestError(harmless(str(error) or type(error).__name__)) from None


def failure(response: httpx.Response, permission: str, *, of_object: bool, secrets: Iterable[str] = ()) -> ObjectError:
    """Give the error that an answer other than a success means. Its body must have been read.

    Args:
        response: The answer.
        permission: What the operation needs, for an answer that does not say.
        of_object: Whether 404 means that the object is missing; else it is the bucket.
        secrets: Taken out of what is shown: an answer may repeat what was sent.
    """
    status, after = response.status_code, retry_after(response.headers.get("Retry-After"))
    text = response.text
    for secret in secrets:
        text = text.replace(secret, "***")
    words, why = _own_words(text)
    reason = f"{status} {words or harmless(response.reason_phrase, 80)}".strip()
    match status:
        case HTTPStatus.FORBIDDEN if why in _LIMITED:
            return TransientError(reason, after, status)
        case HTTPStatus.UNAUTHORIZED:
            return DeniedError(reason, of_credentials=True)
        case HTTPStatus.FORBIDDEN:
            named = _PERMISSION.search(words)
            return DeniedError(reason, named.group() if named else permission)
        case HTTPStatus.NOT_FOUND:
            return MissingObjectError(reason) if of_object and "bucket does not exist" not in words else NoBucketError(reason)
        case HTTPStatus.CONFLICT | HTTPStatus.PRECONDITION_FAILED:
            return RefusedError(reason)
        case HTTPStatus.REQUEST_TIMEOUT | HTTPStatus.TOO_MANY_REQUESTS:
            return TransientError(reason, after, status)
        case _ if status >= HTTPStatus.INTERNAL_SERVER_ERROR:
            return TransientError(reason, after, status)
        case _:
            return BrokenRequestError(reason)


def _own_words(text: str) -> tuple[str, str]:
    """Give the message and the reason of Google's JSON error, or the text itself when it is none."""
    try:
        error = json.loads(text)["error"]
        message, errors = str(error["message"]), error.get("errors") or [{}]
        return harmless(message.strip(), 300), str(errors[0].get("reason", ""))
    except (ValueError, LookupError, TypeError, AttributeError, RecursionError):
        return harmless(text.strip(), 300), ""
