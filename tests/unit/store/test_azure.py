"""Which container of Azure Blob a URL names, and what opening it needs. No network."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta

import pytest

from otagate.errors import UsageError
from otagate.identity.interface import AzureAccountKey, AzureCredential, AzureSas, Bearer, Identity, Kind, Link
from otagate.store.azure import AzureObjects, open_objects
from otagate.store.objects import UnsupportedError
from otagate.store.url import parse_bucket_url

KEY = {"AZURE_STORAGE_ACCOUNT_KEY": "c2VjcmV0LXRoYXQtbXVzdC1ub3Qtc2hvdw=="}


@pytest.mark.parametrize(
    ("url", "environ", "address"),
    [
        ("az://updates?account=acme", {}, "https://acme.blob.core.windows.net/updates/p/1.0.0%2B7"),
        ("az://updates", {"AZURE_STORAGE_ACCOUNT_NAME": "acme"}, "https://acme.blob.core.windows.net/updates/p/1.0.0%2B7"),
        ("az://$web?account=acme", {}, "https://acme.blob.core.windows.net/$web/p/1.0.0%2B7"),
        (
            "az://updates?account=acme&endpoint=https://acme.blob.core.chinacloudapi.cn",
            {},
            "https://acme.blob.core.chinacloudapi.cn/updates/p/1.0.0%2B7",
        ),
    ],
)
def test_addresses(url: str, environ: dict[str, str], address: str) -> None:
    objects = open_objects(parse_bucket_url(url), {**KEY, **environ})
    assert objects.address("p/1.0.0+7") == address
    assert objects.where == f"az://{parse_bucket_url(url).bucket} at {address.rsplit('/', 3)[0]}"


@pytest.mark.parametrize("account", ["", "Acme", "ac", "a" * 25, "acme.blob.core.windows.net"])
def test_an_account_that_is_missing_or_none_is_said(account: str) -> None:
    with pytest.raises(UsageError, match=r"az://updates\?account=NAME") as caught:
        open_objects(parse_bucket_url("az://updates"), {**KEY, "AZURE_STORAGE_ACCOUNT_NAME": account})
    assert "storage account" in caught.value.what


def opened(credential: AzureCredential) -> AzureObjects:
    link = Link(Kind.OIDC, found=True, detail="a test's")
    identity: Identity[AzureCredential] = Identity((link,), link, lambda: credential)
    return AzureObjects(parse_bucket_url("az://updates?endpoint=http://127.0.0.1:9"), "acme", identity)


def test_an_account_key_signs_here() -> None:
    address = opened(AzureAccountKey(KEY["AZURE_STORAGE_ACCOUNT_KEY"])).sign("k", timedelta(hours=1))
    assert address.startswith("http://127.0.0.1:9/updates/k?")
    assert "sp=r&" in address


def test_a_shared_access_signature_cannot_sign() -> None:
    with pytest.raises(UnsupportedError, match="not supported"):
        opened(AzureSas("sv=2023-11-03&sig=secret")).sign("k", timedelta(hours=1))


def test_what_a_bearer_is_given_as() -> None:
    from otagate.store.azure import _shape

    expires = datetime(2026, 11, 21, tzinfo=UTC)
    assert _shape(Bearer("t", expires)) == {"token": "t", "expires_at": expires}


def test_what_an_upload_left_azure_removes_by_itself() -> None:
    assert opened(AzureSas("sig=x")).abort_unfinished("p/", datetime.now(UTC)) == 0
