"""Every link of Azure's chain, with the services' own answers."""

from __future__ import annotations

import json
import re
import subprocess
from collections.abc import Mapping, Sequence
from datetime import timedelta
from pathlib import Path
from urllib.parse import parse_qs

import httpx
import pytest

from otagate.errors import AccessError, OtagateError, UnavailableError, UsageError
from otagate.identity._outside import Finished
from otagate.identity.azure import MANAGEMENT_SCOPE, STORAGE_SCOPE, azure_identity
from otagate.identity.interface import AzureAccountKey, AzureCredential, AzureSas, Bearer, Identity, Kind
from support.identities import NOW, World, answering, jwt, nobody

AUDIENCE = "api://AzureADTokenExchange"
TOKEN = {"OTAGATE_OIDC_TOKEN": jwt(AUDIENCE)}
APP = {"AZURE_CLIENT_ID": "app-id", "AZURE_TENANT_ID": "acme.onmicrosoft.com"}
AZURE = {"chassis_asset_tag": "7783-7084-3265-9085-8269-3286-77"}
ENTRA = "POST /acme.onmicrosoft.com/oauth2/v2.0/token"
MACHINE = "GET /metadata/identity/oauth2/token"
GIVEN = {"access_token": "entra-secret", "expires_in": 3599, "token_type": "Bearer"}
GOT = Bearer("entra-secret", NOW + timedelta(seconds=3599))


def identity(
    environ: Mapping[str, str], world: World | None = None, only: Kind | None = None, scope: str = STORAGE_SCOPE
) -> Identity[AzureCredential]:
    return azure_identity(None, None, only, {"HOME": "/nowhere", **environ}, scope, outside=(world or World()).outside())


def test_the_ci_acts_as_an_app() -> None:
    world = World(answering({ENTRA: GIVEN}))

    found = identity({**TOKEN, **APP}, world)

    assert world.asked == []
    assert (found.used.kind, found.used.detail) == (Kind.OIDC, "OTAGATE_OIDC_TOKEN, as the app app-id")
    assert found.get() == GOT
    assert str(world.asked[0].url) == "https://login.microsoftonline.com/acme.onmicrosoft.com/oauth2/v2.0/token"
    form = {name: values[0] for name, values in parse_qs(world.asked[0].content.decode()).items()}
    assert form == {
        "grant_type": "client_credentials",
        "client_id": "app-id",
        "scope": STORAGE_SCOPE,
        "client_assertion_type": "urn:ietf:params:oauth:client-assertion-type:jwt-bearer",
        "client_assertion": jwt(AUDIENCE),
    }
    assert "entra-secret" not in repr((found, found.get()))


@pytest.mark.parametrize("host", ["https://login.microsoftonline.us/", "login.microsoftonline.us"])
def test_another_cloud(host: str) -> None:
    world = World(answering({ENTRA: GIVEN}))
    identity({**TOKEN, **APP, "AZURE_AUTHORITY_HOST": host}, world).get()
    assert world.asked[0].url.host == "login.microsoftonline.us"


def test_an_app_that_is_not_named() -> None:
    with pytest.raises(
        AccessError, match=re.escape("there is no client (`client=` in the store's URL, or AZURE_CLIENT_ID) and no tenant")
    ):
        identity(TOKEN)
    with pytest.raises(AccessError, match="there is no tenant"):
        identity({**TOKEN, "AZURE_CLIENT_ID": "app-id"})


@pytest.mark.parametrize("environ", [{"AZURE_TENANT_ID": "a/../b"}, {"AZURE_CLIENT_ID": "a b"}, {"AZURE_TENANT_ID": "x" * 200}])
def test_what_is_no_id(environ: dict[str, str]) -> None:
    with pytest.raises(UsageError, match="this is not the id of a"):
        identity(environ)
    with pytest.raises(UsageError, match="not a scope"):
        identity({}, scope="storage")


def refused(description: str) -> httpx.Response:
    return httpx.Response(401, json={"error": "invalid_client", "error_description": description})


