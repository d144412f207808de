"""Every link of Google's chain, with the services' own answers."""

from __future__ import annotations

import json
import re
import sys
from collections.abc import Mapping
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any
from urllib.parse import parse_qs

import httpx
import pytest
from cryptography.hazmat.primitives.asymmetric.rsa import generate_private_key
from cryptography.hazmat.primitives.serialization import Encoding, NoEncryption, PrivateFormat

from otagate.errors import AccessError, OtagateError, UnavailableError, UsageError
from otagate.identity.google import CLOUD_SCOPES, STORAGE_SCOPES, google_identity
from otagate.identity.interface import Bearer, Identity, Kind
from support.identities import NOW, World, answering, jwt, nobody

NAME = "projects/123/locations/global/workloadIdentityPools/github/providers/acme"
AUDIENCE = f"https://iam.googleapis.com/{NAME}"
ACCOUNT = "ota@acme.iam.gserviceaccount.com"
TOKEN = {"OTAGATE_OIDC_TOKEN": jwt(AUDIENCE), "GOOGLE_WORKLOAD_IDENTITY_PROVIDER": NAME}
STS, IAM = "POST /v1/token", f"POST /v1/projects/-/serviceAccounts/{ACCOUNT}:generateAccessToken"
METADATA = "GET /computeMetadata/v1/instance/service-accounts/default/token"
GIVEN = {"access_token": "federated-secret", "expires_in": 3600, "token_type": "Bearer"}
ACTED = {"accessToken": "account-secret", "expireTime": "2099-01-01T00:00:00Z"}
FLAVOR = {"Metadata-Flavor": "Google"}


def identity(
    environ: Mapping[str, str], world: World | None = None, only: Kind | None = None, scopes: tuple[str, ...] = STORAGE_SCOPES
) -> Identity[Bearer]:
    return google_identity(None, None, only, {"HOME": "/nowhere", **environ}, scopes, outside=(world or World()).outside())


def test_the_ci_at_a_provider() -> None:
    world = World(answering({STS: GIVEN}))

    found = identity(TOKEN, world)

    assert world.asked == []
    assert (found.used.kind, found.used.detail) == (Kind.OIDC, f"OTAGATE_OIDC_TOKEN, as {NAME}")
    got = found.get()
    assert got.token == "federated-secret"
    assert got.expires is not None
    assert timedelta(minutes=59) < got.expires - datetime.now(UTC) <= timedelta(hours=1)  # google-auth has a clock of its own
    assert str(world.asked[0].url) == "https://sts.googleapis.com/v1/token"
    form = {name: values[0] for name, values in parse_qs(world.asked[0].content.decode()).items()}
    assert form["audience"] == f"//iam.googleapis.com/{NAME}"
    assert form["subject_token"] == jwt(AUDIENCE)
    assert form["subject_token_type"] == "urn:ietf:params:oauth:token-type:jwt"
    assert form["scope"] == STORAGE_SCOPES[0]
    assert "federated-secret" not in repr((found, got))


def test_the_ci_as_a_service_account() -> None:
    world = World(answering({STS: GIVEN, IAM: ACTED}))
    found = identity({**TOKEN, "GOOGLE_SERVICE_ACCOUNT": ACCOUNT}, world, scopes=CLOUD_SCOPES)
    assert found.used.detail == f"OTAGATE_OIDC_TOKEN, as {ACCOUNT}"
    assert found.get() == Bearer("account-secret", datetime(2099, 1, 1, tzinfo=UTC))
    assert world.asked[1].headers["Authorization"] == "Bearer federated-secret"
    assert json.loads(world.asked[1].content)["scope"] == list(CLOUD_SCOPES)


@pytest.mark.parametrize("prefix", ["", "//iam.googleapis.com/", "https://iam.googleapis.com/"])
def test_names_of_providers(prefix: str) -> None:
    assert identity({**TOKEN, "GOOGLE_WORKLOAD_IDENTITY_PROVIDER": prefix + NAME}).used.detail.endswith(NAME)


@pytest.mark.parametrize(
    "environ",
    [
        {"GOOGLE_WORKLOAD_IDENTITY_PROVIDER": "acme"},
        {"GOOGLE_WORKLOAD_IDENTITY_PROVIDER": f"{NAME}/../x"},
        {"GOOGLE_SERVICE_ACCOUNT": "x/y:generateIdToken#@z"},
    ],
)
def test_what_is_no_name(environ: dict[str, str]) -> None:
    with pytest.raises(UsageError, match="this is not"):
        identity({**TOKEN, **environ})


