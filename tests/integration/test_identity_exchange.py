"""A CI's token for a cloud's credential, against an issuer and token endpoints that verify what they are shown."""

from __future__ import annotations

import json
import threading
from collections.abc import Callable, Iterator, Mapping
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import pytest
from jwcrypto.jwk import JWK

from otagate.errors import AccessError, OtagateError, UnavailableError
from otagate.identity._outside import Outside
from otagate.identity.aws import aws_identity
from otagate.identity.azure import azure_identity
from otagate.identity.google import google_identity
from otagate.identity.interface import AwsKeys, Bearer, Identity, Kind
from support.issuer import SUBJECT, Clouds, Issuer, Trust, clouds_that_trust, issuing, unsigned

pytestmark = pytest.mark.integration

PROVIDER = "projects/123/locations/global/workloadIdentityPools/github/providers/acme"
AUDIENCES = {
    "aws": "sts.amazonaws.com",
    "azure": "api://AzureADTokenExchange",
    "google": f"https://iam.googleapis.com/{PROVIDER}",
}
ROLE = "arn:aws:iam::123456789012:role/ota"
ACCOUNT = "ota@acme.iam.gserviceaccount.com"
APP, TENANT = "11111111-2222-3333-4444-555555555555", "acme.onmicrosoft.com"


@pytest.fixture
def issuer() -> Iterator[Issuer]:
    with issuing() as made:
        yield made


@pytest.fixture(params=sorted(AUDIENCES))
def cloud(request: pytest.FixtureRequest) -> str:
    return str(request.param)


@pytest.fixture
def clouds(issuer: Issuer, cloud: str) -> Iterator[Clouds]:
    with clouds_that_trust(Trust(issuer.url, AUDIENCES[cloud])) as made:
        yield made


def identity(cloud: str, environ: Mapping[str, str], outside: Outside | None = None) -> Identity[Any]:
    if cloud == "aws":
        return aws_identity(ROLE, None, None, environ, outside=outside)
    if cloud == "azure":
        return azure_identity(APP, TENANT, None, environ, outside=outside)
    return google_identity(PROVIDER, ACCOUNT, None, environ, outside=outside)


def secret_of(credential: AwsKeys | Bearer) -> str:
    return credential.secret_access_key if isinstance(credential, AwsKeys) else credential.token


def program(folder: Path, name: str, script: str) -> None:
    path = folder / name
    path.write_text(f"#!/bin/sh\n{script}\n")
    path.chmod(0o755)


def github(issuer: Issuer, cloud: str, tmp_path: Path) -> dict[str, str]:
    return issuer.github()


def gitlab(issuer: Issuer, cloud: str, tmp_path: Path) -> dict[str, str]:
    return {"GITLAB_CI": "true", "CI_JOB_ID": "1", "OTAGATE_OIDC_TOKEN": issuer.token(AUDIENCES[cloud])}


def gitlab_by_name(issuer: Issuer, cloud: str, tmp_path: Path) -> dict[str, str]:
    names = {
        "aws": "STS_AMAZONAWS_COM_ID_TOKEN",
        "azure": "API___AZUREADTOKENEXCHANGE_ID_TOKEN",
        "google": "HTTPS___IAM_GOOGLEAPIS_COM_PROJECTS_123_LOCATIONS_GLOBAL_WORKLOADIDENTITYPOOLS_GITHUB_PROVIDERS_ACME_ID_TOKEN",
    }
    return {"GITLAB_CI": "true", names[cloud]: issuer.token(AUDIENCES[cloud])}


def circleci(issuer: Issuer, cloud: str, tmp_path: Path) -> dict[str, str]:
    (tmp_path / "token").write_text(issuer.token(AUDIENCES[cloud]) + "\n")
    expected = json.dumps({"aud": AUDIENCES[cloud]})
    program(
        tmp_path, "circleci", f"[ \"$*\" = 'run oidc get --claims {expected}' ] && exec /bin/cat '{tmp_path}/token'; exit 9"
    )
    return {"CIRCLECI": "true", "PATH": str(tmp_path)}


def buildkite(issuer: Issuer, cloud: str, tmp_path: Path) -> dict[str, str]:
    (tmp_path / "token").write_text(issuer.token(AUDIENCES[cloud]) + "\n")
    expected = f"oidc request-token --audience {AUDIENCES[cloud]}"
    program(tmp_path, "buildkite-agent", f"[ \"$*\" = '{expected}' ] && exec /bin/cat '{tmp_path}/token'; exit 9")
    return {"BUILDKITE": "true", "PATH": str(tmp_path)}


