"""Credentials that AWS offers to what runs on it: to containers (ECS, EKS Pod Identity) and to machines (EC2, IMDSv2).

**Sources:** AWS SDKs reference, "Container credential provider" and "IMDS credential provider"; Amazon EC2 User Guide,
"Identify EC2 instances" and "Use IMDSv2".
"""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping
from datetime import datetime
from typing import Any

from otagate import _clock
from otagate._text import harmless
from otagate.errors import AccessError, UnavailableError, UsageError
from otagate.identity import _words
from otagate.identity._chain import NoIdentityError
from otagate.identity._outside import Outside
from otagate.identity._wire import Answer, Ask, NobodyThereError, send
from otagate.identity.interface import AwsKeys

Fetch = Callable[[], AwsKeys]

CONTAINER_HOSTS = frozenset({"169.254.170.2", "169.254.170.23", "fd00:ec2::23"})
"""Where ECS and EKS listen; the same that the AWS SDKs allow besides this machine and https."""
INSTANCE_HOSTS = frozenset({"169.254.169.254", "fd00:ec2::254"})
_RELATIVE, _FULL = "AWS_CONTAINER_CREDENTIALS_RELATIVE_URI", "AWS_CONTAINER_CREDENTIALS_FULL_URI"
_TOKEN, _TOKEN_FILE = "AWS_CONTAINER_AUTHORIZATION_TOKEN", "AWS_CONTAINER_AUTHORIZATION_TOKEN_FILE"
_ENDPOINT = "AWS_EC2_METADATA_SERVICE_ENDPOINT"
_TTL = {"X-aws-ec2-metadata-token-ttl-seconds": "300"}
_PATH = "/latest/meta-data/iam/security-credentials/"
_NAME = re.compile(r"[\w+=,.@-]{1,128}", re.ASCII)
_NOT_FOUND = 404


def container_url(environ: Mapping[str, str]) -> str | None:
    """Give the address that the container platform names, or None.

    Raises:
        UsageError: It is neither https, nor on this machine, nor one of :data:`CONTAINER_HOSTS`.
    """
    relative, full = _words.value(environ, _RELATIVE), _words.value(environ, _FULL)
    if relative is not None:
        if not relative.startswith("/"):
            raise UsageError("this is not a path", _RELATIVE, "/PATH", harmless(relative, 80), f"correct {_RELATIVE}")
        return _words.address(_RELATIVE, f"http://169.254.170.2{relative}", CONTAINER_HOSTS)
    return None if full is None else _words.address(_FULL, full, CONTAINER_HOSTS)


def container_keys(url: str, environ: Mapping[str, str], outside: Outside) -> AwsKeys:
    """Ask the container's credential service.

    Raises:
        AccessError: It refuses.
        UnavailableError: It does not answer.
        NoIdentityError: Nothing listens there.
    """
    token = _container_token(environ)
    headers = {"Authorization": token} if token else {}
    doing = "get the container's AWS credentials"
    try:
        answer = send(Ask(doing, "GET", url, headers, is_local=True), outside)
    except NobodyThereError as error:
        raise NoIdentityError(f"nothing answers at {error.subject}") from error
    found = _words.table(answer.body)
    if not answer.is_fine:
        told = _words.said(f"{found.get('code', '')} {found.get('message', '')}".strip(), [token or ""])
        raise AccessError(
            "the container's credential service refuses",
            "AWS",
            found=f"HTTP {answer.status} {told}".strip(),
            remedy="check that the task or the pod has a role, and what its trust policy names",
        )
    return _keys(found, doing)


def _container_token(environ: Mapping[str, str]) -> str | None:
    path = _words.value(environ, _TOKEN_FILE)
    if path is None:
        return _words.value(environ, _TOKEN)
    token = _words.read_small(path)  # read each time: the platform renews it
    if not token:
        remedy = f"check {_TOKEN_FILE}, and that this user may read the file"
        raise AccessError("the container's token cannot be read", harmless(path), "a token", "nothing", remedy)
    return token


def is_ec2(environ: Mapping[str, str], outside: Outside) -> bool:
    """Whether the firmware says that this is EC2, or somebody named its metadata service. Asks no network."""
    if _words.value(environ, _ENDPOINT) is not None:
        return True
    is_nitro = outside.machine("sys_vendor") == "Amazon EC2" or outside.machine("bios_vendor") == "Amazon EC2"
    return is_nitro or outside.machine("product_uuid").lower().startswith("ec2")


def instance_keys(environ: Mapping[str, str], outside: Outside) -> AwsKeys:
    """Ask the machine's metadata service, version 2 of its protocol only.

    Raises:
        NoIdentityError: Nothing listens there, or the machine has no role.
        AccessError: The service refuses.
        UnavailableError: It is there and does not answer.
        UsageError: AWS_EC2_METADATA_SERVICE_ENDPOINT may not be used.
    """
    base = _words.address(_ENDPOINT, _words.value(environ, _ENDPOINT) or "http://169.254.169.254", INSTANCE_HOSTS)
    doing = "get the AWS credentials of the machine"
    try:
        token = send(Ask(doing, "PUT", f"{base}/latest/api/token", _TTL, is_local=True), outside)
    except NobodyThereError as error:
        # In a container this also happens where the machine's hop limit is 1.
        raise NoIdentityError(f"nothing answers at {error.subject} (in a container the hop limit may be 1)") from error
    if not token.is_fine:
        raise NoIdentityError(f"the metadata service gives no token: HTTP {token.status}")
    headers = {"X-aws-ec2-metadata-token": token.body.decode("ascii", "replace").strip()}
    listing = send(Ask(doing, "GET", f"{base}{_PATH}", headers, is_local=True), outside)
    role = listing.body.decode("utf-8", "replace").strip().partition("\n")[0].strip()
    if listing.status == _NOT_FOUND or (listing.is_fine and not _NAME.fullmatch(role)):
        raise NoIdentityError("the machine has no role")
    _fine(listing)
    answer = send(Ask(doing, "GET", f"{base}{_PATH}{role}", headers, is_local=True), outside)
    return _keys(_words.table(_fine(answer).body), doing)


def _fine(answer: Answer) -> Answer:
    if not answer.is_fine:
        remedy = "check the machine's role (instance profile)"
        raise AccessError("the machine's metadata service refuses", "AWS", None, f"HTTP {answer.status}", remedy)
    return answer


def _keys(found: Mapping[str, Any], doing: str) -> AwsKeys:
    key, secret = _words.text_of(found, "AccessKeyId"), _words.text_of(found, "SecretAccessKey")
    if not key or not secret:
        code = _words.said(str(found.get("Code", "an answer without them")))
        raise UnavailableError(f"cannot {doing}", "AWS", "credentials", code, "check the role of the machine or the task")
    return AwsKeys(key, secret, _words.text_of(found, "Token"), _instant(_words.text_of(found, "Expiration")))


def _instant(text: str | None) -> datetime | None:
    try:
        return _clock.from_text(text or "")
    except ValueError:
        return None
