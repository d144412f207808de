"""``keys``, ``encrypt``, ``decrypt``, ``sign`` and ``verify``, from argument list to exit code."""

from __future__ import annotations

import io
import json
import stat
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest

from otagate.cli.main import run_command
from otagate.model import Digest
from support.keys import golden, key, signer
from support.releases import CREATED
from support.shipments import make_zip, ship

TRUST = "env:TRUST"
ENVIRON = {
    "OTAGATE_ENCRYPTION_KEY": golden().private_pem,
    "OTAGATE_SIGNING_KEY": key("ed25519").replace("\n", "\\n"),
    "TRUST": key("ed25519_public"),
    "APP": golden().public_pem,
    "P256": key("p256"),
    "P256_PUBLIC": key("p256_public"),
}


@dataclass(frozen=True, slots=True)
class Ended:
    """What a command left."""

    code: int
    out: str
    err: str

    @property
    def data(self) -> dict[str, Any]:
        """The JSON on stdout."""
        return dict(json.loads(self.out))


def _run(folder: Path, *argv: str | Path, **environ: str) -> Ended:
    out, err = io.StringIO(), io.StringIO()
    # A folder with .git ends the search for a policy: nothing outside the test decides.
    (folder / ".git").mkdir(exist_ok=True)
    code = run_command([str(word) for word in argv], ENVIRON | environ, folder, out, err)
    assert "Traceback" not in err.getvalue()
    assert "MIIE" not in out.getvalue() + err.getvalue()
    return Ended(code, out.getvalue(), err.getvalue())


def _json(folder: Path, *argv: str | Path, **environ: str) -> dict[str, Any]:
    ended = _run(folder, *argv, "--format", "json", **environ)
    assert ended.code == 0, ended
    return ended.data


def _names(folder: Path) -> set[str]:
    return {path.name for path in folder.iterdir()} - {".git"}


def test_keys_create_and_show_agree(tmp_path: Path) -> None:
    made = _json(tmp_path, "keys", "create")
    shown = _json(tmp_path, "keys", "show")
    assert made["schema"] == "otagate/keys/v1"
    assert stat.S_IMODE((tmp_path / ".otagate/keys/signing.pem").stat().st_mode) == 0o600
    assert shown["signing"]["trust"] == made["signing"]["trust"]
    assert shown["encryption"]["public"] == made["encryption"]["public"]
    assert shown["encryption"]["key_id"] == made["encryption"]["key_id"]


def test_keys_create_says_where_the_public_parts_go(tmp_path: Path) -> None:
    ended = _run(tmp_path, "keys", "create", "--out", "k")
    assert "trust:\n" in ended.out
    assert "BEGIN RSA PUBLIC KEY" in ended.out
    assert "PRIVATE KEY" not in ended.out
    assert "never into git" in ended.out


def test_keys_create_never_overwrites(tmp_path: Path) -> None:
    first = _json(tmp_path, "keys", "create")
    ended = _run(tmp_path, "keys", "create")
    assert ended.code == 5
    assert "--force" in ended.err
    assert _json(tmp_path, "keys", "show")["signing"]["trust"] == first["signing"]["trust"]
    assert _json(tmp_path, "keys", "create", "--force")["signing"]["trust"] != first["signing"]["trust"]


def test_keys_create_dry_run_writes_nothing(tmp_path: Path) -> None:
    assert _run(tmp_path, "keys", "create", "--dry-run").code == 0
    assert _names(tmp_path) == set()


def test_a_folder_that_cannot_be_written_is_told(tmp_path: Path) -> None:
    (tmp_path / "f").write_text("x")
    (tmp_path / "f.dsse.json").mkdir()
    ended = _run(tmp_path, "sign", "f", "--type", "x/y")
    assert ended.code == 2
    assert "a folder" in ended.err


def test_a_policy_may_be_named(tmp_path: Path) -> None:
    (tmp_path / "sub").mkdir()
    _policy(tmp_path / "sub")
    assert _json(tmp_path, "keys", "show", "--policy", "sub/otagate.yml")["encryption"]["key_id"] == golden().key_id


def test_keys_show_one_of_two(tmp_path: Path) -> None:
    _json(tmp_path, "keys", "create", "--out", "k")
    (tmp_path / "k" / "encryption.pem").unlink()
    ended = _run(tmp_path, "keys", "show", "--from", "k")
    assert ended.code == 0
    assert "encryption: the key cannot be read" in ended.out
    assert "ed25519:" in ended.out


def test_keys_show_without_keys(tmp_path: Path) -> None:
    ended = _run(tmp_path, "keys", "show")
    assert ended.code == 2
    assert "No such file" in ended.err