@pytest.mark.parametrize("host", [github, gitlab, gitlab_by_name, circleci, buildkite])
def test_a_ci_token_becomes_a_credential(
    host: Callable[[Issuer, str, Path], dict[str, str]], issuer: Issuer, clouds: Clouds, cloud: str, tmp_path: Path
) -> None:
    environ = {**host(issuer, cloud, tmp_path), **clouds.environ(), "HOME": str(tmp_path)}

    found = identity(cloud, environ)

    # Building the chain asks nobody.
    assert clouds.forms == []
    assert "/github" not in issuer.requests
    assert found.used.kind is Kind.OIDC
    assert not found.used.is_static
    credential = found.get()
    assert secret_of(credential) in clouds.secrets
    assert credential.expires > datetime.now(UTC) + timedelta(minutes=50)
    # The same is given until shortly before its end.
    assert found.get() is credential
    shown = repr((found, credential, found.links))
    assert not [secret for secret in [*clouds.secrets, *issuer.tokens] if secret in shown]


def test_who_asks_is_named_to_the_cloud(issuer: Issuer, clouds: Clouds, cloud: str, tmp_path: Path) -> None:
    identity(cloud, {**issuer.github(), **clouds.environ(), "HOME": str(tmp_path)}).get()

    form = clouds.forms[0]
    if cloud == "aws":
        assert (form["RoleArn"], form["RoleSessionName"]) == (ROLE, "otagate-4711")
    elif cloud == "azure":
        assert (form["client_id"], form["scope"]) == (APP, "https://storage.azure.com/.default")
    else:
        assert form["audience"] == f"//iam.googleapis.com/{PROVIDER}"


def wrong_subject(issuer: Issuer, audience: str) -> str:
    return issuer.token(audience, sub="repo:acme/app:pull_request")


def wrong_audience(issuer: Issuer, audience: str) -> str:
    return issuer.token("https://github.com/acme")


def wrong_issuer(issuer: Issuer, audience: str) -> str:
    return issuer.token(audience, iss="https://evil.example")


def expired(issuer: Issuer, audience: str) -> str:
    return issuer.token(audience, exp=1_700_000_000)


def too_early(issuer: Issuer, audience: str) -> str:
    return issuer.token(audience, nbf=4_000_000_000, exp=4_000_000_600)


def not_signed(issuer: Issuer, audience: str) -> str:
    issuer.tokens.append(unsigned(issuer.claims(audience)))
    return issuer.tokens[-1]


def other_key(issuer: Issuer, audience: str) -> str:
    return issuer.token(audience, key=JWK.generate(kty="EC", crv="P-256", kid="1"))


FAULTS: dict[Callable[[Issuer, str], str], dict[str, str]] = {
    wrong_subject: {
        "aws": "AccessDenied: Not authorized",
        "azure": "AADSTS700213",
        "google": "rejected by the attribute condition",
    },
    wrong_audience: {
        "aws": "Incorrect token audience",
        "azure": "AADSTS700212",
        "google": "does not match the expected audience",
    },
    wrong_issuer: {"aws": "No OpenIDConnect provider", "azure": "AADSTS700211", "google": "The issuer in ID Token"},
    expired: {"aws": "Token expired", "azure": "AADSTS700024", "google": "stale"},
    too_early: {"aws": "not valid yet", "azure": "AADSTS700024", "google": "before its time"},
    not_signed: {"aws": "verify the signature", "azure": "invalid signature", "google": "verifying the ID token signature"},
    other_key: {"aws": "verify the signature", "azure": "invalid signature", "google": "verifying the ID token signature"},
}


def by_file(cloud: str, token: str, clouds: Clouds, tmp_path: Path) -> dict[str, str]:
    """A platform's way: a token in a file, which otagate sends unseen, so that the cloud has to refuse it."""
    path = tmp_path / "token"
    path.write_text(token)
    if cloud == "aws":
        return {"AWS_WEB_IDENTITY_TOKEN_FILE": str(path), "AWS_ROLE_ARN": ROLE}
    if cloud == "azure":
        return {"AZURE_FEDERATED_TOKEN_FILE": str(path), "AZURE_CLIENT_ID": APP, "AZURE_TENANT_ID": TENANT}
    settings = {
        "type": "external_account",
        "audience": f"//iam.googleapis.com/{PROVIDER}",
        "subject_token_type": "urn:ietf:params:oauth:token-type:jwt",
        "token_url": f"{clouds.url}/v1/token",
        "service_account_impersonation_url": f"{clouds.url}/v1/projects/-/serviceAccounts/{ACCOUNT}:generateAccessToken",
        "credential_source": {"file": str(path)},
    }
    file = tmp_path / "credentials.json"
    file.write_text(json.dumps(settings))
    return {"GOOGLE_APPLICATION_CREDENTIALS": str(file)}


