"""The policies of examples/iam, enforced: each role can do its verbs and no others', and has no right that no verb needs.

moto's server enforces them: it looks at actions and resources, and checks signatures. It looks at no condition, and ours have
none; trust policies, which are all condition, are held against tokens in test_iam_trust.py.
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any
from urllib.parse import parse_qsl, unquote, urlsplit

import httpx
import pytest

from otagate._clock import SystemClock
from otagate.errors import ExitCode
from otagate.flow.serve import ServeOptions, build_parts
from otagate.model import Digest
from otagate.store.interface import Store
from otagate.store.obstore_objects import PART_BYTES
from otagate.store.registry import open_store
from support.iam import policy
from support.keys import key
from support.project import POLICY, Project, Said
from support.servers import moto_s3
from support.update_server import device_id, facts

pytestmark = pytest.mark.integration

LINE = re.compile(r'"([A-Z]+) (\S+) HTTP/1\.1" (\d{3})')
ANSI = re.compile(r"\x1b\[\d+m")
FORBIDDEN = 403
ROLES = ("read", "release", "sign", "prune")
KEEP = "keep: {{releases: 1, age: 1ms, rollbacks: 1, grace: 1h}}\n"
NOTIFY = "notify: {{nobody: {{slack: env:NOT_SET}}}}\n"
SEAL = "seal: {{format: capgo, encryption_key: env:ENCRYPTING, signing_key: env:SIGNING}}"


@dataclass(frozen=True)
class Request:
    """A request in IAM's words."""

    action: str
    arn: str
    status: int


@dataclass
class World:
    """An app whose bucket believes nobody without a policy; what each role asked of it."""

    app: Project
    base: str
    log: Path
    environ: dict[str, Mapping[str, str]] = field(default_factory=dict)
    asked: dict[str, list[Request]] = field(default_factory=lambda: {role: [] for role in ROLES})

    def __call__(self, role: str, *argv: str) -> Said:
        at = self.log.stat().st_size
        said = self.app(*argv, environ=self.environ[role])
        # doctor says itself what it may not do, and looks at some addresses as a stranger would.
        self.note(role, at, refused=argv[0] != "doctor")
        return said

    def note(self, role: str, since: int, *, refused: bool = True) -> None:
        text = ANSI.sub("", self.log.read_bytes()[since:].decode())
        found = [request(*line) for line in LINE.findall(text)]
        self.asked[role] += [one for one in found if refused or one.status != FORBIDDEN]

    def store(self, role: str) -> Store:
        return open_store(self.app.storage, self.environ[role])

    def enforce(self, *, is_on: bool) -> None:
        httpx.post(f"{self.base}/moto-api/reset-auth", content=b"0" if is_on else b"inf").raise_for_status()


def request(method: str, path: str, status: str) -> Request:
    """Say which permission a request of S3 needs. **Source:** Amazon S3 User Guide, "Required permissions"."""
    parts = urlsplit(path)
    query = dict(parse_qsl(parts.query, keep_blank_values=True))
    bucket, _, name = unquote(parts.path).removeprefix("/").partition("/")
    if name:
        removal = "s3:AbortMultipartUpload" if "uploadId" in query else "s3:DeleteObject"
        action = {"GET": "s3:GetObject", "HEAD": "s3:GetObject", "DELETE": removal}.get(method, "s3:PutObject")
    else:
        action = "s3:ListBucketMultipartUploads" if "uploads" in query else "s3:ListBucket"
    return Request(action, f"arn:aws:s3:::{bucket}{'/' if name else ''}{name}", int(status))


def _users(base: str) -> dict[str, Mapping[str, str]]:
    import boto3

    iam: Any = boto3.client(
        "iam", endpoint_url=base, region_name="us-east-1", aws_access_key_id="nobody", aws_secret_access_key="nobody"
    )
    found: dict[str, Mapping[str, str]] = {}
    for role in ROLES:
        iam.create_user(UserName=role)
        iam.put_user_policy(UserName=role, PolicyName=role, PolicyDocument=policy(f"aws-{role}").text)
        made = iam.create_access_key(UserName=role)["AccessKey"]
        found[role] = {"AWS_ACCESS_KEY_ID": made["AccessKeyId"], "AWS_SECRET_ACCESS_KEY": made["SecretAccessKey"]}
    return found