def test_keys_show_takes_the_keys_of_the_policy(tmp_path: Path) -> None:
    _policy(tmp_path)
    shown = _json(tmp_path, "keys", "show")
    assert shown["encryption"]["key_id"] == golden().key_id
    assert shown["signing"]["reference"] == "env:OTAGATE_SIGNING_KEY"
    assert shown["signing"]["key_id"] == signer().public_key().key_id


def _policy(folder: Path, extra: str = "") -> None:
    (folder / "otagate.yml").write_text(
        "version: 1\n"
        "app: {id: com.example.app}\n"
        "storage: file:store\n"
        "branches: {main: {channel: beta}}\n"
        "trust: {keys: ['env:TRUST']}\n"
        "gates: {}\n" + extra
    )


def test_encrypt_then_decrypt(tmp_path: Path) -> None:
    make_zip(tmp_path / "a.zip", index__html=b"x")
    sealed = _json(tmp_path, "encrypt", "a.zip", "-o", "b.zip")
    assert sealed["schema"] == "otagate/encrypt/v1"
    assert sealed["blob"] == str(Digest.of((tmp_path / "b.zip").read_bytes()))
    for checksum in (sealed["checksum_hex"], sealed["checksum_base64"]):
        argv = ("decrypt", "b.zip", "-o", "c.zip", "--session-key", sealed["session_key"], "--checksum", checksum)
        opened = _json(tmp_path, *argv, "--public-key", "env:APP")
        assert opened["clear"] == sealed["clear"]
        assert (tmp_path / "c.zip").read_bytes() == (tmp_path / "a.zip").read_bytes()


@pytest.mark.parametrize("given", ["app.pub", "file:app.pub", "env:APP", golden().public_pem])
def test_the_public_key_is_named_in_every_way(tmp_path: Path, given: str) -> None:
    (tmp_path / "app.pub").write_text(golden().public_pem)
    make_zip(tmp_path / "a.zip", index__html=b"x")
    sealed = _json(tmp_path, "encrypt", "a.zip")
    argv = ("--session-key", sealed["session_key"], "--checksum", sealed["checksum_hex"], "--public-key", given)
    assert _run(tmp_path, "decrypt", "a.zip.sealed", "-o", "c.zip", *argv).code == 0


def test_decrypt_refuses_a_wrong_checksum_and_leaves_nothing(tmp_path: Path) -> None:
    make_zip(tmp_path / "a.zip", index__html=b"x")
    sealed = _json(tmp_path, "encrypt", "a.zip")
    argv = ("--session-key", sealed["session_key"], "--checksum", golden().checksum_hex, "--public-key", "env:APP")
    ended = _run(tmp_path, "decrypt", "a.zip.sealed", "-o", "c.zip", *argv)
    assert ended.code == 3
    assert "the checksum does not hold" in ended.err
    assert _names(tmp_path) == {"a.zip", "a.zip.sealed"}


def test_encrypt_takes_key_and_format_of_the_policy(tmp_path: Path) -> None:
    _policy(tmp_path, "seal: {encryption_key: 'env:MINE'}\n")
    make_zip(tmp_path / "a.zip", index__html=b"x")
    assert _json(tmp_path, "encrypt", "a.zip", MINE=golden().private_pem)["key_id"] == golden().key_id
    assert _run(tmp_path, "encrypt", "a.zip").code == 2


def test_encrypt_for_recipients_then_verify_and_decrypt(tmp_path: Path) -> None:
    make_zip(tmp_path / "a.zip", index__html=b"x")
    argv = ("--seal", "aes-256-gcm", "--recipient", "env:P256_PUBLIC", "--app", "com.example.app", "--version", "1.0.0")
    sealed = _json(tmp_path, "encrypt", "a.zip", *argv)
    assert json.loads(sealed["additional_data"])["version"] == "1.0.0"
    assert sealed["wrapped_key"].count(".") == 4
    assert "session_key" not in sealed


@pytest.mark.parametrize("seal", ["capgo", "aes-256-gcm"])
def test_decrypt_by_statement(tmp_path: Path, seal: str) -> None:
    made = ship(tmp_path, seal)
    made.signed(expires=None)
    argv = ("decrypt", made.sealed, "-o", "c.zip", "--statement", made.statement, "--trust", TRUST)
    opened = _json(tmp_path, *argv, "--public-key", "env:APP", "--key", "env:P256")
    assert opened["clear"] == str(made.release.bundle.archive)
    assert (tmp_path / "c.zip").read_bytes() == made.clear.read_bytes()