def test_a_good_token_in_a_file_is_believed(issuer: Issuer, clouds: Clouds, cloud: str, tmp_path: Path) -> None:
    environ = {**by_file(cloud, issuer.token(AUDIENCES[cloud]), clouds, tmp_path), **clouds.environ(), "HOME": str(tmp_path)}

    found = identity(cloud, environ)

    assert found.used.kind is (Kind.OIDC if cloud == "google" else Kind.POD)
    assert secret_of(found.get()) in clouds.secrets


@pytest.mark.parametrize("fault", list(FAULTS), ids=lambda fault: fault.__name__)
def test_the_cloud_refuses_a_bad_token_and_we_say_why(
    fault: Callable[[Issuer, str], str], issuer: Issuer, clouds: Clouds, cloud: str, tmp_path: Path
) -> None:
    token = fault(issuer, AUDIENCES[cloud])
    environ = {**by_file(cloud, token, clouds, tmp_path), **clouds.environ(), "HOME": str(tmp_path)}

    with pytest.raises(AccessError) as caught:
        identity(cloud, environ).get()

    assert FAULTS[fault][cloud] in str(caught.value)
    assert caught.value.remedy
    assert clouds.exchanges == 0
    assert token not in repr(caught.value)


def test_a_wrong_subject_shows_what_the_trust_must_name(issuer: Issuer, clouds: Clouds, cloud: str, tmp_path: Path) -> None:
    issuer.subject = "repo:acme/app:environment:beta"

    with pytest.raises(AccessError) as caught:
        identity(cloud, {**issuer.github(), **clouds.environ(), "HOME": str(tmp_path)}).get()

    expected = f"sub repo:acme/app:environment:beta, aud {AUDIENCES[cloud]}, iss {issuer.url}"
    assert expected in str(caught.value)
    assert SUBJECT not in str(caught.value)
    assert not [token for token in issuer.tokens if token in str(caught.value)]


SEEN_BY_US: dict[Callable[[Issuer, str], str], str] = {
    wrong_audience: "for https://github.com/acme, and not for",
    expired: "has expired",
}


@pytest.mark.parametrize("fault", list(SEEN_BY_US), ids=lambda fault: fault.__name__)
def test_a_bad_token_is_not_even_sent(
    fault: Callable[[Issuer, str], str], issuer: Issuer, clouds: Clouds, cloud: str, tmp_path: Path
) -> None:
    environ = {"GITLAB_CI": "true", "OTAGATE_OIDC_TOKEN": fault(issuer, AUDIENCES[cloud]), "HOME": str(tmp_path)}

    with pytest.raises(AccessError, match=SEEN_BY_US[fault]):
        identity(cloud, {**environ, **clouds.environ()}, Outside(machine=lambda _: "")).get()

    assert clouds.forms == []


def test_credentials_are_renewed_before_they_expire(issuer: Issuer, clouds: Clouds, cloud: str, tmp_path: Path) -> None:
    past = timedelta()
    outside = Outside(now=lambda: datetime.now(UTC) + past)
    found = identity(cloud, {**issuer.github(), **clouds.environ(), "HOME": str(tmp_path)}, outside)
    first = found.get()
    issuer.tokens.clear()

    past = timedelta(minutes=4)
    assert found.get() is first
    assert issuer.tokens == []
    # The issuer's tokens last ten minutes: one for the renewal must be new, not the first one again.
    past = timedelta(minutes=56)
    issuer_life = issuer.claims
    issuer.claims = lambda audience, **changes: issuer_life(audience, **{"exp": 4_000_000_000, **changes})  # type: ignore[method-assign]
    second = found.get()

    assert secret_of(second) != secret_of(first)
    assert len(issuer.tokens) == 1


