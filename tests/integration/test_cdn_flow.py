"""Whole runs with a CDN in front of a real S3 bucket: what devices get is checked, followed, and never holds a move up."""

from __future__ import annotations

import base64
import json
import urllib.error
import urllib.request
from collections.abc import Iterator
from contextlib import ExitStack
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler
from pathlib import Path
from urllib.parse import unquote, urlsplit

import pytest

from otagate._retry import Patience
from otagate.store import public
from otagate.store.objects import Absent, Headers
from otagate.store.public import Bounds
from support.buckets import ADAPTERS, Bucket
from support.metric_server import send, serving
from support.project import POLICY, Project, Said
from support.servers import seaweedfs
from support.servers.cdn import Edge, cdn_of_bucket

pytestmark = pytest.mark.integration

TOKEN = "c0rrect-h0rse-battery-staple-0123456789"
CDN = "cdn: {{webhook: 'env:HOOK', pointers: true, wait: 1s}}\n"
KEEP = "keep: {{releases: 1, age: 1ms, rollbacks: 1, grace: 1h}}\n"
QUICK = Bounds(missing=0.3, patience=Patience(total=1.0, first=0.02, longest=0.1))


@dataclass
class Hook:
    """Who hears of changes, and has a CDN forget them unless it is deaf.

    Attributes:
        edges: The CDNs.
        status: What it answers; other than 200 it does nothing.
        deaf: It says yes and does nothing.
        heard: The paths of each request.
    """

    edges: list[Edge] = field(default_factory=list)
    status: int = 200
    deaf: bool = False
    heard: list[list[str]] = field(default_factory=list)

    def respond(self, request: BaseHTTPRequestHandler, body: bytes) -> None:
        """Hear."""
        message = json.loads(body)
        assert request.path == f"/{TOKEN}"
        self.heard.append(message["paths"])
        if self.status == 200 and not self.deaf:
            for edge in self.edges:
                edge.forget(message["paths"])
        # As long as that: nobody waits for it, so the test does not either.
        send(request, TOKEN.encode(), status=self.status, Retry_After="86400")


@dataclass
class Site:
    """An app that publishes to a bucket behind a CDN.

    Attributes:
        bucket: The store.
        public: The CDN's address.
        edge: The CDN.
        hook: Who tells it.
        project: The app; commands are run by calling the site.
    """

    bucket: Bucket
    public: str
    edge: Edge
    hook: Hook
    project: Project

    def __call__(self, *argv: str) -> Said:
        said = self.project(*argv)
        assert TOKEN not in said.out + said.err, "the webhook's address is a secret"
        assert "Traceback" not in said.err
        return said

    def upload(self, version: str) -> str:
        """Publish a new release; gives its blob's path."""
        self.project.next_release(version)
        said = self("upload", "--format", "json")
        assert said.code == 0, said.err
        (path,) = {path for path in self.paths() if path.startswith("/blobs/")} - self.known
        self.known.add(path)
        return path

    def paths(self) -> set[str]:
        """List what is in the bucket."""
        found = self.bucket.open().list(self.bucket.prefix)
        return {f"/{head.key.removeprefix(self.bucket.prefix)}" for head in found}

    known: set[str] = field(default_factory=set)

    def key(self, path: str) -> str:
        return self.bucket.prefix + path.removeprefix("/")

    def forget_release(self, version: str, blob: str) -> bytes:
        """Make it as before the upload of that version, in the bucket; gives the blob's bytes."""
        objects = self.bucket.open()
        body = b"".join(objects.stream(self.key(blob), 0))
        objects.delete(self.key(blob))
        objects.delete(self.key(f"/apps/com.example.app/releases/{version}.json"))
        self.edge.forget([blob])
        return body

    def served(self, channel: str) -> str:
        """Give the version that a channel serves as a device sees it."""
        return version_at(self.public + pointer(channel))

    def stored(self, channel: str) -> str:
        """Give the version that the store says."""
        said = self("status", "--format", "json")
        (found,) = [one for one in said.json["channels"] if one["channel"] == channel]
        release = found["candidate"]["release"] if found.get("candidate") else found["stable"]
        return str(release["version"])


def pointer(channel: str) -> str:
    return f"/apps/com.example.app/channels/{channel}.json"


def version_at(url: str) -> str:
    """Give the version that a pointer serves to a device that asks at an address."""
    with urllib.request.urlopen(url) as answer:
        envelope = json.load(answer)
    state = json.loads(base64.b64decode(envelope["payload"]))
    return str((state.get("candidate") or state["stable"])["version"])


def pointer_troubles(site: Site) -> list[dict[str, str]]:
    """Give what doctor says of pointers as devices get them."""
    checks = site("doctor", "--format", "json").json["checks"]
    troubles = [trouble for check in checks for trouble in check.get("troubles", check.get("problems", []))]
    return [trouble for trouble in troubles if trouble["code"].startswith("public.") and "channels/" in json.dumps(trouble)]