def test_decrypt_by_statement_opens_nothing_unsigned(tmp_path: Path) -> None:
    made = ship(tmp_path)
    made.signed("ed25519_other", expires=None)
    argv = ("decrypt", made.sealed, "-o", "c.zip", "--statement", made.statement, "--public-key", "env:APP")
    ended = _run(tmp_path, *argv, "--trust", TRUST)
    assert ended.code == 3
    assert "nothing was opened" in ended.err
    assert "signature" in ended.err
    assert not (tmp_path / "c.zip").exists()
    assert _run(tmp_path, *argv).code == 2


def test_decrypt_by_statement_wants_the_right_file_and_key(tmp_path: Path) -> None:
    made = ship(tmp_path)
    made.signed(expires=None)
    argv = ("-o", "c.zip", "--statement", made.statement, "--trust", TRUST)
    assert _run(tmp_path, "decrypt", made.clear, *argv).code == 3
    ended = _run(tmp_path, "decrypt", made.sealed, *argv)
    assert ended.code == 2
    assert "--public-key" in ended.err
    assert not (tmp_path / "c.zip").exists()


def test_a_clear_release_needs_no_opening(tmp_path: Path) -> None:
    made = ship(tmp_path, "none")
    made.signed(expires=None)
    ended = _run(tmp_path, "decrypt", made.sealed, "-o", "c.zip", "--statement", made.statement, "--trust", TRUST)
    assert ended.code == 2
    assert "not sealed" in ended.err


def test_sign_then_verify(tmp_path: Path) -> None:
    (tmp_path / "note.txt").write_text("hello")
    signed = _json(tmp_path, "sign", "note.txt", "--type", "text/plain")
    assert signed["key_id"] == signer().public_key().key_id
    argv = ("verify", "note.txt.dsse.json", "--trust", TRUST)
    assert _json(tmp_path, *argv, "--type", "text/plain")["holds"] is True
    assert _run(tmp_path, *argv).code == 3


def test_sign_a_statement(tmp_path: Path) -> None:
    import base64

    made = ship(tmp_path)
    payload = base64.b64decode(json.loads(made.statement.read_text())["payload"])
    (tmp_path / "statement.json").write_bytes(payload)
    _json(tmp_path, "sign", "statement.json", "-o", "again.json")
    assert (tmp_path / "again.json").read_bytes() == made.statement.read_bytes()


@pytest.mark.parametrize("content", ["hello", "{}", "[]", '{"_type":1}'])
def test_sign_refuses_what_is_no_statement(tmp_path: Path, content: str) -> None:
    (tmp_path / "f").write_text(content)
    ended = _run(tmp_path, "sign", "f")
    assert ended.code == 2
    assert "--type" in ended.err
    assert _names(tmp_path) == {"f"}


def test_sign_refuses_large_files(tmp_path: Path) -> None:
    with (tmp_path / "f").open("wb") as stream:
        stream.truncate(9 * 1024 * 1024)
    assert _run(tmp_path, "sign", "f", "--type", "x/y").code == 2


def test_verify_lists_every_check(tmp_path: Path) -> None:
    made = ship(tmp_path)
    made.signed(expires=None)
    argv = ("verify", made.statement, "--bundle", made.sealed, "--trust", TRUST, "--app", "com.example.app")
    data = _json(tmp_path, *argv, "--public-key", "env:APP")
    assert {check["result"] for check in data["checks"]} == {"holds"}
    assert [check["name"] for check in data["checks"]][-2:] == ["opens", "files"]
    assert data["release"] == {"app": "com.example.app", "version": "1.2.3-beta.1"}


def test_verify_says_what_it_could_not_check(tmp_path: Path) -> None:
    made = ship(tmp_path)
    made.signed(expires=None)
    ended = _run(tmp_path, "verify", made.statement, "--trust", TRUST)
    assert ended.code == 0
    assert "not checked: app, seal, bundle" in ended.out


def test_verify_looks_into_a_gcm_seal(tmp_path: Path) -> None:
    made = ship(tmp_path, "aes-256-gcm")
    made.signed(expires=None)
    data = _json(tmp_path, "verify", made.statement, "--bundle", made.sealed, "--trust", TRUST, "--key", "env:P256")
    assert {check["name"]: check["result"] for check in data["checks"]}["opens"] == "holds"


def test_verify_takes_app_and_trust_of_the_policy(tmp_path: Path) -> None:
    _policy(tmp_path)
    made = ship(tmp_path)
    made.signed(expires=None)
    data = _json(tmp_path, "verify", made.statement)
    assert {check["name"]: check["result"] for check in data["checks"]}["app"] == "holds"


