"""The AES-256-GCM seal against an independent JOSE library (npm ``jose``) and WebCrypto, both ways."""

from __future__ import annotations

import hashlib
import json
import subprocess
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from otagate.model import AppId, Digest, Sealed, Version
from otagate.seal.gcm import additional_data, open_gcm, seal_gcm
from otagate.seal.recipients import load_recipient
from support import js
from support.keys import key

pytestmark = pytest.mark.integration

APP, VERSION, CONTENT = AppId("com.example.app"), Version("1.0.0"), Digest.of(b"manifest")
DATA = hashlib.shake_128(b"a bundle").digest(3 * 1024 * 1024 + 5)
ALGORITHMS = {
    "rsa2048_pkcs8": "RSA-OAEP-256",
    "p256": "ECDH-ES+A256KW",
    "p384": "ECDH-ES+A256KW",
    "p521": "ECDH-ES+A256KW",
}


def _public(name: str) -> str:
    return key(f"{name.removesuffix('_pkcs8')}_public")


def _node(script: str, given: dict[str, Any], folder: Path) -> js.Ended:
    js.modules()
    done = subprocess.run(
        [js.tool("node"), js.PACKAGES / script],
        input=json.dumps(given).encode(),
        cwd=js.PACKAGES,
        env=js.environ(folder),
        capture_output=True,
        timeout=60,
        check=False,
    )
    return js.Ended(done.returncode, done.stdout.decode(), done.stderr.decode())


def _seal(folder: Path, *names: str) -> Sealed:
    (folder / "clear").write_bytes(DATA)
    return seal_gcm(
        folder / "clear",
        folder / "sealed",
        [load_recipient(_public(name), name) for name in names],
        clear=Digest.of(DATA),
        app=APP,
        version=VERSION,
        content=CONTENT,
    )


def _opened_by_jose(folder: Path, sealed: Sealed, name: str) -> js.Ended:
    given = {
        "jwe": sealed.wrapped_key,
        "key": key(name),
        "algorithm": ALGORITHMS[name],
        "iv": sealed.iv,
        "additionalData": sealed.additional_data,
        "sealed": str(folder / "sealed"),
        "clear": str(folder / "opened"),
    }
    return _node("open-gcm.mjs", given, folder)


@pytest.mark.parametrize("name", ALGORITHMS)
def test_jose_and_webcrypto_open_what_we_seal(tmp_path: Path, name: str) -> None:
    done = _opened_by_jose(tmp_path, _seal(tmp_path, name), name)
    assert done.code == 0, done
    assert json.loads(done.stdout) == {"enc": "A256GCM", "kty": "oct", "alg": "A256GCM"}
    assert (tmp_path / "opened").read_bytes() == DATA


@pytest.mark.parametrize("name", ALGORITHMS)
def test_each_of_several_recipients_opens_it(tmp_path: Path, name: str) -> None:
    done = _opened_by_jose(tmp_path, _seal(tmp_path, *ALGORITHMS), name)
    assert done.code == 0, done
    assert (tmp_path / "opened").read_bytes() == DATA


def _changed(sealed: Sealed, folder: Path, what: str) -> Sealed:
    if what == "a flipped byte":
        data = bytearray((folder / "sealed").read_bytes())
        data[len(data) // 2] ^= 1
        (folder / "sealed").write_bytes(data)
    other = additional_data(APP, Version("2.0.0"), CONTENT)
    return {
        "a flipped byte": sealed,
        "another release": replace(sealed, additional_data=other),
        "another nonce": replace(sealed, iv="AAAAAAAAAAAAAAAA"),
        "another key": replace(sealed, wrapped_key=_seal(folder / "other", "p256").wrapped_key),
        "another recipient": replace(sealed, wrapped_key=_seal(folder / "other", "p384").wrapped_key),
    }[what]


@pytest.mark.parametrize("what", ["a flipped byte", "another release", "another nonce", "another key", "another recipient"])
def test_they_refuse_what_we_refuse(tmp_path: Path, what: str) -> None:
    (tmp_path / "other").mkdir()
    done = _opened_by_jose(tmp_path, _changed(_seal(tmp_path, "p256"), tmp_path, what), "p256")
    assert done.code == 3, done
    assert not (tmp_path / "opened").exists()


@pytest.mark.parametrize("names", [("rsa2048_pkcs8",), ("p256",), ("p521",), tuple(ALGORITHMS)], ids=len)
def test_we_open_what_they_seal(tmp_path: Path, names: tuple[str, ...]) -> None:
    (tmp_path / "clear").write_bytes(DATA)
    bound = additional_data(APP, VERSION, CONTENT)
    given = {
        "publicKeys": [{"pem": _public(name), "algorithm": ALGORITHMS[name]} for name in names],
        "additionalData": bound,
        "clear": str(tmp_path / "clear"),
        "sealed": str(tmp_path / "sealed"),
    }
    done = _node("seal-gcm.mjs", given, tmp_path)
    assert done.code == 0, done
    made = json.loads(done.stdout)
    for name in names:
        found = open_gcm(
            tmp_path / "sealed",
            tmp_path / "opened",
            wrapped_key=made["jwe"],
            private_key=key(name),
            iv=made["iv"],
            additional_data=bound,
        )
        assert found == Digest.of(DATA)