def test_endpoints_of_googles_own() -> None:
    world = World(answering({STS: GIVEN, IAM: ACTED}))
    endpoints = {
        "CLOUDSDK_API_ENDPOINT_OVERRIDES_STS": "https://sts-acme.p.googleapis.com/",
        "CLOUDSDK_API_ENDPOINT_OVERRIDES_IAMCREDENTIALS": "http://127.0.0.1:9",
    }
    identity({**TOKEN, **endpoints, "GOOGLE_SERVICE_ACCOUNT": ACCOUNT}, world).get()
    assert [request.url.host for request in world.asked] == ["sts-acme.p.googleapis.com", "127.0.0.1"]
    for other in ("https://evil.example", "https://evil.example/x.googleapis.com", "http://sts.googleapis.com"):
        with pytest.raises(UsageError, match="CLOUDSDK_API_ENDPOINT_OVERRIDES_STS"):
            identity({**TOKEN, "CLOUDSDK_API_ENDPOINT_OVERRIDES_STS": other})


OAUTH = {"error": "unauthorized_client", "error_description": f"rejected by the attribute condition: {jwt(AUDIENCE)}"}


@pytest.mark.parametrize(
    ("answer", "kind", "said"),
    [
        (httpx.Response(400, json=OAUTH), AccessError, "unauthorized_client: rejected by the attribute condition: ***"),
        (httpx.Response(400, json={"error": "invalid_target"}), AccessError, "NUMBER is the project's number"),
        (
            httpx.Response(403, json={"error": {"status": "PERMISSION_DENIED", "message": "x"}}),
            AccessError,
            "PERMISSION_DENIED: x",
        ),
        (httpx.Response(404, text="<html>"), AccessError, "HTTP 404"),
        (httpx.Response(200, json={}), AccessError, "while reading it"),
        (httpx.Response(200, text="{"), AccessError, "cannot"),
        (httpx.Response(503), UnavailableError, "HTTP 503"),
    ],
)
def test_sts_gives_none(answer: httpx.Response, kind: type[OtagateError], said: str) -> None:
    world = World(lambda _: answer)
    with pytest.raises(kind, match=re.escape(said)) as caught:
        identity(TOKEN, world).get()
    assert jwt(AUDIENCE) not in str(caught.value)
    assert world.passed <= timedelta(seconds=30)


def test_a_refusal_shows_what_the_condition_must_allow() -> None:
    with pytest.raises(AccessError) as caught:
        identity(TOKEN, World(lambda _: httpx.Response(400, json=OAUTH))).get()
    assert (
        caught.value.expected
        == f"a provider whose condition allows sub repo:acme/app, aud {AUDIENCE}, iss https://issuer.example"
    )


def test_a_provider_that_is_not_named() -> None:
    with pytest.raises(AccessError, match="no provider is named"):
        identity({"GITLAB_CI": "true"})
    with pytest.raises(AccessError, match=f"has no `id_tokens:` entry for {AUDIENCE}"):
        identity({"GITLAB_CI": "true", "GOOGLE_WORKLOAD_IDENTITY_PROVIDER": NAME})


@pytest.mark.parametrize(
    ("environ", "facts", "kind"),
    [
        ({}, {"product_name": "Google Compute Engine"}, Kind.INSTANCE),
        ({"KUBERNETES_SERVICE_HOST": "10.0.0.1"}, {"product_name": "Google"}, Kind.POD),
        ({"K_SERVICE": "app"}, {}, Kind.POD),
        ({"CLOUD_RUN_JOB": "job"}, {}, Kind.POD),
        ({"GCE_METADATA_HOST": "127.0.0.1:9"}, {}, Kind.INSTANCE),
    ],
)
def test_machines_and_pods(environ: dict[str, str], facts: dict[str, str], kind: Kind) -> None:
    world = World(answering({METADATA: httpx.Response(200, json=GIVEN, headers=FLAVOR)}), facts)
    found = identity(environ, world)
    assert (found.used.kind, world.asked) == (kind, [])
    assert found.get() == Bearer("federated-secret", NOW + timedelta(hours=1))
    assert world.asked[0].headers["Metadata-Flavor"] == "Google"
    assert world.asked[0].url.params["scopes"] == STORAGE_SCOPES[0]
    assert world.asked[0].url.host == ("127.0.0.1" if "GCE_METADATA_HOST" in environ else "metadata.google.internal")