def test_verify_ends_with_3_when_something_does_not_hold(tmp_path: Path) -> None:
    made = ship(tmp_path)
    made.signed(expires=CREATED)
    ended = _run(tmp_path, "verify", made.statement, "--trust", TRUST, "--format", "json")
    assert ended.code == 3
    assert ended.data["holds"] is False


def _publish(folder: Path, **changes: Any) -> None:
    from otagate.store.registry import open_store

    made = ship(folder)
    made.signed(expires=None, **changes)
    store = open_store(f"file:{folder / 'store'}")
    store.blobs.put(made.release.sealed.blob, made.sealed)
    store.documents.create("apps/com.example.app/releases/1.2.3-beta.1.json", made.statement.read_bytes())


def test_verify_a_version_in_the_store(tmp_path: Path) -> None:
    _policy(tmp_path)
    _publish(tmp_path)
    data = _json(tmp_path, "verify", "1.2.3-beta.1", "--public-key", "env:APP")
    assert data["subject"] == "apps/com.example.app/releases/1.2.3-beta.1.json"
    assert {check["result"] for check in data["checks"]} == {"holds"}
    assert [check["name"] for check in data["checks"]][-3:] == ["bundle", "opens", "files"]


def test_verify_a_version_whose_statement_is_not_ours(tmp_path: Path) -> None:
    _policy(tmp_path)
    _publish(tmp_path)
    other = signer("ed25519_other").public_key()
    from otagate.seal.trust import trust_line

    ended = _run(tmp_path, "verify", "1.2.3-beta.1", TRUST=trust_line(other))
    assert ended.code == 3
    assert "signature" in ended.out


@pytest.mark.parametrize(
    ("argv", "code", "words"),
    [
        (("verify", "9.9.9"), 2, "never published"),
        (("verify", "no-such-file"), 2, "there is no such file"),
        (("encrypt", "none.zip"), 2, "No such file"),
        (("encrypt", "."), 2, "Is a directory"),
        (("encrypt", "f", "--seal", "aes-256-gcm", "--recipient", "env:P256_PUBLIC"), 2, "--version"),
        (("encrypt", "f", "--key", "env:P256"), 2, "RSA-2048"),
        (("encrypt", "f", "--key", "literal"), 2, "env:NAME or file:PATH"),
        (("encrypt", "f", "-o", "none/x"), 2, "no such folder"),
        (("sign", "none", "--type", "x/y"), 2, "No such file"),
        (("sign", "f", "--type", "x/y", "--key", "env:UNSET"), 2, "the variable is not set"),
        (("sign", "f", "--type", "x/y", "--key", "awskms:x"), 2, "not in this version"),
        (("decrypt", "f", "-o", "x"), 2, "--session-key, --checksum, --public-key missing"),
        (("decrypt", "f", "-o", "x", "--session-key", "a:b", "--checksum", "c", "--public-key", "env:P256"), 2, "private key"),
        (("decrypt", "f", "-o", "x", "--session-key", "a:b", "--checksum", "c", "--public-key", "none"), 2, "No such file"),
        (("decrypt", "f", "-o", "x", "--session-key", "a:b", "--checksum", "c", "--public-key", "env:APP"), 3, "session key"),
        (("decrypt", "f", "-o", "x", "--key", golden().private_pem), 2, "looks like a secret"),
        (("keys", "create", "--out", "f"), 2, "a file"),
        (("keys",), 2, "create|show"),
    ],
)
def test_what_a_user_can_get_wrong(tmp_path: Path, argv: tuple[str, ...], code: int, words: str) -> None:
    _policy(tmp_path)
    (tmp_path / "f").write_text("x")
    ended = _run(tmp_path, *argv)
    assert ended.code == code, ended
    assert words in ended.err
    assert _names(tmp_path) == {"f", "otagate.yml"}


def test_a_version_without_a_policy(tmp_path: Path) -> None:
    ended = _run(tmp_path, "verify", "1.0.0", "--trust", TRUST)
    assert ended.code == 2
    assert "needs a policy" in ended.err


@pytest.mark.parametrize(
    "argv",
    [
        ("encrypt", "f"),
        ("sign", "f"),
        ("decrypt", "f", "-o", "x"),
    ],
)
def test_a_dry_run_touches_nothing(tmp_path: Path, argv: tuple[str, ...]) -> None:
    (tmp_path / "f").write_text("x")
    ended = _run(tmp_path, *argv, "--dry-run")
    assert ended.code == 0, ended
    assert "write" in ended.out
    assert _names(tmp_path) == {"f"}
