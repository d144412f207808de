"""Google's credentials through google-auth, with every request over our own wire.

google-auth knows the exchanges (workload identity federation, acting as a service account, key files, gcloud's login); the wire
says where tokens may go, how long to try, and what may be shown.

**Sources:** google-auth's guide; google.aip.dev/auth/4117; cloud.google.com, "Workload Identity Federation with deployment
pipelines".
"""

from __future__ import annotations

import importlib.util
import re
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from datetime import UTC, datetime
from typing import TYPE_CHECKING, Any

from otagate._text import harmless
from otagate.errors import AccessError, OtagateError, UsageError
from otagate.identity import _words
from otagate.identity._outside import Outside
from otagate.identity.ci_token import CiSource
from otagate.identity.interface import Bearer

if TYPE_CHECKING:
    from otagate.identity._google_wire import GoogleWire

Fetch = Callable[[], Bearer]

_AUDIENCE = "//iam.googleapis.com/"
_PROVIDER = re.compile(
    r"projects/[0-9]{1,20}/locations/[a-z0-9-]{1,40}/workloadIdentityPools/[a-z0-9-]{4,32}/providers/[a-z0-9-]{4,32}"
)
_ACCOUNT = re.compile(r"[a-z0-9][a-z0-9.-]{0,62}@[a-z0-9][a-z0-9.-]{0,100}", re.ASCII)
_JWT = "urn:ietf:params:oauth:token-type:jwt"
_STS = ("CLOUDSDK_API_ENDPOINT_OVERRIDES_STS", "https://sts.googleapis.com")
_IAM = ("CLOUDSDK_API_ENDPOINT_OVERRIDES_IAMCREDENTIALS", "https://iamcredentials.googleapis.com")
"""gcloud's own variables (its properties ``api_endpoint_overrides``), for private endpoints and for tests."""
_GOOGLE_HOST = re.compile(r"https://[a-z0-9.-]+\.googleapis\.com(?:/.*)?|http://.*", re.ASCII)
_KINDS = frozenset({"external_account", "service_account", "authorized_user", "impersonated_service_account"})


def checked_provider(provider: str | None) -> str | None:
    """Give the provider's name without its host, which the consoles show in front.

    Raises:
        UsageError: It is not the name of a provider.
    """
    if provider is None:
        return None
    bare = provider.removeprefix("https:").removeprefix(_AUDIENCE)
    if not _PROVIDER.fullmatch(bare):
        expected = "projects/NUMBER/locations/global/workloadIdentityPools/POOL/providers/NAME"
        remedy = "copy it from `gcloud iam workload-identity-pools providers describe … --format='value(name)'`"
        raise UsageError("this is not the name of an identity provider", harmless(provider, 120), expected, None, remedy)
    return bare


def checked_account(account: str | None) -> str | None:
    """Give the service account's address back.

    Raises:
        UsageError: It is no e-mail address.
    """
    if account is not None and not _ACCOUNT.fullmatch(account):
        remedy = "copy its e-mail address from IAM"
        raise UsageError(
            "this is not a service account", harmless(account, 120), "NAME@PROJECT.iam.gserviceaccount.com", None, remedy
        )
    return account


def ci_audience(provider: str | None) -> str:
    """Give the audience that the CI's token must have: the default of a provider that lists none of its own."""
    return f"https:{_AUDIENCE}{provider or 'PROVIDER'}"


@dataclass(frozen=True, slots=True)
class Settings:
    """A file of Google's credentials, read but not used.

    Attributes:
        kind: Its ``type``.
        info: All of it.
        problem: Why it cannot be used, as a phrase.
    """

    kind: str
    info: Mapping[str, Any] = field(repr=False)
    problem: str | None = None


def read_settings(path: str) -> Settings:
    """Read a file of credentials."""
    text = _words.read_small(path)
    if text is None:
        return Settings("", {}, f"{harmless(path, 120)} cannot be read")
    info = _words.table(text)
    kind = _words.text_of(info, "type") or ""
    if kind not in _KINDS:
        return Settings("", {}, f"{harmless(path, 120)} holds no credentials of a known type")
    if not _has_library():
        return Settings(kind, {}, "this needs google-auth: pip install 'otagate[gcs]'")
    source = info.get("credential_source")
    # `executable` would start a program that the file names, and the others are for machines of other clouds.
    if kind == "external_account" and not (isinstance(source, dict) and {"file", "url"} & set(source)):
        return Settings(kind, {}, "its credential_source is neither a file nor a url")
    return Settings(kind, info)


@dataclass(frozen=True, slots=True)
class Federation:
    """Who trusts the CI's token, as whom, and for what."""

    provider: str
    account: str | None
    scopes: tuple[str, ...]