def test_a_machine_that_is_not_asked() -> None:
    google = {"product_name": "Google"}
    for environ, facts in (({"NO_GCE_CHECK": "true"}, google), ({"KUBERNETES_SERVICE_HOST": "10.0.0.1"}, {}), ({}, {})):
        with pytest.raises(AccessError, match="instance: this machine does not say that it is Google's"):
            identity(environ, World(facts=facts))
    with pytest.raises(UsageError, match="GCE_METADATA_HOST"):
        identity({"GCE_METADATA_HOST": "evil.example"}).get()


@pytest.mark.parametrize(
    ("respond", "said"),
    [
        (nobody, "nothing answers at http://metadata.google.internal"),
        (lambda _: httpx.Response(404, headers=FLAVOR), "no service account"),
        (lambda _: httpx.Response(200, json=GIVEN), "not Google's metadata server"),
        (lambda _: httpx.Response(403, text="no\nscopes", headers=FLAVOR), "HTTP 403: no scopes"),
    ],
)
def test_a_machine_without_identity(respond: Any, said: str) -> None:
    with pytest.raises(AccessError, match=said):
        identity({}, World(respond, {"product_name": "Google"})).get()


@pytest.fixture(scope="module")
def private_key() -> str:
    key = generate_private_key(65537, 2048)
    return key.private_bytes(Encoding.PEM, PrivateFormat.PKCS8, NoEncryption()).decode()


def service_account(key: str, **changes: object) -> dict[str, Any]:
    info = {
        "type": "service_account",
        "client_email": ACCOUNT,
        "private_key": key,
        "private_key_id": "1",
        "token_uri": "https://oauth2.googleapis.com/token",
    }
    return {**info, **changes}


USER = {"type": "authorized_user", "client_id": "gcloud", "client_secret": "not-so-secret", "refresh_token": "refresh-secret"}


def file(tmp_path: Path, info: object) -> dict[str, str]:
    (tmp_path / "creds.json").write_text(json.dumps(info))
    return {"GOOGLE_APPLICATION_CREDENTIALS": str(tmp_path / "creds.json")}


def test_a_key_file_is_static(tmp_path: Path, private_key: str) -> None:
    world = World(answering({"POST /token": GIVEN}))
    found = identity(file(tmp_path, service_account(private_key)), world)
    assert (found.used.kind, found.used.is_static) == (Kind.ENVIRONMENT, True)
    assert found.used.detail == "a stored key (service_account) in GOOGLE_APPLICATION_CREDENTIALS"
    assert found.get().token == "federated-secret"
    assert world.asked[0].url.host == "oauth2.googleapis.com"


def test_a_key_files_service_account_that_acts_as_another(tmp_path: Path, private_key: str) -> None:
    info = {
        "type": "impersonated_service_account",
        "source_credentials": service_account(private_key),
        "service_account_impersonation_url": f"https://iamcredentials.googleapis.com{IAM.removeprefix('POST ')}",
    }
    world = World(answering({"POST /token": GIVEN, IAM: ACTED}))
    assert identity(file(tmp_path, info), world).get().token == "account-secret"


def test_an_address_of_a_key_file_that_is_in_the_open(tmp_path: Path, private_key: str) -> None:
    info = service_account(private_key, token_uri="http://evil.example/token")
    with pytest.raises(UsageError, match="must not be sent there"):
        identity(file(tmp_path, info)).get()


@pytest.mark.parametrize("change", [{"private_key": "secret-but-no-key"}, {"private_key": 5}, {"token_uri": 5}])
def test_a_malformed_key_file(change: dict[str, object], tmp_path: Path, private_key: str) -> None:
    with pytest.raises(AccessError) as caught:
        identity(file(tmp_path, service_account(private_key, **change))).get()
    assert "secret-but-no-key" not in str(caught.value)
    assert caught.value.remedy


def test_a_key_that_google_refuses_is_not_shown(tmp_path: Path) -> None:
    told = {"error": "invalid_grant", "error_description": "Bad Request: refresh-secret"}
    with pytest.raises(AccessError, match="invalid_grant: Bad Request: \\*\\*\\*"):
        identity(file(tmp_path, USER), World(lambda _: httpx.Response(400, json=told))).get()


