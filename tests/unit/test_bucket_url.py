from __future__ import annotations

import pytest

from otagate._bucket_url import OPTIONS, BucketUrl, holds_key, parse_bucket_url, parse_storage_url, place_of
from otagate.errors import UsageError
from otagate.identity.interface import Kind


def test_every_part_of_a_url_is_read() -> None:
    url = parse_bucket_url(
        "s3://acme.updates/a/b%2B/?region=eu-west-1&endpoint=https://x.example/&path_style=false"
        "&role=arn:aws:iam::123456789012:role/ota/release&profile=me&public=https://cdn.example/x/&identity=oidc"
    )
    assert url == BucketUrl(
        "s3",
        "acme.updates",
        "a/b+/",
        {
            "region": "eu-west-1",
            "endpoint": "https://x.example",
            "path_style": "false",
            "role": "arn:aws:iam::123456789012:role/ota/release",
            "profile": "me",
        },
        "https://cdn.example/x",
        Kind.OIDC,
    )
    assert url.shown == "s3://acme.updates/a/b+"


@pytest.mark.parametrize("url", ["s3://acme", "s3://acme/"])
def test_a_bucket_alone_has_no_prefix(url: str) -> None:
    assert parse_bucket_url(url) == BucketUrl("s3", "acme")


@pytest.mark.parametrize(
    ("url", "found"),
    [
        ("s3://", "none"),
        ("s3://Acme", "Acme"),
        ("az://ab", "ab"),
        ("s3://acme/a/../b", "a/../b"),
        ("s3://acme/.x", ".x"),
        ("s3://acme/" + "x" * 101, "x" * 101),
        ("s3://acme#x", "a '#'"),
        ("s3://acme?account=x", "account"),
        ("s3://acme?region=", "an empty region"),
        ("s3://acme?region=a&region=b", "region twice"),
        ("s3://acme?region=eu west", "eu west"),
        ("s3://acme?path_style=yes", "yes"),
        ("s3://acme?role=release", "release"),
        ("s3://acme?identity=magic", "magic"),
        ("s3://acme?endpoint=http://x.example", "http://x.example"),
        ("s3://acme?public=https://", "https://"),
        ("s3://acme?public=https://[x", "a host that is none"),
        ("gs://acme?provider=github", "github"),
        ("gs://acme?service_account=me", "me"),
        ("az://acme?account=Acme", "Acme"),
    ],
)
def test_what_is_wrong_is_said(url: str, found: str) -> None:
    with pytest.raises(UsageError) as caught:
        parse_bucket_url(url)
    assert caught.value.found == found
    assert caught.value.remedy


def test_http_is_for_this_machine_only() -> None:
    assert parse_bucket_url("s3://acme?endpoint=http://127.0.0.1:9000").options == {"endpoint": "http://127.0.0.1:9000"}
    assert parse_bucket_url("s3://acme?public=http://[::1]:80/x").public == "http://[::1]:80/x"


@pytest.mark.parametrize(
    "url",
    [
        "s3://acme/0123456789abcdef0123456789abcdef01234567",
        "s3://acme?role=arn:aws:iam::123456789012:role/OtagateReleaseRoleForEurope1OfTheShop123",
        "gs://acme?provider=projects/123/locations/global/workloadIdentityPools/AcmePool1/providers/github",
        "az://updates?account=acme&client=0a1b2c3d-0000-4000-8000-0123456789ab&tenant=acme.onmicrosoft.com",
        "s3://acme?endpoint=https://0123456789abcdef0123456789abcdef.r2.cloudflarestorage.com",
    ],
)
def test_names_are_not_taken_for_keys(url: str) -> None:
    assert not holds_key(url)
    parse_bucket_url(url)


def test_every_option_says_what_it_is_for() -> None:
    assert all(len(text) > 10 for options in OPTIONS.values() for text in options.values())
    assert all({"public", "identity", "endpoint"} <= set(options) for options in OPTIONS.values())


@pytest.mark.parametrize("url", ["file:x", "file:/srv/x", "file:///srv/x", "file:/Users/bob/Projects/Shop2/otagate/storeAB1"])
def test_a_folder_is_storage_too(url: str) -> None:
    assert parse_storage_url(url) is None


def test_a_bucket_is_storage() -> None:
    assert parse_storage_url("gs://acme/x") == BucketUrl("gs", "acme", "x/")


@pytest.mark.parametrize(
    ("url", "found"),
    [
        ("file:", "the scheme file:"),
        ("file://host/x", "the scheme file:"),
        ("S3://acme", "the scheme S3:"),
        ("https://joe:sesame@x", "the scheme https:"),
        ("x", "no scheme"),
        ("AKIAIOSFODNN7EXAMPLE", "20 characters that are not shown"),
    ],
)
def test_other_urls_are_refused(url: str, found: str) -> None:
    with pytest.raises(UsageError) as caught:
        parse_storage_url(url)
    assert caught.value.found == found
    assert "sesame" not in str(caught.value)


@pytest.mark.parametrize(
    ("url", "is_foreign"),
    [
        ("s3://acme-updates?region=eu-west-1", False),
        ("s3://acme-updates?endpoint=https://s3.eu-west-1.amazonaws.com", False),
        ("s3://acme-updates?endpoint=https://bucket.vpce-1.s3.eu-west-1.vpce.amazonaws.com:443/x", False),
        ("s3://acme-updates?endpoint=https://S3.EU-WEST-1.AMAZONAWS.COM", False),
        ("s3://acme-updates?endpoint=https://account.r2.cloudflarestorage.com", True),
        ("s3://acme-updates?endpoint=https://evilamazonaws.com", True),
        ("s3://acme-updates?endpoint=https://s3.amazonaws.com.evil.example", True),
        ("s3://acme-updates?endpoint=https://evil.example/s3.amazonaws.com", True),
        ("s3://acme-updates?endpoint=http://127.0.0.1:9000", True),
        ("gs://acme-updates", False),
        ("gs://acme-updates?endpoint=https://storage.googleapis.com", False),
        ("gs://acme-updates?endpoint=https://googleapis.com.evil.example", True),
        ("az://updates?account=acme", False),
        ("az://updates?account=acme&endpoint=https://acme.z01.blob.storage.azure.net", False),
        ("az://updates?account=acme&endpoint=https://acme.blob.core.windows.net", False),
        ("az://updates?account=acme&endpoint=https://acme.queue.core.windows.net", True),
        ("az://updates?account=acme&endpoint=https://blob.core.windows.net.evil.example", True),
    ],
)
def test_an_endpoint_that_is_not_the_clouds_own(url: str, is_foreign: bool) -> None:
    assert parse_bucket_url(url).is_foreign is is_foreign


@pytest.mark.parametrize(
    ("url", "place"),
    [
        ("file:.otagate/store", "file:.otagate/store"),
        ("s3://acme-updates/ota/?region=eu-west-1&identity=oidc", "s3://acme-updates/ota"),
        (
            "s3://acme-updates/ota?endpoint=https://s3.example.com&public=https://cdn",
            "s3://acme-updates/ota at https://s3.example.com",
        ),
        ("az://acme-updates?account=acme", "az://acme-updates"),
    ],
)
def test_people_are_shown_a_place_without_options(url: str, place: str) -> None:
    assert place_of(url) == place


def test_options_that_begin_with_an_ampersand_are_pointed_out() -> None:
    with pytest.raises(UsageError) as caught:
        parse_bucket_url("gs://acme-updates&identity=oidc")
    assert caught.value.remedy == "options begin with ?: gs://BUCKET?OPTION=VALUE"
