"""A web identity token against AWS credentials: AssumeRoleWithWebIdentity, one unsigned POST.

**Source:** AWS STS API reference, "AssumeRoleWithWebIdentity"; AWS SDKs reference, "AWS STS Regional endpoints".
"""

from __future__ import annotations

import re
import xml.etree.ElementTree as ET
from collections.abc import Mapping
from datetime import datetime
from typing import NoReturn

from otagate import _clock
from otagate._text import harmless
from otagate.errors import AccessError, UnavailableError, UsageError
from otagate.identity import _words
from otagate.identity._claims import Claims, read_claims
from otagate.identity._outside import Outside
from otagate.identity._wire import Answer, Ask, send
from otagate.identity.interface import AwsKeys

AUDIENCE = "sts.amazonaws.com"
"""What the guides of AWS and of the CIs register as the audience of the identity provider."""
_DOING = "exchange the token for AWS credentials"
_ROLE = re.compile(r"arn:(aws[a-z-]{0,20}):iam::[0-9]{12}:role/[\w+=,.@/-]{1,512}", re.ASCII)
_REGION = re.compile(r"[a-z]{2,4}(?:-[a-z]{2,12}){1,3}-[0-9]{1,2}", re.ASCII)
_SUFFIX = {"aws": "amazonaws.com", "aws-us-gov": "amazonaws.com", "aws-cn": "amazonaws.com.cn"}
_HOME = {"aws": "us-east-1", "aws-us-gov": "us-gov-west-1", "aws-cn": "cn-north-1"}
_NOT_IN_A_SESSION = re.compile(r"[^\w+=,.@-]", re.ASCII)
_RUNS = ("GITHUB_RUN_ID", "CI_JOB_ID", "CIRCLE_WORKFLOW_ID", "BUILDKITE_BUILD_ID", "BUILD_TAG")
# Of a bad request, but passing: the provider of the keys did not answer AWS, or too many asked.
_PASSING = frozenset({"IDPCommunicationError", "Throttling", "ThrottlingException", "RequestLimitExceeded"})
_REMEDIES = {
    "AccessDenied": "let the role's trust policy name just this sub and aud, or correct the role; see docs/stores.md",
    "InvalidIdentityToken": "create the identity provider of this iss with this aud in the account's IAM; see docs/stores.md",
    "IDPRejectedClaim": "check the identity provider in IAM and the claims that the trust policy asks for",
    "ExpiredTokenException": "run otagate earlier in the job, or in a job of its own",
}


def checked_role(role: str) -> str:
    """Give the ARN back.

    Raises:
        UsageError: It is not the ARN of a role.
    """
    if not _ROLE.fullmatch(role):
        remedy = "copy the role's ARN from IAM into `role=` of the store's URL, or AWS_ROLE_ARN"
        raise UsageError("this is not the ARN of a role", harmless(role, 120), "arn:aws:iam::ACCOUNT:role/NAME", None, remedy)
    return role