def external(source: object) -> dict[str, object]:
    return {
        "type": "external_account",
        "audience": f"//iam.googleapis.com/{NAME}",
        "subject_token_type": "urn:ietf:params:oauth:token-type:jwt",
        "token_url": "https://sts.googleapis.com/v1/token",
        "credential_source": source,
    }


def test_an_action_left_a_file(tmp_path: Path) -> None:
    (tmp_path / "token").write_text(jwt(AUDIENCE))
    found = identity(file(tmp_path, external({"file": str(tmp_path / "token")})), World(answering({STS: GIVEN})))
    assert (found.used.kind, found.used.is_static) == (Kind.OIDC, False)
    assert found.get().token == "federated-secret"
    assert "it counts as oidc" in found.links[3].detail


def test_the_file_an_action_left_names_a_token_that_is_gone(tmp_path: Path) -> None:
    with pytest.raises(AccessError, match="Google's credentials cannot be used"):
        identity(file(tmp_path, external({"file": str(tmp_path / "none")}))).get()


@pytest.mark.parametrize("source", [{"executable": {"command": "rm"}}, {"environment_id": "aws1"}, None, "x"])
def test_a_file_that_would_start_a_program_or_ask_elsewhere(source: object, tmp_path: Path) -> None:
    with pytest.raises(AccessError, match="neither a file nor a url"):
        identity(file(tmp_path, external(source)))


@pytest.mark.parametrize("info", [{}, [], {"type": "gdch_service_account"}, {"type": 5}])
def test_a_file_of_another_kind(info: object, tmp_path: Path) -> None:
    with pytest.raises(AccessError, match="no credentials of a known type"):
        identity(file(tmp_path, info))


def test_a_file_that_is_not_there() -> None:
    with pytest.raises(AccessError, match="/no/such cannot be read"):
        identity({"GOOGLE_APPLICATION_CREDENTIALS": "/no/such"})


def profile(folder: Path, info: object) -> None:
    folder.mkdir(parents=True)
    (folder / "application_default_credentials.json").write_text(json.dumps(info))


def test_gclouds_login(tmp_path: Path) -> None:
    profile(tmp_path / ".config" / "gcloud", USER)
    world = World(answering({"POST /token": GIVEN}))
    found = identity({"HOME": str(tmp_path)}, world)
    assert (found.used.kind, found.used.is_static, found.used.detail) == (
        Kind.PROFILE,
        False,
        "gcloud's login (authorized_user)",
    )
    assert found.get().token == "federated-secret"
    assert "refresh-secret" not in repr(found)


def test_gclouds_folder_elsewhere(tmp_path: Path, private_key: str) -> None:
    profile(tmp_path / "here", service_account(private_key))
    assert identity({"CLOUDSDK_CONFIG": str(tmp_path / "here")}).used.is_static
    profile(tmp_path / "there", {})
    with pytest.raises(AccessError, match=r"profile: .*no credentials of a known type"):
        identity({"CLOUDSDK_CONFIG": str(tmp_path / "there")})


def test_without_google_auth(tmp_path: Path, private_key: str, monkeypatch: pytest.MonkeyPatch) -> None:
    ci, settings = identity(TOKEN), file(tmp_path, service_account(private_key))
    by_file = identity(settings)
    for name in ("google", "google.auth", "google.auth.identity_pool"):
        monkeypatch.setitem(sys.modules, name, None)
    for found in (ci, by_file):
        with pytest.raises(UsageError, match=r"pip install 'otagate\[gcs\]'"):
            found.get()
    with pytest.raises(AccessError, match=r"pip install 'otagate\[gcs\]'"):
        identity(settings)


def test_an_endpoint_that_is_not_googles_gets_no_token_of_a_machine(tmp_path: Path, private_key: str) -> None:
    world, environ = World(facts={"product_name": "Google"}), {"HOME": "/nowhere"}
    with pytest.raises(AccessError) as caught:
        google_identity(None, None, None, environ, is_foreign=True, outside=world.outside())
    assert world.asked == []
    assert any("identity=instance" in line for line in caught.value.details)
    own = {**environ, **file(tmp_path, service_account(private_key))}
    assert google_identity(None, None, None, own, is_foreign=True, outside=world.outside()).used.kind is Kind.ENVIRONMENT
