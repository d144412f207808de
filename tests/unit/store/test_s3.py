"""Where a bucket of S3 stands, how it is addressed, and what opening it needs. No network."""

from __future__ import annotations

from datetime import timedelta

import pytest

from otagate.errors import UsageError
from otagate.store.objects import UnsupportedError
from otagate.store.s3 import open_objects
from otagate.store.s3_place import find_place
from otagate.store.url import parse_bucket_url

KEYS = {"AWS_ACCESS_KEY_ID": "AKIDEXAMPLE", "AWS_SECRET_ACCESS_KEY": "secret-that-must-not-show"}
R2 = "https://account.r2.cloudflarestorage.com"


@pytest.mark.parametrize(
    ("url", "address"),
    [
        ("s3://acme-updates?region=eu-west-1", "https://acme-updates.s3.eu-west-1.amazonaws.com/k"),
        ("s3://acme-updates?region=cn-north-1", "https://acme-updates.s3.cn-north-1.amazonaws.com.cn/k"),
        ("s3://acme.updates?region=eu-west-1", "https://s3.eu-west-1.amazonaws.com/acme.updates/k"),
        ("s3://acme-updates?region=eu-west-1&path_style=true", "https://s3.eu-west-1.amazonaws.com/acme-updates/k"),
        (f"s3://acme-updates?endpoint={R2}", f"{R2}/acme-updates/k"),
        (f"s3://acme-updates?endpoint={R2}&path_style=false", "https://acme-updates.account.r2.cloudflarestorage.com/k"),
        ("s3://acme-updates?endpoint=https://host/s3", "https://host/s3/acme-updates/k"),
    ],
)
def test_addresses(url: str, address: str) -> None:
    assert open_objects(parse_bucket_url(url), KEYS).address("k") == address


def test_an_address_is_quoted_so_that_s3_reads_no_space_in_it() -> None:
    objects = open_objects(parse_bucket_url("s3://acme-updates?region=eu-west-1"), KEYS)
    assert objects.address("p/1.0.0+7").endswith("/p/1.0.0%2B7")


@pytest.mark.parametrize(
    ("options", "environ", "region"),
    [
        ("region=eu-west-1", {"AWS_REGION": "us-west-2"}, "eu-west-1"),
        ("profile=x", {"AWS_REGION": "us-west-2", "AWS_DEFAULT_REGION": "us-west-1"}, "us-west-2"),
        ("profile=x", {"AWS_REGION": "", "AWS_DEFAULT_REGION": "us-west-1"}, "us-west-1"),
        (f"endpoint={R2}", {}, "us-east-1"),
        (f"endpoint={R2}", {"AWS_REGION": "auto"}, "auto"),
    ],
)
def test_the_region_is_found(options: str, environ: dict[str, str], region: str) -> None:
    assert find_place(parse_bucket_url(f"s3://acme-updates?{options}"), environ).region == region


@pytest.mark.parametrize(
    ("url", "environ", "words"),
    [
        ("s3://acme-updates", {}, "s3://acme-updates?region=eu-west-1"),
        ("s3://acme-updates", {"AWS_REGION": "eu.west/../x"}, "this is not a region"),
    ],
)
def test_a_region_that_is_missing_or_none_is_said(url: str, environ: dict[str, str], words: str) -> None:
    with pytest.raises(UsageError, match=r".") as caught:
        open_objects(parse_bucket_url(url), {**KEYS, **environ})
    assert words in str(caught.value)


@pytest.mark.parametrize(
    ("url", "shown"),
    [
        ("s3://acme-updates/p?region=eu-west-1", "s3://acme-updates in eu-west-1"),
        (f"s3://acme-updates/p?endpoint={R2}", f"s3://acme-updates at {R2}"),
    ],
)
def test_the_bucket_is_named_without_secrets(url: str, shown: str) -> None:
    assert open_objects(parse_bucket_url(url), KEYS).where == shown


def test_a_signed_address_is_made_here_and_names_no_secret_key() -> None:
    objects = open_objects(parse_bucket_url("s3://acme-updates?region=eu-west-1"), KEYS)
    address = objects.sign("p/1.0.0+7", timedelta(days=7))
    assert address.startswith("https://acme-updates.s3.eu-west-1.amazonaws.com/p/1.0.0%2B7?X-Amz-Algorithm=AWS4-HMAC-SHA256&")
    assert "X-Amz-Expires=604800" in address
    assert KEYS["AWS_SECRET_ACCESS_KEY"] not in address


def test_longer_than_seven_days_is_not_signed() -> None:
    objects = open_objects(parse_bucket_url("s3://acme-updates?region=eu-west-1"), KEYS)
    with pytest.raises(UnsupportedError, match="7 days"):
        objects.sign("k", timedelta(days=7, seconds=1))
