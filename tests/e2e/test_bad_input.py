"""What bad input gets: the documented exit code, one message with object and remedy, no traceback, an unharmed store.

One row a case. ``arrange`` spoils a fresh copy of a small app that has release 1.0.0 in its store; then the command runs.
"""

from __future__ import annotations

import base64
import json
import os
import zipfile
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

import pytest

from support.shop import Shop, open_shop

USAGE, VERIFICATION, CONFLICT, UNAVAILABLE = 2, 3, 5, 7


def nothing(_: Shop) -> None:
    """Spoil nothing: the command itself is the bad input."""


@dataclass(frozen=True)
class Case:
    """One bad input."""

    id: str
    argv: tuple[str, ...]
    code: int
    says: tuple[str, ...]
    arrange: Callable[[Shop], object] = nothing
    environ: tuple[tuple[str, str], ...] = ()


def policy(text: str | bytes) -> Callable[[Shop], None]:
    def arrange(shop: Shop) -> None:
        shop.path("otagate.yml").write_bytes(text if isinstance(text, bytes) else text.encode())

    return arrange


def edit(old: str, new: str, name: str = "otagate.yml") -> Callable[[Shop], None]:
    return lambda shop: shop.edit(name, old, new)


def write(name: str, content: str | bytes) -> Callable[[Shop], None]:
    def arrange(shop: Shop) -> None:
        path = shop.path(name)
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(content if isinstance(content, bytes) else content.encode())

    return arrange


def remove(name: str) -> Callable[[Shop], None]:
    return lambda shop: shop.path(name).unlink()


def all_of(*steps: Callable[[Shop], object]) -> Callable[[Shop], None]:
    def arrange(shop: Shop) -> None:
        for step in steps:
            step(shop)

    return arrange


def link(name: str, target: str) -> Callable[[Shop], None]:
    return lambda shop: shop.path(name).symlink_to(target)


def spoil_document(key: str, change: Callable[[dict[str, object]], object]) -> Callable[[Shop], None]:
    def arrange(shop: Shop) -> None:
        path = shop.path(f".otagate/store/apps/com.example.shop/{key}")
        data = json.loads(path.read_bytes())
        changed = change(data)
        path.write_text(json.dumps(data if changed is None else changed))

    return arrange


def spoil_payload(key: str, old: str, new: str) -> Callable[[Shop], None]:
    """Change what a signed envelope says, and leave the signature as it is."""

    def change(envelope: dict[str, object]) -> None:
        payload = base64.b64decode(str(envelope["payload"])).decode()
        assert old in payload
        envelope["payload"] = base64.b64encode(payload.replace(old, new).encode()).decode()

    return spoil_document(key, change)


def no_signatures(envelope: dict[str, object]) -> None:
    envelope["signatures"] = []


def the_blob(shop: Shop) -> Path:
    return next(path for path in shop.path(".otagate/store/blobs").rglob("*") if path.is_file())


