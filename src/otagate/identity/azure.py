"""Who otagate is to Azure: its storage, and Front Door."""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass, field

from otagate._text import harmless
from otagate.errors import UsageError
from otagate.identity import _azure_cli, _azure_entra, _azure_metadata, _words
from otagate.identity._chain import Candidate, Lasting, choose, missing, present
from otagate.identity._outside import Outside
from otagate.identity.ci_token import ci_source
from otagate.identity.interface import AzureAccountKey, AzureCredential, AzureSas, Bearer, Identity, Kind

STORAGE_SCOPE = "https://storage.azure.com/.default"
"""What a token for blobs is for."""
MANAGEMENT_SCOPE = "https://management.azure.com/.default"
"""What a token for Front Door is for."""

_CLIENT, _TENANT, _POD_FILE = "AZURE_CLIENT_ID", "AZURE_TENANT_ID", "AZURE_FEDERATED_TOKEN_FILE"
_SECRET = "AZURE_CLIENT_SECRET"  # noqa: S105 - a name
_KEYS, _SAS = ("AZURE_STORAGE_ACCOUNT_KEY", "AZURE_STORAGE_KEY"), "AZURE_STORAGE_SAS_TOKEN"
_ID = re.compile(r"[A-Za-z0-9][A-Za-z0-9.-]{0,127}", re.ASCII)
_SCOPE = re.compile(r"https://[a-z0-9.-]+/\.default", re.ASCII)


@dataclass(frozen=True, slots=True)
class _Job:
    client: str | None
    tenant: str | None
    scope: str
    environ: Mapping[str, str] = field(repr=False)
    outside: Outside


def azure_identity(
    client: str | None,
    tenant: str | None,
    only: Kind | None,
    environ: Mapping[str, str],
    scope: str = STORAGE_SCOPE,
    *,
    is_foreign: bool = False,
    outside: Outside | None = None,
) -> Identity[AzureCredential]:
    """Find who we are to Azure. Nothing is asked of the network before the first ``get``.

    Args:
        client: The id of the app registration or managed identity; by default ``AZURE_CLIENT_ID``.
        tenant: The directory's id; by default ``AZURE_TENANT_ID``.
        only: One link to use, or None for the first that can.
        environ: The environment of the process.
        scope: What the token is for. Account keys and shared access signatures only count for :data:`STORAGE_SCOPE`.
        is_foreign: The endpoint is not the cloud's: without ``only`` just the environment is looked at.
        outside: Replaces clock, network and machine in tests.

    Raises:
        AccessError: No link can give credentials.
        UsageError: An id, or an address in the environment, may not be used.
    """
    if not _SCOPE.fullmatch(scope):
        raise UsageError("this is not a scope", harmless(scope, 80), STORAGE_SCOPE, None, "see docs/stores.md")
    job = _Job(
        _checked(client or _words.value(environ, _CLIENT), "client", _CLIENT),
        _checked(tenant or _words.value(environ, _TENANT), "tenant", _TENANT),
        scope,
        environ,
        outside or Outside(),
    )
    ci = ci_source(environ, _azure_entra.AUDIENCE, job.outside)
    on_ci = f"name the app with `client=` and `tenant=` in the store's URL or {_CLIENT} and {_TENANT}, and {ci.remedy}"
    remedy = _words.remedy(only, on_ci, f"{_KEYS[0]} or {_SAS}", "`az login`")
    links = [_oidc(job, client), _pod_file(job), _pod_endpoint(job), _instance(job), *_environment(job), _profile(job)]
    # A token is as good elsewhere as here, so a login or a managed identity never goes to a service that is not Azure's.
    return choose("Azure", links, only, remedy, (Kind.ENVIRONMENT,) if is_foreign else tuple(Kind))


def _checked(given: str | None, option: str, variable: str) -> str | None:
    if given is not None and not _ID.fullmatch(given):
        remedy = f"copy the id from Azure into `{option}=` of the store's URL, or {variable}"
        raise UsageError(
            f"this is not the id of a {option}", harmless(given, 80), "letters, digits, dots and dashes", None, remedy
        )
    return given