@pytest.mark.parametrize(
    ("answer", "kind", "said"),
    [
        (
            refused("AADSTS700213: No matching record. Trace ID: 5\r\nTime"),
            AccessError,
            "invalid_client: AADSTS700213: No matching record.",
        ),
        (refused("AADSTS70021: No\r\nTrace ID: 5"), AccessError, "add a federated credential with just this iss, sub and aud"),
        (refused(f"AADSTS1: bad {jwt(AUDIENCE)}"), AccessError, "bad ***"),
        (httpx.Response(400, text="<html>"), AccessError, "HTTP 400"),
        (httpx.Response(200, json={"access_token": "x"}), UnavailableError, "an answer without"),
        (httpx.Response(200, json={"access_token": "x", "expires_in": True}), UnavailableError, "an answer without"),
        (httpx.Response(200, text="{"), UnavailableError, "an answer without"),
        (httpx.Response(503), UnavailableError, "HTTP 503"),
    ],
)
def test_entra_gives_none(answer: httpx.Response, kind: type[OtagateError], said: str) -> None:
    with pytest.raises(kind, match=re.escape(said)) as caught:
        identity({**TOKEN, **APP}, World(lambda _: answer)).get()
    assert "Trace" not in str(caught.value)
    assert jwt(AUDIENCE) not in str(caught.value)


def test_a_refusal_shows_what_the_federated_credential_must_name() -> None:
    with pytest.raises(AccessError) as caught:
        identity({**TOKEN, **APP}, World(lambda _: refused("AADSTS700213: x"))).get()
    assert (
        caught.value.expected
        == f"a federated credential that allows sub repo:acme/app, aud {AUDIENCE}, iss https://issuer.example"
    )


def test_a_pods_token(tmp_path: Path) -> None:
    (tmp_path / "token").write_text(f"{jwt(AUDIENCE)}\n")
    pod = {**APP, "AZURE_FEDERATED_TOKEN_FILE": str(tmp_path / "token")}
    world = World(answering({ENTRA: GIVEN}))
    # A CI's runner in such a pod: the variable's app is the pod's, and believes the pod's token only.
    found = identity({**pod, **TOKEN}, world)
    assert (found.used.kind, found.get()) == (Kind.POD, GOT)
    assert jwt(AUDIENCE) in world.asked[0].content.decode()
    mine = azure_identity("mine", None, None, {**pod, **TOKEN, "HOME": "/nowhere"}, outside=world.outside())
    assert mine.used.detail == "OTAGATE_OIDC_TOKEN, as the app mine"


def test_a_pods_token_without_app_or_file() -> None:
    with pytest.raises(AccessError, match="AZURE_CLIENT_ID or AZURE_TENANT_ID is not"):
        identity({"AZURE_FEDERATED_TOKEN_FILE": "/x"})
    with pytest.raises(AccessError, match="cannot be read"):
        identity({"AZURE_FEDERATED_TOKEN_FILE": "/no/such", **APP}).get()


APP_SERVICE = {"IDENTITY_ENDPOINT": "http://169.254.129.2:8081/msi/token", "IDENTITY_HEADER": "header-secret"}


def test_a_managed_identity_of_an_app() -> None:
    end = str(int(NOW.timestamp()) + 3600)
    world = World(answering({"GET /msi/token": {"access_token": "entra-secret", "expires_on": end}}))
    found = identity({**APP_SERVICE, "AZURE_CLIENT_ID": "mine"}, world)
    assert (found.used.kind, found.get()) == (Kind.POD, Bearer("entra-secret", NOW + timedelta(hours=1)))
    request = world.asked[0]
    assert dict(request.url.params) == {
        "api-version": "2019-08-01",
        "resource": "https://storage.azure.com",
        "client_id": "mine",
    }
    assert request.headers["X-IDENTITY-HEADER"] == "header-secret"


def test_a_managed_identity_that_is_refused() -> None:
    world = World(lambda _: httpx.Response(400, json={"message": "no identity for header-secret"}))
    with pytest.raises(AccessError, match="HTTP 400: no identity for \\*\\*\\*"):
        identity(APP_SERVICE, world).get()
    with pytest.raises(UsageError, match="IDENTITY_ENDPOINT"):
        identity({**APP_SERVICE, "IDENTITY_ENDPOINT": "http://evil.example/"})
    with pytest.raises(AccessError, match="not both set"):
        identity({"IDENTITY_ENDPOINT": "http://localhost/"})