@pytest.fixture(scope="module")
def empty(tmp_path_factory: pytest.TempPathFactory) -> Iterator[World]:
    folder = tmp_path_factory.mktemp("iam")
    with moto_s3.serving(folder) as base:
        (log,) = folder.glob("log-*")
        app = Project(folder / "app", storage=f"s3://{moto_s3.BUCKET}?endpoint={base}&identity=environment")
        app.environ["ENCRYPTING"] = key("rsa2048")
        app.policy(re.sub(r"(?m)^seal: .*$", SEAL, POLICY).replace("gates:", f"{KEEP}{NOTIFY}gates:", 1))
        world = World(app, base, log, _users(base))
        world.enforce(is_on=True)
        yield world


def fine(said: Said) -> None:
    assert said.code == 0, said.err


def each(world: World, role: str, *commands: tuple[str, ...]) -> None:
    for argv in commands:
        fine(world(role, *argv))


@pytest.fixture(scope="module")
def world(empty: World) -> World:
    """Let every role do all that it is for, on one bucket, from the first release to the first prune."""
    go = empty
    fine(go("release", "upload"))
    fine(go("release", "upload"))
    fine(go("release", "doctor"))
    _break_an_upload(go)
    each(go, "sign", ("run",), ("run",), ("status",), ("pause",), ("resume",), ("reconcile",))
    go.app.next_release("1.1.0")
    fine(go("release", "upload"))
    live = ("--channel", "live")
    each(go, "sign", ("promote", *live, "--release", "1.0.0"), ("promote", *live, "--release", "1.1.0"))
    each(go, "sign", ("rollback", *live), ("rollback",), ("doctor", "--read-only"))
    each(
        go,
        "read",
        ("plan",),
        ("status",),
        ("history",),
        ("verify", "1.0.0"),
        ("doctor", "--read-only"),
        ("prune", "--dry-run"),
        ("gate", "eval", *live, "--release", "1.1.0"),
    )
    for version in ("1.2.0", "1.3.0"):
        go.app.next_release(version)
        fine(go("release", "upload"))
    _leave_garbage(go)
    fine(go("prune", "prune", *UNTIL_NOW))
    go.app.next_release("1.4.0")
    return go


def _break_an_upload(world: World) -> None:
    """Have an upload in parts end in the middle, because the file changed under it."""
    path = world.app.folder / "changing.bin"
    path.write_bytes(b"x" * (2 * PART_BYTES + 1))
    at = world.log.stat().st_size
    with pytest.raises(Exception, match=r"not the bytes|other bytes|changed|digest"):
        world.store("release").blobs.put(Digest.of(b"what it was"), path)
    world.note("release", at)


def _leave_garbage(world: World) -> None:
    """Leave what a killed upload and a killed probe leave: a blob without a release, parts, a document of the probe."""
    world.enforce(is_on=False)
    path = world.app.folder / "orphan.bin"
    path.write_bytes(b"orphan")
    store = world.store("prune")
    store.blobs.put(Digest.of(b"orphan"), path)
    store.documents.create("probe/left.json", b"{}")
    client = moto_s3.client(world.base)
    client.create_multipart_upload(Bucket=moto_s3.BUCKET, Key=f"blobs/sha256/aa/{'a' * 64}")
    world.enforce(is_on=True)


@pytest.mark.parametrize("role", ROLES)
def test_a_role_may_do_all_that_its_verbs_ask_for(world: World, role: str) -> None:
    assert {(found.action, found.arn) for found in world.asked[role] if found.status == FORBIDDEN} == set()
    assert len(world.asked[role]) > 10


@pytest.mark.parametrize("role", ROLES)
def test_a_role_may_do_nothing_that_no_verb_asks_for(world: World, role: str) -> None:
    done = [found for found in world.asked[role] if found.status != FORBIDDEN]
    needless = [
        grant
        for grant in policy(f"aws-{role}").grants()
        if not any(grant.covers(found.action, found.arn) for found in done) and not _of_first_use(role, grant.resource)
    ]
    assert needless == []


def _of_first_use(role: str, resource: str) -> bool:
    """Whichever role writes the first document tries the store; here that is the release role."""
    return role in {"sign", "prune"} and resource.endswith((":acme-updates/store.json", ":acme-updates/probe/*"))


