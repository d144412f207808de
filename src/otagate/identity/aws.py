"""Who otagate is to AWS, and to services that speak its S3."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field

from otagate._text import harmless
from otagate.identity import _aws_metadata, _aws_profile, _aws_sts, _words
from otagate.identity._chain import Candidate, Lasting, choose, missing, present
from otagate.identity._outside import Outside
from otagate.identity.ci_token import ci_source
from otagate.identity.interface import AwsKeys, Identity, Kind

_WEB_FILE = "AWS_WEB_IDENTITY_TOKEN_FILE"
_FOREIGN = (Kind.ENVIRONMENT, Kind.PROFILE)
"""What may be meant for a service that is not AWS; a role and keys of a session never are."""
_ID, _SECRET, _SESSION = "AWS_ACCESS_KEY_ID", "AWS_SECRET_ACCESS_KEY", "AWS_SESSION_TOKEN"


@dataclass(frozen=True, slots=True)
class _Job:
    role: str | None
    profile: str | None
    environ: Mapping[str, str] = field(repr=False)
    outside: Outside


def aws_identity(
    role: str | None,
    profile: str | None,
    only: Kind | None,
    environ: Mapping[str, str],
    *,
    is_foreign: bool = False,
    outside: Outside | None = None,
) -> Identity[AwsKeys]:
    """Find who we are to AWS. Nothing is asked of the network before the first ``get``.

    Args:
        role: The ARN of the role to take with the CI's token; by default ``AWS_ROLE_ARN``.
        profile: The profile of ``~/.aws``; by default ``AWS_PROFILE``, then ``default``.
        only: One link to use, or None for the first that can.
        environ: The environment of the process.
        is_foreign: The endpoint is not AWS's: without ``only`` just keys in the environment and profiles are looked at.
        outside: Replaces clock, network and machine in tests.

    Raises:
        AccessError: No link can give credentials.
        UsageError: The role is not a role's ARN.
    """
    job = _Job(role, profile, environ, outside or Outside())
    ci = ci_source(environ, _aws_sts.AUDIENCE, job.outside)
    on_ci = f"name the role with `role=ARN` in the store's URL or AWS_ROLE_ARN, and {ci.remedy}"
    remedy = _words.remedy(only, on_ci, f"{_ID} and {_SECRET}", "`aws sso login` and AWS_PROFILE")
    if is_foreign and only is None:
        remedy = f"set {_ID} and {_SECRET} to the keys of that service, or name a profile; see docs/stores.md"
    links = [*_oidc(job), *_pod(job), *_instance(job), _environment(job), _profile(job)]
    return choose("AWS", links, only, remedy, _FOREIGN if is_foreign else tuple(Kind))


def _oidc(job: _Job) -> list[Candidate[AwsKeys]]:
    return [_exchange(job), _exchanged(job)]


def _exchange(job: _Job) -> Candidate[AwsKeys]:
    ci = ci_source(job.environ, _aws_sts.AUDIENCE, job.outside)
    # In a pod with a token of its own AWS_ROLE_ARN is the pod's role, and trusts the pod's token only.
    in_environ = None if _words.value(job.environ, _WEB_FILE) else _words.value(job.environ, "AWS_ROLE_ARN")
    role = job.role or in_environ
    if ci.problem is not None:
        return missing(Kind.OIDC, ci.problem)
    if role is None:
        return missing(
            Kind.OIDC, f"{ci.host} can give a token, but no role is named (`role=` in the store's URL, or AWS_ROLE_ARN)"
        )
    exchange = _aws_sts.Exchange(_aws_sts.checked_role(role), job.environ, job.outside)

    def get() -> AwsKeys:
        token = ci.get()
        return exchange.keys(token.text, token.claims)

    return present(Kind.OIDC, f"{ci.host}, as {role}", _lasting(get, job))


def _exchanged(job: _Job) -> Candidate[AwsKeys]:
    keys = _keys_of(job.environ)
    if keys is None or keys.session_token is None:
        return missing(Kind.OIDC, f"{_SESSION} is not set")
    return present(Kind.OIDC, f"short-lived keys of an earlier step, in {_ID} and {_SESSION}", lambda: keys)


def _pod(job: _Job) -> list[Candidate[AwsKeys]]:
    return [_web_file(job), _container(job)]


def _web_file(job: _Job) -> Candidate[AwsKeys]:
    path, role = _words.value(job.environ, _WEB_FILE), job.role or _words.value(job.environ, "AWS_ROLE_ARN")
    if path is None:
        return missing(Kind.POD, f"{_WEB_FILE} is not set")
    if role is None:
        return missing(Kind.POD, f"{_WEB_FILE} is set, but AWS_ROLE_ARN is not")
    exchange = _aws_sts.Exchange(_aws_sts.checked_role(role), job.environ, job.outside)
    return present(Kind.POD, f"the pod's token, as {role}", _lasting(lambda: exchange.keys_of_file(path, _WEB_FILE), job))


def _container(job: _Job) -> Candidate[AwsKeys]:
    url = _aws_metadata.container_url(job.environ)
    if url is None:
        return missing(Kind.POD, "no container credentials are offered")
    return present(
        Kind.POD, "the container's role", _lasting(lambda: _aws_metadata.container_keys(url, job.environ, job.outside), job)
    )


def _instance(job: _Job) -> list[Candidate[AwsKeys]]:
    if _words.is_true(job.environ, "AWS_EC2_METADATA_DISABLED"):
        return [missing(Kind.INSTANCE, "AWS_EC2_METADATA_DISABLED is true")]
    if not _aws_metadata.is_ec2(job.environ, job.outside):
        return [missing(Kind.INSTANCE, "this machine does not say that it is EC2")]
    get = _lasting(lambda: _aws_metadata.instance_keys(job.environ, job.outside), job)
    return [present(Kind.INSTANCE, "EC2: the role of the machine, if it has one", get)]


def _environment(job: _Job) -> Candidate[AwsKeys]:
    keys = _keys_of(job.environ)
    if keys is None:
        return missing(Kind.ENVIRONMENT, f"{_ID} and {_SECRET} are not both set")
    if keys.session_token is not None:
        return missing(Kind.ENVIRONMENT, f"the keys in {_ID} are short-lived: they count as oidc")
    return present(Kind.ENVIRONMENT, f"a stored key, {_ID}", lambda: keys, is_static=True)


def _profile(job: _Job) -> Candidate[AwsKeys]:
    found = _aws_profile.look(job.profile, job.environ)
    if found.problem is not None:
        return missing(Kind.PROFILE, found.problem)
    detail = f"profile {harmless(found.name, 80)} ({found.way})"
    # botocore renews by itself what it holds, so nothing is kept here.
    return present(Kind.PROFILE, detail, _aws_profile.Profile(found, job.environ).keys, is_static=found.is_static)


def _keys_of(environ: Mapping[str, str]) -> AwsKeys | None:
    key, secret = _words.value(environ, _ID), _words.value(environ, _SECRET)
    return AwsKeys(key, secret, _words.value(environ, _SESSION)) if key and secret else None


def _lasting(fetch: _aws_metadata.Fetch, job: _Job) -> _aws_metadata.Fetch:
    return Lasting(fetch, lambda keys: keys.expires, job.outside.now).get
