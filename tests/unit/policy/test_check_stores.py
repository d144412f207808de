from __future__ import annotations

from datetime import timedelta
from pathlib import Path

import pytest

from otagate.errors import PolicyError
from otagate.policy import load_policy
from otagate.policy.model.policy import Policy
from otagate.policy.model.stores import CdnSpec, KeepSpec

HEAD = "version: 1\napp: {id: com.example.app}\nbranches: {main: {channel: a}}\ntrust: {keys: ['env:K']}\n"
FRONT_DOOR = "/subscriptions/0-1/resourceGroups/g/providers/Microsoft.Cdn/profiles/p/afdEndpoints/e"


def load(folder: Path, text: str) -> Policy:
    path = folder / "otagate.yml"
    path.write_text(HEAD + text)
    return load_policy(path)


def problems(folder: Path, text: str) -> tuple[str, ...]:
    with pytest.raises(PolicyError) as caught:
        load(folder, text)
    return caught.value.details


@pytest.mark.parametrize(
    "url",
    [
        "s3://acme-updates/shop?region=eu-west-1&public=https://updates.example.com",
        "gs://acme-updates/shop?provider=projects/1/locations/global/workloadIdentityPools/p/providers/github",
        "az://updates/shop?account=acme&identity=oidc",
    ],
)
def test_a_bucket_stays_as_it_was_written(url: str, tmp_path: Path) -> None:
    policy = load(tmp_path, f"storage: {url}\n")
    assert (policy.storage, policy.mirrors, policy.documents) == (url, (), None)
    assert policy.warnings == ()


def test_the_first_of_a_list_is_the_store_and_folders_are_resolved(tmp_path: Path) -> None:
    policy = load(tmp_path, 'storage: ["s3://one", "gs://two/x", "file:/srv/three"]\ndocuments: file:../four\n')
    assert policy.storage == "s3://one"
    assert policy.mirrors == ("gs://two/x", "file:/srv/three")
    assert policy.documents == f"file:{tmp_path.parent}/four"
    assert load(tmp_path, "storage: [file:one]\n").storage == f"file:{tmp_path}/one"


def test_cdn_and_keep_have_defaults_and_can_be_said(tmp_path: Path) -> None:
    policy = load(tmp_path, "")
    assert (policy.cdn, policy.keep) == (None, KeepSpec())
    said = f"cdn: {{cloudfront: E1A2B3, cloud_cdn: projects/a.b:c/global/urlMaps/u-1, front_door: {FRONT_DOOR}, webhook: 'env:U', pointers: true, wait: 90s}}\n"
    keep = "keep: {releases: 3, age: 0s, rollbacks: 2, grace: 1h}\n"
    policy = load(tmp_path, f"storage: s3://one?public=https://x.example\n{said}{keep}")
    assert policy.cdn == CdnSpec(
        "E1A2B3", "projects/a.b:c/global/urlMaps/u-1", FRONT_DOOR, "env:U", True, timedelta(seconds=90)
    )
    assert policy.keep == KeepSpec(3, timedelta(0), 2, timedelta(hours=1))
    assert policy.warnings == ()


WRONG = {
    "storage: s3://acme?regoin=x": "otagate.yml:5:10: storage: this is not a storage URL; expected options of s3: endpoint, identity, path_style, profile, public, region, role, found regoin (did you mean region?)",
    "storage: [file:a, 's3://acme?regoin=x']": "otagate.yml:5:19: storage[1]: this is not a storage URL",
    "storage: [file:a, s3://acme?region=x]": "text that holds a '?' stands in brackets without quotes (put it in quotes)",
    "storage: [file:a, 5]": "otagate.yml:5:19: storage[1]: this does not fit; expected a storage URL",
    "storage: s3:acme": "expected the name of a bucket after //, such as acme-updates: 3 to 63 small letters, digits and .-, found none",
    "storage: S3://acme": "found the scheme S3: (did you mean s3:?)",
    "storage: s4://acme": "found the scheme s4:",
    "storage: memory:x": "expected one of file:FOLDER, s3://BUCKET/PREFIX",
    "storage: ftp://joe:sesame@host": "found the scheme ftp:",
    "storage: 'file:'": "this is not a storage URL",
    "documents: gs://A": "otagate.yml:5:12: documents: this is not a storage URL",
    "storage: [s3://a-b, s3://a-b]": "otagate.yml:5:21: storage[1]: this store is named twice",
    "storage: [s3://a-b, 's3://a-b/?region=x']": "named twice",
    "storage: [file:a, 'file:./a/']": "named twice",
    "storage: [s3://abc]\ndocuments: s3://abc": "otagate.yml:6:12: documents: this store is named twice; expected each store once (remove it: what `storage` names first",
    "storage: [" + ", ".join(f"file:{n}" for n in range(9)) + "]": "or a list of 1 to 8 of them, found a list",
    "cdn: {}": "expected a mapping of at least one CDN to tell, found an empty one",
    "cdn: {wait: 5s}": "no CDN is named; expected one of cloudfront, cloud_cdn, front_door, webhook, or `pointers: true`",
    "cdn: {webhook: 'https://x/?t=sesame'}": "expected a reference: `env:NAME` or `file:PATH`, found 19 characters that are not shown",
    "cdn: {pointers: true}": "otagate.yml:5:17: cdn.pointers: `storage` does not say at which address the CDN shows pointers (add public=",
    "storage: s3://abc?public=https://x.example\ndocuments: s3://abd\ncdn: {pointers: true}": "`documents` does not say at which",
    "cdn: {cloudfront: E1A2B3, wait: 2h}": "otagate.yml:5:33: cdn.wait: this is too long to wait; expected at most 1h, found 2h",
    "cdn: {cloudfront: d1.cloudfront.net}": "expected the id of a CloudFront distribution",
    "cdn: {cloudfornt: E1}": "did you mean 'cloudfront'?",
    "keep: {grace: 59m}": "otagate.yml:5:15: keep.grace: `prune` could remove what a publish has just written; expected at least 1h, found 59m",
    "keep: {grace: 0s}": "longer than 0s",
    "keep: {releases: 0}": "expected a whole number of releases, 1 to 10000, found 0",
    "keep: {rollbacks: 1001}": "expected a whole number of releases, 1 to 1000, found 1001",
    "keep: {age: 1y}": "expected a length of time",
}


