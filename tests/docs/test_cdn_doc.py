"""The settings in docs/cdn.md are what the services understand, as far as that can be seen without them."""

from __future__ import annotations

import json
import re
import subprocess
from pathlib import Path

import botocore.session
import pytest
from botocore.validate import ParamValidator

from otagate.store._public_http import MAX_REDIRECTS, Bounds
from otagate.store.invalidate import cloud_cdn, cloudfront, front_door, webhook
from support.js import tool

PAGE = (Path(__file__).parents[2] / "docs" / "cdn.md").read_text("utf-8")


def marked(mark: str) -> str:
    (text,) = re.findall(rf"^<!-- {mark} -->\n```\w+\n(.*?)^```$", PAGE, re.MULTILINE | re.DOTALL)
    return str(text)


def test_the_distribution_is_one() -> None:
    session = botocore.session.Session()
    model = session.get_service_model("cloudfront").operation_model("CreateDistribution").input_shape
    report = ParamValidator().validate({"DistributionConfig": json.loads(marked("cloudfront distribution"))}, model)
    assert report.generate_report() == ""


def test_permissions_events_and_bounds_are_those_of_the_code() -> None:
    for module in (cloudfront, cloud_cdn, front_door):
        assert module.PERMISSION in PAGE
    assert f'"event": "{webhook.EVENT}"' in PAGE
    bounds = Bounds()
    assert f"asks for {bounds.missing:.0f} seconds" in PAGE
    assert f"ends after {bounds.window:.0f} seconds below {bounds.slowest // 1024} KiB/s" in PAGE
    assert bounds.total == 3600
    assert bounds.patience.total == 60
    assert MAX_REDIRECTS == 3


WORKER_TEST = """
import worker from "./worker.mjs";
const env = {TOKEN: "t0", ZONE: "z1", API_TOKEN: "a2"};
const sent = [];
let status = 200;
globalThis.fetch = async (url, init) => {
  sent.push([url, init.headers.Authorization, JSON.parse(init.body).files.length]);
  return new Response("", {status});
};
const ask = async (path, body, method = "POST") =>
  (await worker.fetch(new Request(`https://w.test${path}`, {method, body: method === "POST" ? JSON.stringify(body) : undefined}), env)).status;
const urls = Array.from({length: 31}, (_, n) => `https://cdn.test/${n}`);
const statuses = [
  await ask("/t0", {event: "otagate.invalidate", paths: [], urls}),
  await ask("/other", {event: "otagate.invalidate", urls}),
  await ask("/t0", {event: "x", urls}),
  await ask("/t0", null, "GET"),
];
status = 500;
statuses.push(await ask("/t0", {event: "otagate.invalidate", urls}));
console.log(JSON.stringify({statuses, sent}));
"""


@pytest.mark.integration
def test_the_worker_purges(tmp_path: Path) -> None:
    (tmp_path / "worker.mjs").write_text(marked("cloudflare worker"), "utf-8")
    (tmp_path / "test.mjs").write_text(WORKER_TEST, "utf-8")
    done = subprocess.run([tool("node"), "test.mjs"], cwd=tmp_path, capture_output=True, text=True, timeout=60, check=False)
    assert done.returncode == 0, done.stderr
    found = json.loads(done.stdout)
    assert found["statuses"] == [200, 404, 400, 404, 503]
    url = "https://api.cloudflare.com/client/v4/zones/z1/purge_cache"
    assert found["sent"] == [[url, "Bearer a2", 30], [url, "Bearer a2", 1], [url, "Bearer a2", 30]]
