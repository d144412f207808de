"""Who otagate is to Google Cloud."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path

from otagate._text import harmless
from otagate.identity import _google_auth, _google_metadata, _words
from otagate.identity._chain import Candidate, Lasting, choose, missing, present
from otagate.identity._outside import Outside
from otagate.identity.ci_token import ci_source
from otagate.identity.interface import Bearer, Identity, Kind

STORAGE_SCOPES = ("https://www.googleapis.com/auth/devstorage.read_write",)
"""What a token for objects is for."""
CLOUD_SCOPES = ("https://www.googleapis.com/auth/cloud-platform",)
"""What a token for the CDN, or for signing, is for."""

_PROVIDER, _ACCOUNT, _FILE = "GOOGLE_WORKLOAD_IDENTITY_PROVIDER", "GOOGLE_SERVICE_ACCOUNT", "GOOGLE_APPLICATION_CREDENTIALS"


@dataclass(frozen=True, slots=True)
class _Job:
    provider: str | None
    service_account: str | None
    scopes: tuple[str, ...]
    environ: Mapping[str, str] = field(repr=False)
    outside: Outside
    file: _google_auth.Settings | None = field(repr=False)


def google_identity(
    provider: str | None,
    service_account: str | None,
    only: Kind | None,
    environ: Mapping[str, str],
    scopes: tuple[str, ...] = STORAGE_SCOPES,
    *,
    is_foreign: bool = False,
    outside: Outside | None = None,
) -> Identity[Bearer]:
    """Find who we are to Google Cloud. Nothing is asked of the network before the first ``get``.

    Args:
        provider: ``projects/NUMBER/locations/global/workloadIdentityPools/POOL/providers/NAME``; by default
            ``GOOGLE_WORKLOAD_IDENTITY_PROVIDER``.
        service_account: The e-mail address of the account to act as; by default ``GOOGLE_SERVICE_ACCOUNT``.
        only: One link to use, or None for the first that can.
        environ: The environment of the process.
        scopes: What the token is for; :data:`CLOUD_SCOPES` for the CDN.
        is_foreign: The endpoint is not the cloud's: without ``only`` just the environment is looked at.
        outside: Replaces clock, network and machine in tests.

    Raises:
        AccessError: No link can give credentials.
        UsageError: A name, or an address in the environment, may not be used.
    """
    outside = outside or Outside()
    named = _google_auth.checked_provider(provider or _words.value(environ, _PROVIDER))
    account = _google_auth.checked_account(service_account or _words.value(environ, _ACCOUNT))
    path = _words.value(environ, _FILE)
    settings = _google_auth.read_settings(path) if path else None
    job = _Job(named, account, scopes, environ, outside, settings)
    ci = ci_source(environ, _google_auth.ci_audience(named), outside)
    on_ci = f"name the provider with `provider=` in the store's URL or {_PROVIDER}, and {ci.remedy}"
    stored = f"{_FILE} to the path of a key file"
    remedy = _words.remedy(only, on_ci, stored, "`gcloud auth application-default login`")
    links = [
        _oidc(job),
        _external_file(job),
        _metadata(job, Kind.POD),
        _metadata(job, Kind.INSTANCE),
        _key_file(job),
        _profile(job),
    ]
    # A token is as good elsewhere as here, so a login or a service account never goes to a service that is not Google's.
    return choose("Google Cloud", links, only, remedy, (Kind.ENVIRONMENT,) if is_foreign else tuple(Kind))


def _oidc(job: _Job) -> Candidate[Bearer]:
    ci = ci_source(job.environ, _google_auth.ci_audience(job.provider), job.outside)
    if job.provider is None:
        # Without a provider nobody knows the audience, so what is wrong with the token is not known either.
        return missing(Kind.OIDC, f"no provider is named (`provider=` in the store's URL, or {_PROVIDER}), or {ci.problem}")
    if ci.problem is not None:
        return missing(Kind.OIDC, ci.problem)
    fetch = _google_auth.by_ci(
        ci, _google_auth.Federation(job.provider, job.service_account, job.scopes), job.environ, job.outside
    )
    return _bearing(Kind.OIDC, f"{ci.host}, as {job.service_account or job.provider}", fetch, job)


def _external_file(job: _Job) -> Candidate[Bearer]:
    settings = job.file
    if settings is None or settings.kind != "external_account":
        return missing(Kind.OIDC, f"{_FILE} names no settings of a workload identity")
    if settings.problem is not None:
        return missing(Kind.OIDC, f"{_FILE}: {settings.problem}")
    return _bearing(Kind.OIDC, f"the workload identity in {_FILE}", _fetch(settings, job), job)


def _metadata(job: _Job, kind: Kind) -> Candidate[Bearer]:
    where = _google_metadata.where(job.environ, job.outside)
    if where is not kind:
        what = "GKE or Cloud Run" if kind is Kind.POD else "Google's"
        return missing(kind, f"this machine does not say that it is {what}")
    fetch = _google_metadata.Metadata(job.scopes, job.environ, job.outside).token
    return _bearing(kind, "the service account of the machine or the pod, if it has one", fetch, job)


def _key_file(job: _Job) -> Candidate[Bearer]:
    settings = job.file
    if settings is None:
        return missing(Kind.ENVIRONMENT, f"{_FILE} is not set")
    if settings.kind == "external_account":
        return missing(Kind.ENVIRONMENT, f"the file that {_FILE} names holds no key: it counts as oidc")
    if settings.problem is not None:
        return missing(Kind.ENVIRONMENT, f"{_FILE}: {settings.problem}")
    return _bearing(Kind.ENVIRONMENT, f"a stored key ({settings.kind}) in {_FILE}", _fetch(settings, job), job, is_static=True)


def _profile(job: _Job) -> Candidate[Bearer]:
    home = Path(_words.value(job.environ, "HOME") or Path.home())
    folder = Path(_words.value(job.environ, "CLOUDSDK_CONFIG") or home / ".config" / "gcloud")
    path = folder / "application_default_credentials.json"
    if not path.is_file():
        return missing(Kind.PROFILE, f"there is no {harmless(str(path), 120)}")
    settings = _google_auth.read_settings(str(path))
    if settings.problem is not None:
        return missing(Kind.PROFILE, f"{harmless(str(path), 120)}: {settings.problem}")
    is_static = settings.kind == "service_account"
    return _bearing(Kind.PROFILE, f"gcloud's login ({settings.kind})", _fetch(settings, job), job, is_static=is_static)


def _fetch(settings: _google_auth.Settings, job: _Job) -> _google_auth.Fetch:
    return _google_auth.by_settings(settings, job.scopes, job.outside)


def _bearing(kind: Kind, detail: str, fetch: _google_auth.Fetch, job: _Job, *, is_static: bool = False) -> Candidate[Bearer]:
    get = Lasting[Bearer](fetch, lambda bearer: bearer.expires, job.outside.now).get
    return present(kind, detail, get, is_static=is_static)