def in_front(stack: ExitStack, bucket: Bucket) -> tuple[str, Edge]:
    client = seaweedfs.client(seaweedfs.shared())

    def sign(path: str) -> str:
        place = {"Bucket": seaweedfs.BUCKET, "Key": bucket.prefix + unquote(path).removeprefix("/")}
        parts = urlsplit(client.generate_presigned_url("get_object", Params=place))
        return f"{parts.path}?{parts.query}"

    return stack.enter_context(cdn_of_bucket(seaweedfs.shared(), sign))


@pytest.fixture
def stack() -> Iterator[ExitStack]:
    with ExitStack() as stack:
        yield stack


@pytest.fixture
def site(stack: ExitStack, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Site:
    monkeypatch.setattr(public, "Bounds", lambda: QUICK)
    bucket = ADAPTERS["s3 on SeaweedFS"]().tried()
    address, edge = in_front(stack, bucket)
    hook = Hook([edge])
    project = Project(tmp_path / "app", storage=f"{bucket.url}&public={address}")
    project.environ |= {**bucket.environ, "HOOK": f"{stack.enter_context(serving(hook.respond))}/{TOKEN}"}
    project.policy(POLICY + CDN + KEEP)
    return Site(bucket, address, edge, hook, project)


def promoted(site: Site, version: str) -> Said:
    return site("promote", "--channel", "development", "--release", version)


def test_a_publish_is_read_back_through_the_cdn_and_a_promote_shows_there(site: Site) -> None:
    site.edge.keeps_pointers = True
    blob = site.upload("1.0.1")
    assert any(asked["accept-encoding"] == "identity" and "authorization" not in asked for asked in site.edge.asked)
    assert site.hook.heard == []
    assert promoted(site, "1.0.1").code == 0
    assert site.served("development") == "1.0.1"
    site.upload("1.0.2")

    done = promoted(site, "1.0.2")

    assert (done.code, site.served("development")) == (0, "1.0.2"), done.err
    assert site.hook.heard == [[pointer("development")]] * 2
    assert "webhook env:HOOK" in done.err
    with urllib.request.urlopen(site.public + blob) as answer:
        assert answer.headers["Cache-Control"] == "public, max-age=31536000, immutable"
        assert answer.headers["X-Cache"] == "Hit from edge"


def test_what_no_trusted_key_signed_is_not_taken_for_a_newer_pointer(site: Site) -> None:
    site.upload("1.0.1")
    site.hook.deaf = True
    site.edge.keep(pointer("development"), b'{"payload": "", "signatures": []}')
    assert promoted(site, "1.0.1").code == 7
    newer = site.bucket.open().read(site.key(pointer("development")), 1 << 20)
    assert newer is not None
    site.edge.keep(pointer("development"), newer[0])
    told = len(site.hook.heard)
    assert (site("reconcile").code, len(site.hook.heard)) == (0, told)


@pytest.mark.parametrize("verb", ["promote", "rollback"])
def test_a_cdn_that_stays_stale_ends_a_verb_by_hand_with_the_channel_moved(site: Site, verb: str) -> None:
    site.edge.keeps_pointers = True
    for version in ("1.0.1", "1.0.2"):
        site.upload(version)
        assert promoted(site, version).code == 0
    site.upload("1.0.3")
    site.hook.deaf = True

    said = promoted(site, "1.0.3") if verb == "promote" else site("rollback", "--channel", "development")

    assert said.code == 7
    assert "the channel is moved in the store, but the CDN does not give the new pointer yet" in said.err
    assert f"{site.public}{pointer('development')}" in said.err
    assert site.served("development") == "1.0.2"
    assert site.stored("development") == ("1.0.3" if verb == "promote" else "1.0.1")
    # The same command again only looks and tells again: the channel is not moved twice.
    site.hook.deaf = False
    assert site("reconcile").code == 0
    assert site.served("development") == ("1.0.3" if verb == "promote" else "1.0.1")


def test_run_and_reconcile_warn_and_the_next_reconcile_tells_a_cdn_only_while_it_is_stale(site: Site) -> None:
    site.edge.keeps_pointers = True
    site.upload("1.0.1")
    assert site("promote", "--channel", "internal", "--release", "1.0.1").code == 0
    first = site.served("internal")
    site.project.next_release("1.0.2")
    site.hook.deaf = True

    run = site("run")
    assert (run.code, "the CDN does not give the new pointer yet" in run.err) == (0, True), run.err
    assert site.served("internal") == first == "1.0.1"
    told = len(site.hook.heard)
    again = site("reconcile")
    assert (again.code, "the CDN does not give the new pointer yet" in again.err) == (0, True)
    assert (len(site.hook.heard), site.served("internal")) == (told + 1, first)

    site.hook.deaf = False
    mended = site("reconcile")
    assert (mended.code, "does not give" in mended.err) == (0, False)
    assert len(site.hook.heard) == told + 2
    assert site.served("internal") == "1.0.2"
    assert site("reconcile").code == 0
    assert len(site.hook.heard) == told + 2, "a CDN that shows the pointer costs nothing"


def test_a_remembered_404_is_passed_by(site: Site) -> None:
    blob = site.upload("1.0.1")
    site.forget_release("1.0.1", blob)
    site.edge.keep(blob, None)
    said = site("upload")
    assert (said.code, blob in site.paths()) == (0, True), said.err
    assert any(asked.get("cache-control") == "no-cache" for asked in site.edge.asked)


def test_a_404_that_cannot_be_passed_by_does_not_cost_a_good_blob(site: Site) -> None:
    blob = site.upload("1.0.1")
    site.forget_release("1.0.1", blob)
    site.edge.keep(blob, None)
    site.edge.obeys_no_cache = False
    said = site("upload")
    assert (said.code, blob in site.paths()) == (7, True)
    assert "the public address does not give the object" in said.err
    assert not any("/releases/" in path for path in site.paths()), "no release names what no device gets"
    site.edge.forget([blob])
    assert site("upload").code == 0


@pytest.mark.parametrize("where", ["edge", "store"])
def test_wrong_bytes_at_the_edge_are_told_from_wrong_bytes_in_the_store(site: Site, where: str) -> None:
    blob = site.upload("1.0.1")
    body = site.forget_release("1.0.1", blob)
    wrong = bytes([body[0] ^ 1]) + body[1:]
    site.edge.keep(blob, wrong)
    if where == "store":
        immutable = Headers("application/octet-stream", "public, max-age=31536000, immutable")
        site.bucket.open().put(site.key(blob), wrong, immutable, Absent())

    said = site("upload")

    assert said.code == 3
    assert ("the store has the right bytes, and its public address gives others" in said.err) is (where == "edge")
    assert ("the store does not give back the bytes that were published" in said.err) is (where == "store")
    assert (blob in site.paths()) is (where == "edge")
    assert site.hook.heard == [[blob]]
    # The CDN was told to forget, so the rerun is all that is needed.
    again = site("upload")
    assert (again.code, blob in site.paths()) == (0, True), again.err


@pytest.mark.parametrize("status", [200, 503])
def test_prune_tells_the_cdn_and_warns_when_it_cannot(site: Site, status: int) -> None:
    first, second = (site.upload(version) for version in ("1.0.1", "1.0.2"))
    site.hook.status = status
    urllib.request.urlopen(site.public + first).close()

    dry = site("prune", "--grace", "0s", "--wait", "0s", "--dry-run")
    assert (dry.code, site.hook.heard) == (0, [])
    done = site("prune", "--grace", "0s", "--wait", "0s")

    assert (done.code, site.hook.heard) == (0, [[first]]), done.err
    assert {path for path in site.paths() if path.startswith("/blobs/")} == {second}
    assert ("the blobs are gone from the store, but the CDN could not be told" in done.err) is (status != 200)
    urllib.request.urlopen(site.public + second).close()
    if status == 200:
        with pytest.raises(urllib.error.HTTPError, match="404"):
            urllib.request.urlopen(site.public + first)


@pytest.mark.parametrize(("status", "code"), [(503, 7), (403, 2)])
def test_a_webhook_that_does_not_listen_holds_nothing_up(site: Site, status: int, code: int) -> None:
    site.upload("1.0.1")
    site.hook.status = status
    said = promoted(site, "1.0.1")
    assert said.code == code
    assert "the channel is moved in the store, but the CDN could not be told" in said.err
    assert f"HTTP {status}" in said.err
    assert site.stored("development") == "1.0.1"

    site.project.next_release("1.0.2")
    run = site("run")
    assert (run.code, "the CDN could not be told" in run.err) == (0, True), run.err


def test_the_address_of_the_webhook_is_in_nothing_that_is_stored(site: Site) -> None:
    site.upload("1.0.1")
    site.hook.status = 403
    assert promoted(site, "1.0.1").code == 2
    objects = site.bucket.open()
    for path in site.paths():
        assert TOKEN.encode() not in b"".join(objects.stream(site.key(path), 0)), path


def test_documents_elsewhere_have_a_cdn_of_their_own(site: Site, stack: ExitStack) -> None:
    elsewhere = ADAPTERS["s3 on SeaweedFS"]().tried()
    address, edge = in_front(stack, elsewhere)
    site.hook.edges.append(edge)
    edge.keeps_pointers = True
    # One environment: both buckets are the same owner's.
    site.project.policy(POLICY + CDN + f"documents: {elsewhere.url}&public={address}\n")
    for version in ("1.0.1", "1.0.2"):
        site.upload(version)
        said = promoted(site, version)
        assert said.code == 0, said.err
        assert version_at(address + pointer("development")) == version
    assert not any(path.startswith("/apps/") for path in site.paths())
    with pytest.raises(urllib.error.HTTPError, match="404"):
        site.served("development")
    assert pointer_troubles(site) == []
    site.hook.deaf = True
    said = site("rollback", "--channel", "development")
    assert [trouble["code"] for trouble in pointer_troubles(site)] == ["public.old-pointer"]
    assert (said.code, f"{address}{pointer('development')}" in said.err) == (7, True)
