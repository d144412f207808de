"""What Google's answers and its libraries' exceptions mean, as errors of :mod:`otagate.store.objects`."""

from __future__ import annotations

import json
import re
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from http import HTTPStatus

from google.api_core.exceptions import GoogleAPICallError
from google.auth.exceptions import GoogleAuthError
from requests import RequestException, Response
from requests.exceptions import InvalidJSONError, InvalidSchema, InvalidURL, MissingSchema

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

_PERMISSION = re.compile(r"\b[a-z][a-zA-Z]{2,20}\.[a-zA-Z]{2,30}\.[a-zA-Z]{2,40}\b", re.ASCII)
"""**Source:** IAM, "Permissions reference": SERVICE.RESOURCE.VERB."""
_LIMITED = ("rateLimitExceeded", "userRateLimitExceeded")
"""Reasons of a 403 that passes. **Source:** Cloud Storage, JSON API, "HTTP status and error codes"."""
_WRONG_REQUEST = (InvalidSchema, InvalidURL, MissingSchema)


@contextmanager
def translated(permission: str, *, of_object: bool) -> Iterator[None]:
    """Let whatever the libraries raise leave as an error of :mod:`otagate.store.objects`.

    Args:
        permission: What the operation needs, for an answer that does not say.
        of_object: Whether 404 means that the object is missing; else it is the bucket.
    """
    try:
        yield
    except GoogleAPICallError as error:
        if isinstance(error.response, Response):
            raise failure(error.response, permission, of_object=of_object) from error
        raise _by_status(int(error.code or 0), {}, harmless(error.message or "", 300), permission, of_object) from error
    except InvalidJSONError:
        raise TransientError("the answer was cut or is not JSON") from None
    except _WRONG_REQUEST as error:
        raise BrokenRequestError(harmless(type(error).__name__)) from None
    except RequestException as error:
        # Without the cause: it names the whole address, which for an upload is as good as a key.
        raise _unanswered(error) from None
    except GoogleAuthError as error:
        raise TransientError(harmless(type(error).__name__)) from None


def failure(response: Response, permission: str, *, of_object: bool) -> ObjectError:
    """Give the error that an answer with a status of 400 or above means. See :func:`translated` for the arguments."""
    with translated(permission, of_object=of_object):
        text = response.text
    reason, why = _own_words(text)
    if response.status_code == HTTPStatus.FORBIDDEN and why in _LIMITED:
        return TransientError(reason, retry_after(response.headers.get("Retry-After")), response.status_code)
    shown = f"{response.status_code} {reason or harmless(response.reason or '', 80)}".strip()
    return _by_status(response.status_code, response.headers, shown, permission, of_object)


def _by_status(status: int, headers: Mapping[str, str], reason: str, permission: str, of_object: bool) -> ObjectError:
    match status:
        case HTTPStatus.UNAUTHORIZED | HTTPStatus.FORBIDDEN:
            named = _PERMISSION.search(reason)
            return DeniedError(reason, named.group() if named and status == HTTPStatus.FORBIDDEN else permission)
        case HTTPStatus.NOT_FOUND:
            return MissingObjectError(reason) if of_object and "bucket does not exist" not in reason else NoBucketError(reason)
        case HTTPStatus.CONFLICT | HTTPStatus.PRECONDITION_FAILED:
            return RefusedError(reason)
        case HTTPStatus.REQUEST_TIMEOUT | HTTPStatus.TOO_MANY_REQUESTS:
            return TransientError(reason, retry_after(headers.get("Retry-After")), status)
        case _ if status >= HTTPStatus.INTERNAL_SERVER_ERROR:
            return TransientError(reason, retry_after(headers.get("Retry-After")), status)
        case _:
            return BrokenRequestError(reason)


def _own_words(text: str) -> tuple[str, str]:
    """Give the message and the reason of Google's JSON error, or the text itself when it is none."""
    try:
        error = json.loads(text)["error"]
        message, errors = str(error["message"]), error.get("errors") or [{}]
        return harmless(message.strip(), 300), str(errors[0].get("reason", ""))
    except (ValueError, LookupError, TypeError, AttributeError):
        return harmless(text.strip(), 300), ""


def _unanswered(error: RequestException) -> ObjectError:
    """Say why there was no answer, with the words of the innermost error only: the outer ones hold addresses."""
    inner: BaseException = error
    words = ""
    while True:
        following = inner.__cause__ or inner.__context__
        if following is None:
            break
        inner = following
        if isinstance(inner, OSError) and not isinstance(inner, RequestException):
            words = harmless(str(inner.strerror or inner), 160)
    reason = f"no answer: {words or harmless(type(inner).__name__)}"
    if "CERTIFICATE_VERIFY_FAILED" in reason:
        return BrokenRequestError(reason)
    return TransientError(reason)