class Exchange:
    """Takes one role."""

    def __init__(self, role: str, environ: Mapping[str, str], outside: Outside) -> None:
        """Take ``role`` (checked) at the endpoint of the region in ``environ``."""
        self._role, self._outside = role, outside
        self._endpoint = endpoint(role, environ)
        self._session = session_name(environ)

    def keys_of_file(self, path: str, name: str) -> AwsKeys:
        """Exchange the token that the platform keeps fresh in a file; ``name`` is the variable that names it.

        Raises:
            AccessError: The file cannot be read, or AWS refuses.
            UnavailableError: AWS does not answer.
        """
        text = _words.read_small(path)
        if not text:
            remedy = f"check {name}, and that this user may read the file"
            raise AccessError("the pod's token cannot be read", harmless(path), "a token", "nothing", remedy)
        return self.keys(text, read_claims(text))

    def keys(self, token: str, claims: Claims | None) -> AwsKeys:
        """Exchange a token.

        Raises:
            AccessError: AWS refuses: with its words and what the trust policy must name.
            UnavailableError: It does not answer.
        """
        form = {
            "Action": "AssumeRoleWithWebIdentity",
            "Version": "2011-06-15",
            "RoleArn": self._role,
            "RoleSessionName": self._session,
            "WebIdentityToken": token,
        }
        headers = {"Accept": "application/xml"}
        answer = send(Ask(_DOING, "POST", f"{self._endpoint}/", headers, form=form, is_slow=_is_passing), self._outside)
        if not answer.is_fine:
            self._refuse(answer, token, claims)
        found = _fields(answer.body) or {}
        key, secret, session = (found.get(name) for name in ("AccessKeyId", "SecretAccessKey", "SessionToken"))
        expires = _instant(found.get("Expiration"))
        if not key or not secret or not session or expires is None:
            remedy = "check AWS_ENDPOINT_URL_STS, or unset it"
            raise UnavailableError(f"cannot {_DOING}", self._endpoint, "credentials", "an answer without them", remedy)
        return AwsKeys(key, secret, session, expires)

    def _refuse(self, answer: Answer, token: str, claims: Claims | None) -> NoReturn:
        found = _fields(answer.body) or {}
        code = _words.said(found.get("Code") or f"HTTP {answer.status}")
        told = _words.said(found.get("Message") or "", [token])
        expected = f"a trust policy that allows {claims.shown}" if claims else "a token that the role's trust policy allows"
        remedy = _REMEDIES.get(code, "check the role's trust policy and the identity provider in IAM; see docs/stores.md")
        raise AccessError("AWS refuses the exchange of the token", self._role, expected, f"{code}: {told}", remedy)


def endpoint(role: str, environ: Mapping[str, str]) -> str:
    """Give the address of STS for the partition of ``role`` and the region in ``environ``.

    Raises:
        UsageError: AWS_ENDPOINT_URL_STS is not https, nor on this machine.
    """
    given = _words.value(environ, "AWS_ENDPOINT_URL_STS")
    if given is not None:
        return _words.address("AWS_ENDPOINT_URL_STS", given)
    match = _ROLE.fullmatch(role)
    partition = match[1] if match and match[1] in _SUFFIX else "aws"
    region = _words.value(environ, "AWS_REGION", "AWS_DEFAULT_REGION") or ""
    # A region such as `auto`, of other services that speak S3, has no STS.
    here = region if _REGION.fullmatch(region) else _HOME[partition]
    return f"https://sts.{here}.{_SUFFIX[partition]}"


def session_name(environ: Mapping[str, str]) -> str:
    """Give the name that CloudTrail shows: AWS_ROLE_SESSION_NAME, or ``otagate-`` with the id of the CI's run."""
    named = _words.value(environ, "AWS_ROLE_SESSION_NAME")
    run = _words.value(environ, *_RUNS)
    return _NOT_IN_A_SESSION.sub("-", named or (f"otagate-{run}" if run else "otagate"))[:64].ljust(2, "-")


def _is_passing(answer: Answer) -> bool:
    return not answer.is_fine and ((_fields(answer.body) or {}).get("Code") in _PASSING)


def _fields(body: bytes) -> dict[str, str] | None:
    """Read the leaves of an XML answer by their names, or give None when it is no plain XML.

    What declares anything (a document type, and so entities) is refused unread: no answer of STS does.
    """
    try:
        text = body.decode("utf-8")
        if "<!" in text:
            return None
        root = ET.fromstring(text)  # noqa: S314 - without declarations there is nothing to expand
    except (ValueError, ET.ParseError):
        return None
    return {leaf.tag.rpartition("}")[2]: (leaf.text or "").strip() for leaf in root.iter() if len(leaf) == 0}


def _instant(text: str | None) -> datetime | None:
    try:
        return _clock.from_text(text or "")
    except ValueError:
        return None