@pytest.mark.parametrize(("text", "said"), WRONG.items())
def test_a_wrong_store_is_one_problem_in_its_place(text: str, said: str, tmp_path: Path) -> None:
    (line,) = problems(tmp_path, f"{text}\n")
    assert said in line


@pytest.mark.parametrize(
    ("url", "secret"),
    [
        ("s3://AKIAIOSFODNN7EXAMPLE:wJalrXUtnFEMI%2FK7MDENG%2FbPxRfiCYEXAMPLEKEY@acme", "wJalr"),
        ("s3://joe:sesame@acme", "sesame"),
        ("s3://acme?profile=AKIAIOSFODNN7EXAMPLE", "AKIA"),
        ("s3://acme/wJalrXUtnFEMI/K7MDENG/bPxRfiCYEXAMPLEKEY", "wJalr"),
        ("s3://acme?secret=sesame", "sesame"),
        ("s3://acme?public=https://x.example/?token=sesame", "sesame"),
        ("s3://acme?endpoint=https://joe:sesame@x.example", "sesame"),
        ("az://acme?account=acme&sig=sesame%3D", "sesame"),
        ("az://acme?account=" + "aB3/" * 21 + "aB==", "aB3"),
        ("gs://acme?identity=AIza" + "x" * 35, "AIza"),
        ("http://joe:sesame@acme", "sesame"),
        ("file://joe:sesame@host/x", "sesame"),
        ("AKIAIOSFODNN7EXAMPLE", "AKIA"),
        ("s3://[sesame", "sesame"),
    ],
)
@pytest.mark.parametrize("key", ["storage: '{}'", "storage: ['file:a', '{}']", "documents: '{}'"])
def test_a_key_in_a_url_is_refused_and_not_shown(key: str, url: str, secret: str, tmp_path: Path) -> None:
    lines = problems(tmp_path, key.format(url) + "\n")
    assert len(lines) == 1
    assert secret not in lines[0]


@pytest.mark.parametrize(
    ("text", "warned"),
    [
        (
            "storage: s3://one\ndocuments: file:.otagate/state\n",
            "otagate.yml:6:1: documents: channels and rollouts are kept in",
        ),
        ("storage: [file:x, s3://one]\n", "otagate.yml:5:1: storage: channels and rollouts are kept in"),
        ("storage: s3://one\ncdn: {cloudfront: E1A2B3}\n", "otagate.yml:6:1: cdn: `storage` does not say which address"),
    ],
)
def test_what_is_unwise_is_warned_of(text: str, warned: str, tmp_path: Path) -> None:
    (warning,) = load(tmp_path, text).warnings
    assert warned in warning


@pytest.mark.parametrize(
    "text",
    [
        "storage: s3://one\ndocuments: file:/srv/state\n",
        "storage: s3://one\ndocuments: file:../state\n",
        "storage: file:x\n",
        "storage: [file:x, file:y]\n",
        "storage: [s3://one, file:y]\n",
    ],
)
def test_what_is_fine_is_not_warned_of(text: str, tmp_path: Path) -> None:
    assert load(tmp_path, text).warnings == ()


def test_explain_shows_where_each_store_was_named(tmp_path: Path) -> None:
    found = {row.path: (row.value, row.source) for row in load(tmp_path, "").origins}
    assert found["storage"] == (f"file:{tmp_path}/.otagate/store", "default")
    assert (found["documents"], found["cdn"]) == (("none", "default"), ("none", "default"))
    assert found["keep.grace"] == ("1d", "default")
    text = "storage:\n  - s3://one?public=https://x.example\n  - file:m\ndocuments: gs://two\ncdn: {cloudfront: E1A2B3}\nkeep: {releases: 3}\n"
    found = {row.path: (row.value, row.source) for row in load(tmp_path, text).origins}
    assert found["storage[0]"] == ("s3://one?public=https://x.example", "otagate.yml:6:5")
    assert found["storage[1]"] == (f"file:{tmp_path}/m", "otagate.yml:7:5")
    assert found["documents"] == ("gs://two", "otagate.yml:8:12")
    assert found["cdn.cloudfront"] == ("E1A2B3", "otagate.yml:9:19")
    assert found["cdn.wait"] == ("2m", "default")
    assert found["keep.releases"] == ("3", "otagate.yml:10:18")
    assert "storage" not in found
