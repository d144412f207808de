from __future__ import annotations

import json
from collections.abc import Mapping
from typing import Any
from urllib.parse import parse_qs

import httpx
import pytest

from otagate.gate.interface import SourceError
from otagate.gate.sources._signing import CloudSigner
from otagate.policy.model.vendors import CloudAuth
from support.identities import World

AWS = {"AWS_ACCESS_KEY_ID": "AKIAEXAMPLE", "AWS_SECRET_ACCESS_KEY": "wJalrXUtnFEMI", "AWS_SESSION_TOKEN": "FwoGZXIvYXdz"}
AZURE = {"AZURE_CLIENT_ID": "client", "AZURE_TENANT_ID": "tenant", "AZURE_CLIENT_SECRET": "s3cr3t-s3cr3t"}
CLOUDWATCH = "https://monitoring.eu-central-1.amazonaws.com/"


def signer(auth: CloudAuth, url: str, environ: Mapping[str, str], world: World | None = None, **options: Any) -> CloudSigner:
    return CloudSigner(auth, url, environ, outside=(world or World()).outside(), **options)


def test_without_a_cloud_nothing_is_added() -> None:
    given = (("A", "b"),)
    assert signer(CloudAuth.NONE, "http://x.example", {}).headers_for("GET", "http://x.example", None, given, "s") == given


def test_aws_is_signed_for_its_region_and_service() -> None:
    one = signer(CloudAuth.AWS, CLOUDWATCH, AWS, region="eu-central-1", service="aps")
    headers = dict(one.headers_for("POST", CLOUDWATCH, "{}", (("Content-Type", "a"),), "s"))
    assert headers["Authorization"].startswith("AWS4-HMAC-SHA256 Credential=AKIAEXAMPLE/20261121/eu-central-1/aps/aws4_request")
    assert "SignedHeaders=content-type;host;x-amz-date;x-amz-security-token" in headers["Authorization"]
    assert headers["X-Amz-Security-Token"] == "FwoGZXIvYXdz"
    assert headers["Content-Type"] == "a"
    assert "wJalrXUtnFEMI" not in str(headers)


@pytest.mark.parametrize("name", ["AWS_REGION", "AWS_DEFAULT_REGION"])
def test_the_region_of_the_environment(name: str) -> None:
    headers = dict(signer(CloudAuth.AWS, CLOUDWATCH, {**AWS, name: "sa-east-1"}).headers_for("GET", CLOUDWATCH, None, (), "s"))
    assert "/sa-east-1/monitoring/" in headers["Authorization"]


def test_no_region() -> None:
    with pytest.raises(SourceError, match="no region"):
        signer(CloudAuth.AWS, CLOUDWATCH, AWS).headers_for("GET", CLOUDWATCH, None, (), "s")


def token(request: httpx.Request, **headers: str) -> httpx.Response:
    return httpx.Response(200, headers=headers, json={"access_token": "ya29.token", "expires_in": 3600, "token_type": "Bearer"})


@pytest.mark.parametrize(
    ("url", "scope"),
    [
        ("https://api.loganalytics.azure.com/v1", "https://api.loganalytics.io/.default"),
        ("https://api.loganalytics.us/v1", "https://api.loganalytics.us/.default"),
        ("https://api.loganalytics.azure.cn/v1", "https://api.loganalytics.azure.cn/.default"),
        ("https://ws-1.westeurope.prometheus.monitor.azure.com", "https://prometheus.monitor.azure.com/.default"),
    ],
)
def test_azure_bears_a_token_for_logs(url: str, scope: str) -> None:
    world = World(token)
    one = signer(CloudAuth.AZURE, url, AZURE, world)
    assert one.headers_for("POST", url, "{}", (), "s") == (("Authorization", "Bearer ya29.token"),)
    one.headers_for("POST", url, "{}", (), "s")
    (asked,) = world.asked  # kept for the second
    assert parse_qs(asked.content.decode())["scope"] == [scope]


def test_google_bears_a_token_for_reading() -> None:
    url = "https://monitoring.googleapis.com/v1/projects/p"
    world = World(lambda _: token(_, **{"Metadata-Flavor": "Google"}), {"product_name": "Google Compute Engine"})
    assert signer(CloudAuth.GOOGLE, url, {}, world).headers_for("GET", url, None, (("A", "b"),), "s") == (
        ("A", "b"),
        ("Authorization", "Bearer ya29.token"),
    )
    assert "monitoring.read" in str(world.asked[-1].url)


@pytest.mark.parametrize("auth", [CloudAuth.AWS, CloudAuth.GOOGLE, CloudAuth.AZURE])
def test_no_identity(auth: CloudAuth) -> None:
    url = "https://api.loganalytics.io/"
    with pytest.raises(SourceError, match="has no identity") as caught:
        signer(auth, url, {"HOME": "/nowhere"}, region="r").headers_for("GET", url, None, (), "azure_monitor w")
    assert caught.value.subject == "azure_monitor w"
    assert caught.value.remedy


def test_a_refused_identity_shows_no_secret() -> None:
    world = World(lambda _: httpx.Response(401, json={"error": "invalid_client", "error_description": "bad s3cr3t-s3cr3t"}))
    url = "https://api.loganalytics.azure.com/v1"
    with pytest.raises(SourceError) as caught:
        signer(CloudAuth.AZURE, url, AZURE, world).headers_for("POST", url, "{}", (), "s")
    assert "s3cr3t" not in str(caught.value)


@pytest.mark.parametrize(
    "url", ["https://metrics.example/v1", "https://api.loganalytics.io.evil.example/v1", "http://127.0.0.1:1/"]
)
def test_a_login_is_not_for_others(url: str) -> None:
    world = World(token, facts={"chassis_asset_tag": "7783-7084-3265-9085-8269-3286-77"})
    with pytest.raises(SourceError, match="has no identity"):
        signer(CloudAuth.AZURE, url, {"HOME": "/nowhere"}, world).headers_for("POST", url, "{}", (), "s")
    assert world.asked == []


@pytest.mark.parametrize("auth", [CloudAuth.AWS, CloudAuth.GOOGLE, CloudAuth.AZURE])
def test_credentials_never_leave_in_the_clear(auth: CloudAuth) -> None:
    with pytest.raises(SourceError, match="show its credentials"):
        signer(auth, "http://a.example/", {**AWS, **AZURE}).headers_for("GET", "http://a.example/", None, (), "s")


@pytest.mark.parametrize("host", ["localhost:1", "127.0.0.1:1", "[::1]:1"])
def test_this_machine_is_no_danger(host: str) -> None:
    url = f"http://{host}/"
    keys = {name: value for name, value in AWS.items() if "SESSION" not in name}  # a session's are for AWS alone
    headers = signer(CloudAuth.AWS, url, keys, region="r").headers_for("GET", url, None, (), "s")
    assert json.dumps(headers)