def test_a_machine() -> None:
    world = World(answering({MACHINE: GIVEN}), AZURE)
    found = identity({}, world, scope=MANAGEMENT_SCOPE)
    assert (found.used.kind, world.asked) == (Kind.INSTANCE, [])
    assert found.get() == GOT
    assert world.asked[0].url.host == "169.254.169.254"
    assert dict(world.asked[0].url.params) == {"api-version": "2018-02-01", "resource": "https://management.azure.com"}
    assert world.asked[0].headers["Metadata"] == "true"


@pytest.mark.parametrize(
    "respond",
    [nobody, lambda _: httpx.Response(400, json={"error_description": "Identity not found"}), lambda _: httpx.Response(404)],
)
def test_a_machine_without_identity_makes_way(respond: object) -> None:
    # GitHub's own machines are such.
    world = World(respond, AZURE)  # type: ignore[arg-type]  # a table of lambdas
    found = identity({"AZURE_STORAGE_KEY": "account-secret"}, world)
    assert found.used.kind is Kind.INSTANCE
    assert found.get() == AzureAccountKey("account-secret")
    with pytest.raises(AccessError, match="instance: "):
        identity({}, world, Kind.INSTANCE).get()


def test_a_machine_that_refuses_or_is_elsewhere() -> None:
    with pytest.raises(AccessError, match="HTTP 403"):
        identity({}, World(lambda _: httpx.Response(403), AZURE)).get()
    with pytest.raises(UsageError, match="AZURE_POD_IDENTITY_AUTHORITY_HOST"):
        identity({"AZURE_POD_IDENTITY_AUTHORITY_HOST": "http://evil.example"}).get()
    with pytest.raises(AccessError, match="does not say that it is Azure's"):
        identity({}, World(facts={"sys_vendor": "Microsoft Corporation"}))


@pytest.mark.parametrize(
    ("environ", "expected"),
    [
        ({"AZURE_STORAGE_ACCOUNT_KEY": "account-secret", "AZURE_STORAGE_SAS_TOKEN": "x"}, AzureAccountKey("account-secret")),
        ({"AZURE_STORAGE_KEY": "account-secret"}, AzureAccountKey("account-secret")),
        ({"AZURE_STORAGE_SAS_TOKEN": "?sv=1&sig=account-secret"}, AzureSas("sv=1&sig=account-secret")),
        ({"AZURE_CLIENT_SECRET": "app-secret", **APP}, GOT),
    ],
)
def test_stored_keys_are_static(environ: dict[str, str], expected: AzureCredential) -> None:
    found = identity(environ, World(answering({ENTRA: GIVEN})))
    assert (found.used.kind, found.used.is_static, found.get()) == (Kind.ENVIRONMENT, True, expected)
    assert "secret" not in repr((found.get(), found.get)).replace("by_secret", "")


def test_account_keys_are_for_storage_only() -> None:
    environ = {"AZURE_STORAGE_KEY": "k", "AZURE_STORAGE_SAS_TOKEN": "s"}
    with pytest.raises(AccessError, match="environment: AZURE_CLIENT_SECRET is not set"):
        identity(environ, scope=MANAGEMENT_SCOPE)
    with pytest.raises(AccessError, match="AZURE_CLIENT_ID or AZURE_TENANT_ID is not"):
        identity({"AZURE_CLIENT_SECRET": "s"})


def test_a_wrong_secret_is_not_shown() -> None:
    world = World(lambda _: refused("AADSTS7000215: Invalid client secret app-secret provided"))
    with pytest.raises(AccessError, match="renew the app's secret") as caught:
        identity({"AZURE_CLIENT_SECRET": "app-secret", **APP}, world).get()
    assert "app-secret" not in str(caught.value)