def _oidc(job: _Job, given: str | None) -> Candidate[AzureCredential]:
    ci = ci_source(job.environ, _azure_entra.AUDIENCE, job.outside)
    # In a pod with a token of its own AZURE_CLIENT_ID is the pod's, and trusts the pod's token only.
    client = given if _words.value(job.environ, _POD_FILE) else job.client
    if ci.problem is not None:
        return missing(Kind.OIDC, ci.problem)
    if client is None or job.tenant is None:
        lacking = " and ".join(
            f"no {name} (`{name}=` in the store's URL, or {variable})"
            for name, variable, has in (("client", _CLIENT, client), ("tenant", _TENANT, job.tenant))
            if has is None
        )
        return missing(Kind.OIDC, f"{ci.host} can give a token, but there is {lacking}")
    entra = _azure_entra.Entra(client, job.tenant, job.scope, job.environ, job.outside)

    def get() -> Bearer:
        token = ci.get()
        return entra.by_assertion(token.text, token.claims)

    return _bearing(Kind.OIDC, f"{ci.host}, as the app {client}", get, job)


def _pod_file(job: _Job) -> Candidate[AzureCredential]:
    path = _words.value(job.environ, _POD_FILE)
    if path is None:
        return missing(Kind.POD, f"{_POD_FILE} is not set")
    if job.client is None or job.tenant is None:
        return missing(Kind.POD, f"{_POD_FILE} is set, but {_CLIENT} or {_TENANT} is not")
    entra = _azure_entra.Entra(job.client, job.tenant, job.scope, job.environ, job.outside)
    return _bearing(Kind.POD, f"the pod's token, as {job.client}", lambda: entra.by_file(path, _POD_FILE), job)


def _pod_endpoint(job: _Job) -> Candidate[AzureCredential]:
    endpoint = _azure_metadata.app_endpoint(job.environ)
    if endpoint is None:
        return missing(Kind.POD, "IDENTITY_ENDPOINT and IDENTITY_HEADER are not both set")
    ask = _azure_metadata.Metadata(job.client, job.scope, job.environ, job.outside)
    return _bearing(Kind.POD, "the managed identity of the app", lambda: ask.of_app(endpoint), job)


def _instance(job: _Job) -> Candidate[AzureCredential]:
    if not _azure_metadata.is_azure(job.environ, job.outside):
        return missing(Kind.INSTANCE, "this machine does not say that it is Azure's")
    ask = _azure_metadata.Metadata(job.client, job.scope, job.environ, job.outside)
    return _bearing(Kind.INSTANCE, "the managed identity of the machine, if it has one", ask.of_machine, job)


def _environment(job: _Job) -> list[Candidate[AzureCredential]]:
    key, sas = _words.value(job.environ, *_KEYS), _words.value(job.environ, _SAS)
    secret = _words.value(job.environ, _SECRET)
    if job.scope == STORAGE_SCOPE and key is not None:
        shared = AzureAccountKey(key)
        return [present(Kind.ENVIRONMENT, "a stored key, the account's own", lambda: shared, is_static=True)]
    if job.scope == STORAGE_SCOPE and sas is not None:
        signature = AzureSas(sas.removeprefix("?"))
        return [present(Kind.ENVIRONMENT, f"a stored shared access signature, {_SAS}", lambda: signature, is_static=True)]
    if secret is None:
        names = [*_KEYS[:1], _SAS, _SECRET] if job.scope == STORAGE_SCOPE else [_SECRET]
        return [missing(Kind.ENVIRONMENT, f"none of {', '.join(names)} is set" if len(names) > 1 else f"{_SECRET} is not set")]
    if job.client is None or job.tenant is None:
        return [missing(Kind.ENVIRONMENT, f"{_SECRET} is set, but {_CLIENT} or {_TENANT} is not")]
    entra = _azure_entra.Entra(job.client, job.tenant, job.scope, job.environ, job.outside)
    detail = f"a stored secret of the app {job.client}"
    return [_bearing(Kind.ENVIRONMENT, detail, lambda: entra.by_secret(secret), job, is_static=True)]


def _profile(job: _Job) -> Candidate[AzureCredential]:
    problem = _azure_cli.problem(job.environ, job.outside)
    if problem is not None:
        return missing(Kind.PROFILE, problem)
    return _bearing(
        Kind.PROFILE, "the Azure CLI's login", lambda: _azure_cli.token(job.scope, job.tenant, job.environ, job.outside), job
    )


def _bearing(
    kind: Kind, detail: str, fetch: _azure_entra.Fetch, job: _Job, *, is_static: bool = False
) -> Candidate[AzureCredential]:
    get = Lasting(fetch, lambda bearer: bearer.expires, job.outside.now).get
    return present(kind, detail, get, is_static=is_static)