def by_ci(ci: CiSource, to: Federation, environ: Mapping[str, str], outside: Outside) -> Fetch:
    """Make the exchange of the CI's token at the provider, and on to the service account when there is one.

    Raises:
        UsageError: An endpoint in the environment may not be used.
    """
    sts, iam = _endpoint(_STS, environ), _endpoint(_IAM, environ)

    def fetch() -> Bearer:
        identity_pool = _library("google.auth.identity_pool")
        from otagate.identity._google_wire import GoogleWire, Supplier  # noqa: PLC0415 - needs google-auth

        token = ci.get()
        wire = GoogleWire(outside, (token.text,), token.claims)
        acting = f"{iam}/v1/projects/-/serviceAccounts/{to.account}:generateAccessToken" if to.account else None
        credentials = identity_pool.Credentials(
            audience=f"{_AUDIENCE}{to.provider}",
            subject_token_type=_JWT,
            token_url=f"{sts}/v1/token",
            subject_token_supplier=Supplier(token.text),
            service_account_impersonation_url=acting,
            scopes=list(to.scopes),
        )
        return _refreshed(credentials, wire, to.account or to.provider)

    return fetch


def by_settings(settings: Settings, scopes: tuple[str, ...], outside: Outside) -> Fetch:
    """Make the exchange that a file of credentials describes."""

    def fetch() -> Bearer:
        _library("google.auth")
        from otagate.identity._google_wire import GoogleWire  # noqa: PLC0415 - needs google-auth

        wire = GoogleWire(outside, tuple(_secrets_in(settings.info)), None)
        try:
            credentials = _credentials(settings, list(scopes))
        except (ValueError, KeyError, TypeError, AttributeError) as error:
            raise _malformed(settings) from error
        return _refreshed(credentials, wire, settings.kind)

    return fetch


def _credentials(settings: Settings, scopes: list[str]) -> Any:
    info = dict(settings.info)
    match settings.kind:
        case "external_account":
            return _library("google.auth.identity_pool").Credentials.from_info(info, scopes=scopes)
        case "service_account":
            return _library("google.oauth2.service_account").Credentials.from_service_account_info(info, scopes=scopes)
        case "authorized_user":  # what the login was granted; asking for other scopes would be refused
            return _library("google.oauth2.credentials").Credentials.from_authorized_user_info(info)
        case _:
            acting = _library("google.auth.impersonated_credentials").Credentials
            return acting.from_impersonated_service_account_info(info, scopes=scopes)


def _refreshed(credentials: Any, wire: GoogleWire, subject: str) -> Bearer:
    exceptions = _library("google.auth.exceptions")
    try:
        credentials.refresh(wire)
    except exceptions.GoogleAuthError as error:
        raise wire.explained(error, subject) from error
    except OtagateError:
        raise
    except (
        ValueError,
        KeyError,
        TypeError,
        AttributeError,
    ) as error:  # an answer, or a file, that lacks what google-auth expects
        what, remedy = "cannot get a token of Google", "check the file of credentials, or try again later"
        raise AccessError(what, harmless(subject, 120), None, f"{type(error).__name__} while reading it", remedy) from error
    end = credentials.expiry
    return Bearer(credentials.token, end.replace(tzinfo=UTC) if isinstance(end, datetime) else None)


def _endpoint(named: tuple[str, str], environ: Mapping[str, str]) -> str:
    variable, usual = named
    given = _words.value(environ, variable)
    if given is None:
        return usual
    good = _words.address(variable, given)
    if not _GOOGLE_HOST.fullmatch(good):
        expected, remedy = "https://NAME.googleapis.com", f"correct {variable}, or unset it"
        raise UsageError("a token must not be sent there", variable, expected, harmless(good, 120), remedy)
    return good


def _has_library() -> bool:
    try:
        return importlib.util.find_spec("google.auth") is not None
    except ModuleNotFoundError:  # not even the package around it is there
        return False


def _library(name: str) -> Any:
    try:
        return importlib.import_module(name)
    except ImportError as error:
        raise UsageError("Google's identity needs google-auth", "Google Cloud", remedy="pip install 'otagate[gcs]'") from error


def _malformed(settings: Settings) -> AccessError:
    remedy = "create the file again (`gcloud auth application-default login`, or google-github-actions/auth)"
    return AccessError("these credentials of Google are malformed", settings.kind or "unknown", remedy=remedy)


def _secrets_in(info: Mapping[str, Any]) -> list[str]:
    found: list[str] = []
    for name, field_ in info.items():
        if isinstance(field_, Mapping):
            found += _secrets_in(field_)
        elif isinstance(field_, str) and name in {"private_key", "client_secret", "refresh_token", "Authorization"}:
            found += [field_, *field_.split()]
    return found
