"""Uploads in parts that never ended, on S3. obstore cannot list them; botocore can."""

from __future__ import annotations

import os
from collections.abc import Iterator
from contextlib import contextmanager
from datetime import datetime
from typing import Any

from otagate._text import harmless
from otagate.identity.interface import AwsKeys
from otagate.store.objects import (
    BrokenRequestError,
    DeniedError,
    NoBucketError,
    ObjectError,
    TransientError,
    UnsupportedError,
)
from otagate.store.s3_place import Place

LIST_PERMISSION = "s3:ListBucketMultipartUploads"
ABORT_PERMISSION = "s3:AbortMultipartUpload"
CONNECT_SECONDS = 10
READ_SECONDS = 45

_UNSUPPORTED = {"NotImplemented", "MethodNotAllowed"}


def abort_uploads(place: Place, keys: AwsKeys, prefix: str, before: datetime) -> int:
    """Abort the uploads of keys below ``prefix`` that began before that instant, and say how many there were.

    Raises:
        ObjectError: As for every operation of the raw port.
    """
    client = _client(place, keys)
    count = 0
    with _translating(LIST_PERMISSION):
        pages = client.get_paginator("list_multipart_uploads").paginate(Bucket=place.bucket, Prefix=prefix)
        found = [upload for page in pages for upload in page.get("Uploads", [])]
    for upload in found:
        # Not every service heeds the prefix.
        if upload["Key"].startswith(prefix) and upload["Initiated"] < before:
            with _translating(ABORT_PERMISSION):
                count += _abort(client, place.bucket, upload)
    return count


def _abort(client: Any, bucket: str, upload: Any) -> bool:
    from botocore.exceptions import ClientError  # noqa: PLC0415 - slow to import

    try:
        client.abort_multipart_upload(Bucket=bucket, Key=upload["Key"], UploadId=upload["UploadId"])
    except ClientError as error:
        if error.response.get("Error", {}).get("Code") == "NoSuchUpload":
            return False
        raise
    return True


def _client(place: Place, keys: AwsKeys) -> Any:
    from botocore.config import Config  # noqa: PLC0415 - slow to import
    from botocore.session import Session  # noqa: PLC0415 - slow to import

    # Neither the environment nor the files of the person have a say: who we are is decided already.
    nothing = dict.fromkeys(("config_file", "credentials_file"), (None, None, os.devnull, None))
    session = Session(session_vars={"profile": (None, None, None, None), **nothing})
    return session.create_client(
        "s3",
        region_name=place.region,
        endpoint_url=place.service,
        aws_access_key_id=keys.access_key_id,
        aws_secret_access_key=keys.secret_access_key,
        aws_session_token=keys.session_token,
        config=Config(
            signature_version="s3v4",
            s3={"addressing_style": "path" if place.path_style else "virtual"},
            connect_timeout=CONNECT_SECONDS,
            read_timeout=READ_SECONDS,
            retries={"total_max_attempts": 1, "mode": "standard"},
            request_checksum_calculation="when_required",
            user_agent="otagate",
            # On this machine no proxy stands in between: it would see everything.
            proxies={} if place.service.startswith("http://") else None,
        ),
    )


@contextmanager
def _translating(permission: str) -> Iterator[None]:
    from botocore.exceptions import BotoCoreError, ClientError, HTTPClientError  # noqa: PLC0415 - slow to import

    try:
        yield
    except ClientError as error:
        raise _explained(error.response, permission) from None
    except HTTPClientError as error:
        raise TransientError(f"no connection or a broken one: {type(error).__name__}") from None
    except BotoCoreError as error:
        raise BrokenRequestError(harmless(" ".join(str(error).split()))) from None


def _explained(response: Any, permission: str) -> ObjectError:
    status = response.get("ResponseMetadata", {}).get("HTTPStatusCode", 0)
    code = str(response.get("Error", {}).get("Code", ""))
    message = " ".join(str(response.get("Error", {}).get("Message", "")).split())
    reason = harmless(f"{code}: {message} (HTTP {status})", 300)
    match status:
        case _ if code in _UNSUPPORTED:
            return UnsupportedError(reason)
        case _ if code == "NoSuchBucket":
            return NoBucketError(reason)
        case 401 | 403:
            return DeniedError(reason, permission)
        case _ if status in {408, 409, 429} or status >= 500:  # noqa: PLR2004 - HTTP's own limit
            return TransientError(reason, status=status)
        case _:
            return BrokenRequestError(reason)