def doctor(world: World, role: str, *options: str) -> list[tuple[str, str]]:
    """Give doctor's problems with permissions: how bad, and which permission."""
    said = world(role, "doctor", "--json", *options)
    assert said.code == 0, said.err
    found = [trouble for check in said.json["checks"] for trouble in check["problems"]]
    return [(trouble["severity"], trouble["what"]) for trouble in found if trouble["code"] == "store.permission"]


@pytest.mark.parametrize(("role", "options"), [("read", ["--read-only"]), ("sign", ["--read-only"]), ("prune", [])])
def test_doctor_misses_no_permission(world: World, role: str, options: list[str]) -> None:
    assert doctor(world, role, *options) == []


def test_doctor_says_that_the_release_role_leaves_a_few_bytes(world: World) -> None:
    ((severity, what),) = doctor(world, "release")
    assert severity == "warning"
    assert "cannot delete the blob" in what


UNTIL_NOW = ("--grace", "0s", "--wait", "0s")
PROMOTE = ("promote", "--channel", "fresh", "--release", "1.3.0")
PUT, UPLOADS = "s3:PutObject", "s3:ListBucketMultipartUploads"
REFUSED = [
    ("read", ("upload",), "/serial.json", PUT),
    ("read", PROMOTE, "/channels/fresh.json", PUT),
    ("read", ("prune", *UNTIL_NOW), "blobs/", UPLOADS),
    ("sign", ("upload",), "/serial.json", PUT),
    ("sign", ("prune", *UNTIL_NOW), "blobs/", UPLOADS),
    ("prune", ("upload",), "/serial.json", PUT),
    ("prune", PROMOTE, "/channels/fresh.json", PUT),
    ("prune", ("rollback", "--channel", "live", "--to", "builtin"), "/channels/live.json", PUT),
    ("release", ("prune", *UNTIL_NOW), "blobs/", UPLOADS),
    ("release", PROMOTE, "/channels/fresh.json", PUT),
    ("release", ("pause", "--channel", "internal"), "/channels/internal.json", PUT),
    ("release", ("rollback", "--channel", "live", "--to", "builtin"), "/channels/live.json", PUT),
    # Last, because it publishes what the others were not to publish.
    ("release", ("run",), "/active/internal.json", PUT),
]


@pytest.mark.parametrize(("role", "argv", "subject", "permission"), REFUSED)
def test_a_role_may_not_do_what_is_another_s(
    world: World, role: str, argv: tuple[str, ...], subject: str, permission: str
) -> None:
    said = world.app(*argv, environ=world.environ[role])
    assert said.code == ExitCode.USAGE, said.err
    assert subject in said.err.partition("error:")[2].partition("\n")[0], said.err
    assert f"expected: {permission}" in said.err
    assert f"grant {permission} to the identity in use" in said.err


def test_an_update_server_needs_the_read_role_alone_also_to_sign_addresses(world: World, tmp_path: Path) -> None:
    own = tmp_path / "otagate.yml"
    own.write_text((world.app.folder / "otagate.yml").read_text() + "server: {default_channel: live}\n")
    at = world.log.stat().st_size
    clock, options = SystemClock(), ServeOptions((own,), "sqlite:///t.db", tmp_path)
    parts = build_parts(options, world.environ["read"], clock)
    try:
        for background in parts.background:
            background.start()
        asked = facts(device_id(1), app_id="com.example.app", version_build="0.9.0")
        body: Any = parts.service.updates(asked, clock.now(), "https://updates.example.com").body
    finally:
        for background in parts.background:
            background.stop()
        parts.telemetry.close()
    world.note("read", at)
    assert body["version"] in {"1.0.0", "1.1.0"}, body
    assert "X-Amz-Signature=" in body["url"]
    world.enforce(is_on=False)  # moto understands signatures in a header only
    answer = httpx.get(body["url"])
    world.enforce(is_on=True)
    assert (answer.status_code, answer.content[:1] != b"<") == (200, True)
    test_a_role_may_do_all_that_its_verbs_ask_for(world, "read")


def test_a_stranger_may_do_nothing(world: World) -> None:
    wrong = {**world.environ["read"], "AWS_SECRET_ACCESS_KEY": "not-the-secret-of-this-key"}
    said = world.app("status", environ=wrong)
    assert said.code == ExitCode.USAGE
    assert "the secret key is wrong" in said.err
    assert "not-the-secret" not in said.err