@pytest.fixture
def home(tmp_path: Path) -> Path:
    (tmp_path / ".azure").mkdir()
    (tmp_path / ".azure" / "azureProfile.json").write_text('\ufeff{"subscriptions": [{"id": "1"}]}')
    return tmp_path


def of_cli(home: Path, answer: Finished | None, **environ: str) -> tuple[Identity[AzureCredential], list[Sequence[str]]]:
    ran: list[Sequence[str]] = []

    def run(words: Sequence[str]) -> Finished | None:
        ran.append(words)
        return answer

    return identity({"HOME": str(home), **environ}, World(programs={"az": run})), ran


def test_the_clis_login(home: Path) -> None:
    given = {"accessToken": "cli-secret", "expires_on": int(NOW.timestamp()) + 60}
    found, ran = of_cli(home, Finished(0, json.dumps(given), ""), AZURE_TENANT_ID="acme")
    assert (found.used.kind, found.used.is_static, ran) == (Kind.PROFILE, False, [])
    assert found.get() == Bearer("cli-secret", NOW + timedelta(seconds=60))
    assert list(ran[0]) == [
        "az",
        "account",
        "get-access-token",
        "--output",
        "json",
        "--scope",
        STORAGE_SCOPE,
        "--tenant",
        "acme",
    ]


@pytest.mark.parametrize(
    ("answer", "said"),
    [
        (Finished(1, "", "ERROR: Please run 'az login'"), "ERROR: Please run 'az login'"),
        (None, "it is gone"),
        (Finished(0, "{}", ""), "az upgrade"),
        (Finished(0, '{"accessToken": "cli-secret", "expiresOn": "2026-11-21 09:30:00"}', ""), "az upgrade"),
    ],
)
def test_the_cli_gives_none(answer: Finished | None, said: str, home: Path) -> None:
    found, _ = of_cli(home, answer)
    with pytest.raises(AccessError, match=said) as caught:
        found.get()
    assert "cli-secret" not in str(caught.value)


def test_the_cli_hangs(home: Path) -> None:
    def hang(words: Sequence[str]) -> Finished:
        raise subprocess.TimeoutExpired(list(words), 60)

    with pytest.raises(UnavailableError, match="did not end within 60s"):
        identity({"HOME": str(home)}, World(programs={"az": hang})).get()


def test_the_cli_is_not_there_or_not_logged_in(home: Path) -> None:
    with pytest.raises(AccessError, match="no `az` on the PATH"):
        identity({"HOME": str(home)})
    with pytest.raises(AccessError, match="the Azure CLI is not logged in"):
        of_cli(home, None, AZURE_CONFIG_DIR=str(home / "none"))


def test_all_that_is_missing_is_listed() -> None:
    with pytest.raises(AccessError) as caught:
        identity({"GITHUB_ACTIONS": "true"})
    assert [line.partition(":")[0] for line in caught.value.details] == ["oidc", "pod", "instance", "environment", "profile"]
    assert "`permissions: id-token: write`" in (caught.value.remedy or "")


def test_an_endpoint_that_is_not_azures_gets_no_token_of_a_login_or_machine(home: Path) -> None:
    world = World(facts={"sys_vendor": "Microsoft Corporation", "chassis_asset_tag": "7783-7084-3265-9085-8269-3286-77"})
    environ = {"HOME": str(home), "OTAGATE_OIDC_TOKEN": jwt("api://AzureADTokenExchange"), "AZURE_CLIENT_ID": "app"}
    environ |= {"AZURE_TENANT_ID": "tenant"}
    with pytest.raises(AccessError) as caught:
        azure_identity(None, None, None, environ, is_foreign=True, outside=world.outside())
    assert world.asked == []
    assert any("identity=oidc" in line for line in caught.value.details)
    key = {**environ, "AZURE_STORAGE_ACCOUNT_KEY": "a2V5"}
    found = azure_identity(None, None, None, key, is_foreign=True, outside=world.outside())
    assert found.get() == AzureAccountKey("a2V5")
    assert azure_identity(None, None, Kind.OIDC, key, is_foreign=True, outside=world.outside()).used.kind is Kind.OIDC
