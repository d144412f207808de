"""CloudFront as moto plays it, with the distribution of docs/cdn.md and the identity that a CI job has."""

from __future__ import annotations

import json
import re
from pathlib import Path
from typing import Any

import boto3
import pytest

from otagate._bucket_url import parse_bucket_url
from otagate.errors import NotFoundError
from otagate.policy.model.stores import CdnSpec
from otagate.store.cdn import Cdn, open_cdn
from support.servers import moto_s3

pytestmark = pytest.mark.integration

PAGE = (Path(__file__).parents[2] / "docs" / "cdn.md").read_text("utf-8")
POINTER = "apps/com.acme/channels/beta.json"


def distribution(cloudfront: Any) -> str:
    (text,) = re.findall(r"^<!-- cloudfront distribution -->\n```json\n(.*?)^```$", PAGE, re.MULTILINE | re.DOTALL)
    made = cloudfront.create_distribution(DistributionConfig=json.loads(text))
    return str(made["Distribution"]["Id"])


def opened(base: str, distribution: str) -> Cdn:
    environ = {
        "AWS_ACCESS_KEY_ID": moto_s3.ACCESS_KEY,
        "AWS_SECRET_ACCESS_KEY": moto_s3.SECRET_KEY,
        "AWS_SESSION_TOKEN": "an-earlier-step-took-a-role",
        "AWS_ENDPOINT_URL_CLOUDFRONT": base,
    }
    bucket = parse_bucket_url("s3://acme-updates/ota?public=https://updates.test/app")
    return open_cdn(CdnSpec(cloudfront=distribution), bucket, environ, Path())


def test_an_invalidation_is_made() -> None:
    base = moto_s3.shared()
    cloudfront = boto3.client(
        "cloudfront",
        region_name="us-east-1",
        endpoint_url=base,
        aws_access_key_id=moto_s3.ACCESS_KEY,
        aws_secret_access_key=moto_s3.SECRET_KEY,
    )
    name = distribution(cloudfront)
    cdn = opened(base, name)
    assert cdn.invalidators[0].links()[0].found
    (told,) = cdn.pointer_moved(POINTER, b"{}")
    made = cloudfront.list_invalidations(DistributionId=name)["InvalidationList"]["Items"]
    assert told == f"CloudFront distribution {name}: {made[0]['Id']}"
    batch = cloudfront.get_invalidation(DistributionId=name, Id=made[0]["Id"])["Invalidation"]["InvalidationBatch"]
    assert batch["Paths"] == {"Quantity": 1, "Items": [f"/app/{POINTER}"]}
    assert batch["CallerReference"].startswith("otagate-")


def test_a_distribution_that_is_not_there() -> None:
    with pytest.raises(NotFoundError, match="the channel is moved in the store, but the CDN could not be told") as caught:
        opened(moto_s3.shared(), "E0NOTHERE").pointer_moved(POINTER, b"{}")
    assert "NoSuchDistribution" in (caught.value.found or "")