def flip_blob(shop: Shop) -> None:
    blob = the_blob(shop)
    data = bytearray(blob.read_bytes())
    data[len(data) // 2] ^= 1
    blob.write_bytes(data)


def other_keys(shop: Shop) -> None:
    from otagate.seal.keys import create_keys

    create_keys(shop.path(".otagate/keys"), force=True)


def new_commit(shop: Shop) -> None:
    shop.path("dist/app.js").write_text("CapacitorUpdater.notifyAppReady(); // changed")
    shop.commit()


def hostile_zip(name: str, **entries: bytes) -> Callable[[Shop], None]:
    def arrange(shop: Shop) -> None:
        with zipfile.ZipFile(shop.path(name), "w") as archive:
            for path, content in entries.items():
                archive.writestr(path.replace("__", "/"), content)

    return arrange


def a_pipe(shop: Shop) -> None:
    os.mkfifo(shop.path("dist/pipe"))


RELEASE = "releases/1.0.0.json"
LIVE = "channels/live.json"
PROMOTE = ("promote", "--channel", "beta", "--release", "1.0.0")
CHECK = ("policy", "check")
BUNDLE = ("bundle", "-o", "out.zip")

CASES = [
    # --- the policy file -----------------------------------------------------------------------------------------------
    Case("policy-missing", ("plan",), USAGE, ("no policy file", "otagate init"), remove("otagate.yml")),
    Case("policy-named-and-missing", ("plan", "--policy", "other.yml"), USAGE, ("other.yml",)),
    Case("policy-is-a-folder", ("plan", "--policy", "dist"), USAGE, ("dist",)),
    Case("policy-empty", CHECK, USAGE, ("otagate.yml",), policy("")),
    Case("policy-broken-flow", CHECK, USAGE, ("otagate.yml:3",), policy("version: 1\napp: {id: com.example.shop\n")),
    Case("policy-tab", CHECK, USAGE, ("otagate.yml:3", "tab"), policy("version: 1\napp:\n\tid: com.example.shop\n")),
    Case("policy-not-utf8", CHECK, USAGE, ("otagate.yml", "UTF-8"), policy(b"version: 1\napp: {id: \xff\xfe}\n")),
    Case("policy-binary", CHECK, USAGE, ("otagate.yml",), policy(b"\x00\x01\x02PK")),
    Case("policy-duplicate-key", CHECK, USAGE, ("otagate.yml:2", "version"), policy("version: 1\nversion: 1\n")),
    Case("policy-list", CHECK, USAGE, ("otagate.yml:1",), policy("- version: 1\n")),
    Case("policy-python-tag", CHECK, USAGE, ("otagate.yml:1", "tag"), policy("version: !!python/object:os.system 1\n")),
    Case(
        "policy-alias-bomb",
        CHECK,
        USAGE,
        ("otagate.yml", "alias"),
        policy(
            "a: &a [x,x,x,x,x,x,x,x,x]\n"
            + "".join(f"{c}: &{c} [{','.join([f'*{p}'] * 9)}]\n" for p, c in zip("abcdefgh", "bcdefghi", strict=True))
        ),
    ),
    Case("policy-recursive-alias", CHECK, USAGE, ("otagate.yml",), policy("version: &a [*a]\n")),
    Case("policy-too-deep", CHECK, USAGE, ("otagate.yml",), policy("a: " + "[" * 200 + "]" * 200)),
    Case("policy-huge", CHECK, USAGE, ("otagate.yml",), policy("# " + "x" * 400_000)),
    Case("policy-two-documents", CHECK, USAGE, ("otagate.yml",), policy("version: 1\n---\nversion: 1\n")),
    Case("policy-unknown-key", CHECK, USAGE, ("otagate.yml:3", "bulid", "build"), edit("build: {", "bulid: {")),
    Case("policy-future-version", CHECK, USAGE, ("otagate.yml:1", "version"), edit("version: 1", "version: 2")),
    Case("policy-wrong-unit", CHECK, USAGE, ("soak", "24 hours"), edit("soak: 24h, approve", 'soak: "24 hours", approve')),
    Case("policy-ratio-for-percent", CHECK, USAGE, ("gates.crash_rate.max", "0.02"), edit("max: 2%", "max: 0.02")),
    Case("policy-weights-fall", CHECK, USAGE, ("weights",), edit("[5%, 100%]", "[50%, 5%, 100%]")),
    Case("policy-weights-stop-short", CHECK, USAGE, ("weights", "100%"), edit("[5%, 100%]", "[5%, 50%]")),
    Case("policy-unknown-track", CHECK, USAGE, ("branches", "produktion"), edit("{track: production}", "{track: produktion}")),
    Case("policy-key-text", CHECK, USAGE, ("seal.signing_key",), edit("file:.otagate/keys/signing.pem", "hunter2hunter2")),
    Case("policy-no-source", CHECK, USAGE, ("metrics",), edit("metrics: {file: metrics.json}\n", "")),
    Case("policy-windows-not-yet", CHECK, USAGE, ("windows",), edit("metrics:", 'windows: {allow: ["Mon-Fri"]}\nmetrics:')),
    Case(
        "policy-s3-unknown-option",
        CHECK,
        USAGE,
        ("storage", "region"),
        edit("storage: file:.otagate/store", "storage: s3://bucket?regoin=x"),
    ),
    Case("policy-unknown-scheme", CHECK, USAGE, ("storage", "ftp"), edit("storage: file:.otagate/store", "storage: ftp://x")),
    Case("policy-bad-app-id", CHECK, USAGE, ("app.id",), edit("com.example.shop", "../../etc")),
    # --- the command line ----------------------------------------------------------------------------------------------
    Case("unknown-command", ("promte",), USAGE, ("promte", "otagate promote")),
    Case("unknown-option", ("plan", "--bogus"), USAGE, ("--bogus", "otagate plan --help")),
    Case("secret-as-argument", ("plan", "-----BEGIN PRIVATE KEY-----"), USAGE, ("argument 2", "env:NAME")),
    Case("bad-channel-name", ("promote", "--channel", "../up", "--release", "1.0.0"), USAGE, ("../up", "channel name")),
    Case("bad-weight", (*PROMOTE, "--weight", "120%"), USAGE, ("120%", "0% to 100%")),
    Case("weight-without-unit", (*PROMOTE, "--weight", "0.5"), USAGE, ("0.5", "percentage")),
    Case("bad-wait", ("run", "--wait", "soon"), USAGE, ("--wait", "soon")),
    Case("unpublished-release", ("promote", "--channel", "beta", "--release", "9.9.9"), USAGE, ("9.9.9", "otagate upload")),
    Case("pause-unknown-channel", ("pause", "--channel", "nope"), USAGE, ("nope", "otagate status")),
    Case("approve-nothing", ("approve",), USAGE, ("no rollout is active",)),
    Case("override-without-reason", ("resume", "--override", "crash_rate"), USAGE, ("--reason",)),
    Case("rollback-to-unpublished", ("rollback", "--channel", "live", "--to", "0.9.0"), USAGE, ("0.9.0",)),
    Case("rollback-nothing", ("rollback", "--channel", "development"), CONFLICT, ("nothing to roll back", "development")),
    Case(
        "rollback-misspelt", ("rollback", "--channel", "developmnet"), USAGE, ("no such channel", "did you mean development?")
    ),
    *(
        Case(f"version-{bad}", ("run", "--version", bad), USAGE, ("version", repr(bad)))
        for bad in ("1.0", "v1.0.0", "01.0.0", "1.0.0.0", "1.0.0-", "9999999999.0.0", "1.0.0-ü", "../1.0.0", "١.0.0")
    ),
    # --- what was built ------------------------------------------------------------------------------------------------
    Case("no-output", BUNDLE, USAGE, ("dist",), lambda shop: shop.path("dist").rename(shop.path("gone"))),
    Case("empty-output", BUNDLE, USAGE, ("dist",), all_of(remove("dist/index.html"), remove("dist/app.js"))),
    Case("no-index", BUNDLE, USAGE, ("index.html",), remove("dist/index.html")),
    Case("no-notify", BUNDLE, USAGE, ("notifyAppReady",), write("dist/app.js", "console.log(1)")),
    Case("env-file", BUNDLE, USAGE, ("dist", ".env"), write("dist/.env", "TOKEN=1")),
    Case("key-file", BUNDLE, USAGE, ("server.key",), write("dist/assets/server.key", "x")),
    Case("pem-in-disguise", BUNDLE, USAGE, ("notes.txt",), write("dist/notes.txt", "-----BEGIN PRIVATE KEY-----\nMII")),
    Case("git-folder", BUNDLE, USAGE, (".git",), write("dist/.git/config", "[core]")),
    Case("source-map", BUNDLE, USAGE, ("app.js.map", "source_maps"), write("dist/app.js.map", "{}")),
    Case("link-out", BUNDLE, USAGE, ("secret",), link("dist/secret", "../package.json")),
    Case("link-dangling", BUNDLE, USAGE, ("nowhere",), link("dist/nowhere", "gone.js")),
    Case("case-twins", BUNDLE, USAGE, ("A.js", "a.js"), all_of(write("dist/A.js", "1"), write("dist/a.js", "2"))),
    Case("unicode-twins", BUNDLE, USAGE, (), all_of(write("dist/\u00e9.js", "1"), write("dist/e\u0301.js", "2"))),
    Case("backslash-name", BUNDLE, USAGE, ("evil",), write("dist/..\\evil.js", "1")),
    Case("control-character-name", BUNDLE, USAGE, ("\\x1b",), write("dist/\x1b[2Jx.js", "1")),
    Case("reserved-name", BUNDLE, USAGE, ("con.js",), write("dist/con.js", "1")),
    Case("pipe", BUNDLE, USAGE, ("pipe",), a_pipe),
    Case("too-many-files", BUNDLE, USAGE, ("max_files",), edit("build: {", "bundle: {max_files: 1}\nbuild: {")),
    Case(
        "build-fails",
        ("build",),
        USAGE,
        ("exit code 7", "broken"),
        edit("{output: dist}", '{output: dist, command: "echo broken; exit 7"}'),
    ),
    Case(
        "build-command-missing",
        ("build",),
        USAGE,
        ("no-such-tool",),
        edit("{output: dist}", "{output: dist, command: [no-such-tool]}"),
    ),
    Case(
        "build-too-slow",
        ("build",),
        USAGE,
        ("timeout",),
        edit("{output: dist}", '{output: dist, command: "sleep 20", timeout: 200ms}'),
    ),
    # --- keys ----------------------------------------------------------------------------------------------------------
    Case("no-signing-key", PROMOTE, USAGE, ("signing.pem",), remove(".otagate/keys/signing.pem")),
    Case(
        "no-encryption-key",
        ("upload", "--version", "2.0.0"),
        USAGE,
        ("encryption.pem",),
        remove(".otagate/keys/encryption.pem"),
    ),
    Case("env-key-unset", PROMOTE, USAGE, ("MY_KEY",), edit("file:.otagate/keys/signing.pem", "env:MY_KEY")),
    Case(
        "wrong-kind-of-key",
        PROMOTE,
        USAGE,
        ("encryption.pem", "ed25519"),
        edit("signing_key: file:.otagate/keys/signing.pem", "signing_key: file:.otagate/keys/encryption.pem"),
    ),
    Case(
        "public-key-in-private-place",
        PROMOTE,
        USAGE,
        ("signing.pub.pem",),
        edit("signing_key: file:.otagate/keys/signing.pem", "signing_key: file:.otagate/keys/signing.pub.pem"),
    ),
    Case("key-is-garbage", PROMOTE, USAGE, ("signing.pem",), write(".otagate/keys/signing.pem", "garbage")),
    Case(
        "key-readable-by-all",
        PROMOTE,
        USAGE,
        ("signing.pem", "chmod 600"),
        lambda shop: shop.path(".otagate/keys/signing.pem").chmod(0o644),
    ),
    Case("trust-nobody", PROMOTE, USAGE, ("trust.keys",), edit("keys: [file:.otagate/keys/signing.pub.pem]", "keys: []")),
    Case(
        "small-order-key",
        PROMOTE,
        USAGE,
        ("trust",),
        edit("file:.otagate/keys/signing.pub.pem", "ed25519:" + base64.b64encode(b"\x01" + b"\x00" * 31).decode()),
    ),
    Case("keys-not-overwritten", ("keys", "create"), CONFLICT, ("signing.pem", "--force")),
    # --- tampering -----------------------------------------------------------------------------------------------------
    Case("other-key-signed", PROMOTE, VERIFICATION, ("1.0.0",), other_keys),
    Case(
        "statement-changed", PROMOTE, VERIFICATION, ("1.0.0",), spoil_payload(RELEASE, "com.example.shop", "com.example.spam")
    ),
    Case("signature-stripped", PROMOTE, VERIFICATION, ("1.0.0",), spoil_document(RELEASE, no_signatures)),
    Case(
        "payload-type-changed",
        PROMOTE,
        VERIFICATION,
        ("1.0.0",),
        spoil_document(RELEASE, lambda e: {**e, "payloadType": "text/plain"}),
    ),
    Case(
        "statement-not-json", PROMOTE, VERIFICATION, ("1.0.0",), write(f".otagate/store/apps/com.example.shop/{RELEASE}", "{")
    ),
    Case("blob-changed", PROMOTE, VERIFICATION, ("sha256",), flip_blob),
    Case("blob-cut", PROMOTE, VERIFICATION, (), lambda shop: the_blob(shop).write_bytes(the_blob(shop).read_bytes()[:-1])),
    Case("blob-gone", PROMOTE, VERIFICATION, ("no blob",), lambda shop: the_blob(shop).unlink()),
    Case("pointer-changed", ("status",), VERIFICATION, ("live",), spoil_payload(LIVE, '"serial":1', '"serial":9')),
    Case("pointer-stripped", ("rollback", "--channel", "live"), VERIFICATION, ("live",), spoil_document(LIVE, no_signatures)),
    Case(
        "ledger-changed",
        ("history",),
        VERIFICATION,
        ("chain",),
        spoil_document("ledger/0000000001.json", lambda e: {**e, "kind": "nothing"}),
    ),
    Case(
        "hostile-zip-slip",
        ("verify", "1.0.0", "--bundle", "x.zip"),
        VERIFICATION,
        (),
        hostile_zip("x.zip", **{"..__..__evil": b"x"}),
    ),
    # --- conflicts and the world ----------------------------------------------------------------------------------------
    Case("same-version-other-bytes", ("upload",), CONFLICT, ("1.0.0", "new version"), new_commit),
    Case("lower-weight", (*PROMOTE[:2], "live", *PROMOTE[3:], "--weight", "5%"), CONFLICT, ("live", "100%", "5%")),
    Case("store-is-a-file", ("status",), USAGE, ("store",), edit("storage: file:.otagate/store", "storage: file:package.json")),
    Case(
        "fork",
        ("run",),
        USAGE,
        ("fork", "may not publish"),
        edit("branches:\n", 'branches:\n  "pulls/*": {channel: "pr-{number}"}\n'),
        (
            ("GITHUB_ACTIONS", "true"),
            ("GITHUB_EVENT_NAME", "pull_request"),
            ("GITHUB_REF", "refs/pull/7/merge"),
            ("GITHUB_REPOSITORY", "a/b"),
            ("GITHUB_SHA", "0" * 40),
        ),
    ),
    Case(
        "metrics-malformed",
        ("gate", "eval", "--channel", "live", "--release", "1.0.0"),
        6,
        (),
        write("metrics.json", '{"bad": -1, "total": NaN}'),
    ),
]


def key_lines(shop: Shop, name: str) -> list[str]:
    """Give the lines of a private key that must never be seen."""
    text = shop.path(f".otagate/keys/{name}.pem").read_text()
    return [line for line in text.splitlines() if not line.startswith("-----")]


@pytest.mark.parametrize("case", CASES, ids=lambda case: case.id)
def test_bad_input(case: Case, tmp_path: Path) -> None:
    shop = open_shop(tmp_path / "shop")
    secrets = [line for name in ("encryption", "signing") for line in key_lines(shop, name)]
    case.arrange(shop)
    before = shop.fingerprint()
    said = shop.run(*case.argv, **dict(case.environ))
    assert said.code == case.code, said.err + said.out
    assert "Traceback" not in said.err + said.out
    assert "bug in otagate" not in said.err
    # A verdict (`gate eval`) or a list of checks (`verify`) is a result on stdout; all else is one message on stderr.
    told = said.out if case.argv[0] in {"gate", "verify"} else said.err
    assert told is said.out or told.count("error: ") == 1, told
    for text in case.says:
        assert text in told, told
    assert shop.fingerprint() == before, "the store was touched"
    assert told is said.out or "\n  try: " in told or "\n  expected: " in told, f"no remedy: {told}"
    shown = said.out + said.err
    assert "KEY-----" not in shown
    assert not [line for line in secrets if line in shown]


def test_there_are_enough_cases_and_no_two_of_a_name() -> None:
    assert len(CASES) >= 60
    assert len({case.id for case in CASES}) == len(CASES)
