"""The profiles of ``~/.aws``, as botocore reads them: plain keys, SSO, other programs, roles on top of these.

**Source:** AWS SDKs reference, "Shared config and credentials files".
"""

from __future__ import annotations

import configparser
import importlib.util
from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import datetime
from pathlib import Path
from threading import Lock
from typing import Any

from otagate._text import harmless
from otagate.errors import AccessError, UnavailableError, UsageError
from otagate.identity import _words
from otagate.identity.interface import AwsKeys

_LOG_IN = "log in again (`aws sso login`), or choose another profile with AWS_PROFILE or `profile=` in the store's URL"
# In the order in which botocore looks: a role stands on top of whatever else the profile has.
_WAYS = {
    "role_arn": "takes a role",
    "sso_session": "signed in with SSO",
    "sso_start_url": "signed in with SSO",
    "login_session": "signed in with `aws login`",
    "credential_process": "asks another program",
    "aws_access_key_id": "a stored key",
}
_OTHER_LINKS = ("env", "container-role", "iam-role", "ec2-credentials-file", "boto-config")


@dataclass(frozen=True, slots=True)
class Found:
    """A profile, looked up in the files without using it."""

    name: str
    way: str = ""
    problem: str | None = None
    is_static: bool = False


def look(profile: str | None, environ: Mapping[str, str]) -> Found:
    """Look for a profile; cheap, and without botocore."""
    name = profile or _words.value(environ, "AWS_PROFILE", "AWS_DEFAULT_PROFILE") or "default"
    shown = harmless(name, 80)
    keys, settings = _sections(_files(environ)[0]), _sections(_files(environ)[1])
    fields = {**settings.get(name if name == "default" else f"profile {name}", {}), **keys.get(name, {})}
    way = next((way for way in _WAYS if way in fields), None)
    if not fields:
        return Found(name, problem=f"there is no profile {shown} in {_shown_files(environ)}")
    if way is None:
        return Found(name, problem=f"the profile {shown} holds no way to credentials")
    if importlib.util.find_spec("botocore") is None:
        return Found(name, problem=f"the profile {shown} needs botocore: pip install 'otagate[s3]'")
    return Found(name, _WAYS[way], is_static=way == "aws_access_key_id" and "aws_session_token" not in fields)


def _files(environ: Mapping[str, str]) -> tuple[Path, Path]:
    home = Path(_words.value(environ, "HOME") or Path.home())
    keys = _words.value(environ, "AWS_SHARED_CREDENTIALS_FILE")
    settings = _words.value(environ, "AWS_CONFIG_FILE")
    return _at(keys, home, "credentials"), _at(settings, home, "config")


def _at(given: str | None, home: Path, name: str) -> Path:
    if given is None:
        return home / ".aws" / name
    return home / given[2:] if given.startswith("~/") else Path(given)


def _shown_files(environ: Mapping[str, str]) -> str:
    return " or ".join(harmless(str(path), 120) for path in _files(environ))


def _sections(path: Path) -> dict[str, dict[str, str]]:
    reader = configparser.RawConfigParser(strict=False, default_section="\0")
    text = _words.read_small(str(path))
    try:
        reader.read_string(text or "")
    except configparser.Error:  # botocore would say the same; here it only means that there is no profile to use
        return {}
    return {name.strip(): dict(reader.items(name)) for name in reader.sections()}


@dataclass(slots=True)
class Profile:
    """Credentials of one profile. botocore holds and renews them."""

    found: Found
    environ: Mapping[str, str] = field(repr=False)
    _credentials: Any = field(default=None, repr=False)
    _lock: Lock = field(default_factory=Lock, repr=False)

    def keys(self) -> AwsKeys:
        """Give the profile's credentials.

        Raises:
            AccessError: They cannot be had: a login has expired, a role is refused.
            UnavailableError: AWS does not answer.
            UsageError: botocore is not installed.
        """
        try:
            from botocore import exceptions  # noqa: PLC0415 - heavy, and only for profiles
        except ImportError as error:
            remedy = "pip install 'otagate[s3]'"
            raise UsageError("a profile of AWS needs botocore", harmless(self.found.name, 80), remedy=remedy) from error
        slow = (exceptions.HTTPClientError, exceptions.ConnectionError)
        try:
            with self._lock:
                if self._credentials is None:
                    self._credentials = self._load()
                frozen = self._credentials.get_frozen_credentials()
        except slow as error:
            what, shown = "cannot get AWS credentials", f"profile {harmless(self.found.name, 80)}"
            raise UnavailableError(what, shown, None, type(error).__name__, "run the command again") from error
        except (exceptions.BotoCoreError, exceptions.ClientError, EOFError) as error:
            raise self._refused(_told(error)) from error
        end = getattr(self._credentials, "_expiry_time", None)  # botocore tells it nowhere else
        return AwsKeys(frozen.access_key, frozen.secret_key, frozen.token, end if isinstance(end, datetime) else None)

    def _load(self) -> Any:
        import botocore.session  # noqa: PLC0415 - likewise

        session = botocore.session.Session(profile=self.found.name)
        keys, settings = _files(self.environ)
        session.set_config_variable("credentials_file", str(keys))
        session.set_config_variable("config_file", str(settings))
        chain = session.get_component("credential_provider")
        for name in _OTHER_LINKS:  # those are links of our own chain, and come before or not at all
            chain.remove(name)
        credentials = chain.load_credentials()
        if credentials is None:
            raise self._refused("it gives no credentials")
        return credentials

    def _refused(self, found: str) -> AccessError:
        return AccessError(
            "a profile of AWS gives no credentials", f"profile {harmless(self.found.name, 80)}", None, found, _LOG_IN
        )


def _told(error: Exception) -> str:
    # What the program of `credential_process` wrote stands in the error, and may be anything.
    fields = getattr(error, "kwargs", {})
    if isinstance(fields, dict) and fields.get("provider") == "custom-process":
        return "the program of `credential_process` failed"
    return f"{type(error).__name__}: {_words.said(str(error))}"