def test_many_threads_make_one_exchange(issuer: Issuer, clouds: Clouds, cloud: str, tmp_path: Path) -> None:
    found = identity(cloud, {**issuer.github(), **clouds.environ(), "HOME": str(tmp_path)})
    got: list[object] = []
    threads = [threading.Thread(target=lambda: got.append(found.get())) for _ in range(8)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()

    assert len(got) == 8
    assert len({id(one) for one in got}) == 1
    assert len(clouds.forms) == 1


def test_a_role_or_account_that_is_not_trusted(issuer: Issuer, tmp_path: Path) -> None:
    with clouds_that_trust(Trust(issuer.url, AUDIENCES["google"])) as clouds:
        environ = {**issuer.github(), **clouds.environ(), "HOME": str(tmp_path)}
        other = google_identity(PROVIDER, "other@acme.iam.gserviceaccount.com", None, environ)
        with pytest.raises(AccessError, match="PERMISSION_DENIED") as caught:
            other.get()
    assert "workloadIdentityUser" in str(caught.value)
    assert not [secret for secret in clouds.secrets if secret in str(caught.value)]


def test_a_provider_alone_is_enough_for_google(issuer: Issuer, tmp_path: Path) -> None:
    with clouds_that_trust(Trust(issuer.url, AUDIENCES["google"])) as clouds:
        environ = {**issuer.github(), **clouds.environ(), "HOME": str(tmp_path)}
        assert google_identity(f"//iam.googleapis.com/{PROVIDER}", None, None, environ).get().token == clouds.secrets[0]


def test_google_github_actions_auth_leaves_a_file(issuer: Issuer, tmp_path: Path) -> None:
    """The action writes a file that names GitHub's own address for tokens, with the job's request token in a header."""
    variables = issuer.github()
    with clouds_that_trust(Trust(issuer.url, AUDIENCES["google"])) as clouds:
        settings = {
            "type": "external_account",
            "audience": f"//iam.googleapis.com/{PROVIDER}",
            "subject_token_type": "urn:ietf:params:oauth:token-type:jwt",
            "token_url": f"{clouds.url}/v1/token",
            "credential_source": {
                "url": f"{variables['ACTIONS_ID_TOKEN_REQUEST_URL']}&audience={AUDIENCES['google']}",
                "headers": {"Authorization": f"bearer {variables['ACTIONS_ID_TOKEN_REQUEST_TOKEN']}"},
                "format": {"type": "json", "subject_token_field_name": "value"},
            },
        }
        file = tmp_path / "gha-creds.json"
        file.write_text(json.dumps(settings))
        found = google_identity(None, None, None, {"GOOGLE_APPLICATION_CREDENTIALS": str(file), "GITHUB_ACTIONS": "true"})

        assert found.used.kind is Kind.OIDC
        assert found.get().token in clouds.secrets


def test_a_job_without_the_permission(tmp_path: Path) -> None:
    with pytest.raises(AccessError) as caught:
        aws_identity(ROLE, None, Kind.OIDC, {"GITHUB_ACTIONS": "true", "HOME": str(tmp_path)})

    assert "permissions: id-token: write" in str(caught.value)


def test_github_refuses(issuer: Issuer, clouds: Clouds, cloud: str, tmp_path: Path) -> None:
    environ = {**issuer.github(), "ACTIONS_ID_TOKEN_REQUEST_TOKEN": "another-secret", **clouds.environ(), "HOME": str(tmp_path)}

    with pytest.raises(AccessError, match="HTTP 401") as caught:
        identity(cloud, environ).get()

    assert "another-secret" not in str(caught.value)


def test_nothing_listens(issuer: Issuer, cloud: str, tmp_path: Path) -> None:
    nowhere = "http://127.0.0.1:1"
    environ = {**issuer.github(), **Clouds(Trust("", ""), url=nowhere).environ(), "HOME": str(tmp_path)}
    waits: list[float] = []
    time = iter(range(0, 10_000, 5))
    outside = Outside(sleep=waits.append, monotonic=lambda: float(next(time)))

    with pytest.raises(UnavailableError) as caught:
        identity(cloud, environ, outside).get()

    assert waits
    assert "127.0.0.1:1" in str(caught.value)
    assert not [token for token in issuer.tokens if token in str(caught.value)]


@pytest.mark.parametrize(
    "evil", ["http://sts.evil.example", "http://127.0.0.1.evil.example/", "ftp://127.0.0.1", "https://user@x"]
)
def test_the_environment_cannot_send_the_token_into_the_open(issuer: Issuer, cloud: str, evil: str, tmp_path: Path) -> None:
    environ = {**issuer.github(), **Clouds(Trust("", ""), url=evil).environ(), "HOME": str(tmp_path)}

    with pytest.raises(OtagateError, match="must not be sent there"):
        identity(cloud, environ).get()

    assert issuer.tokens == []


def test_a_proxy_does_not_see_the_token(
    issuer: Issuer, clouds: Clouds, cloud: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    for name in ("HTTP_PROXY", "http_proxy", "ALL_PROXY", "all_proxy"):
        monkeypatch.setenv(name, "http://127.0.0.1:1")
    monkeypatch.delenv("NO_PROXY", raising=False)
    monkeypatch.delenv("no_proxy", raising=False)

    found = identity(cloud, {**issuer.github(), **clouds.environ(), "HOME": str(tmp_path)})

    assert secret_of(found.get()) in clouds.secrets
