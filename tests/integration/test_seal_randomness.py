"""Two thousand seals: no key, IV or nonce comes twice, and every single bit of them varies."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from tempfile import TemporaryDirectory

import pytest

from otagate.model import AppId, Digest, Version
from otagate.seal._base64url import decode
from otagate.seal.capgo import seal_capgo
from otagate.seal.gcm import seal_gcm
from otagate.seal.loading import load_rsa_private
from otagate.seal.recipients import load_recipient, load_recipient_private, unwrap_content_key
from support.keys import golden, key

pytestmark = pytest.mark.integration

COUNT = 1000
CLEAR = b"the same bytes each time"


@pytest.fixture
def folder(tmp_path: Path) -> Iterator[Path]:
    memory = Path("/dev/shm")  # syncing two thousand files to a disk would take most of the time
    with TemporaryDirectory(dir=memory if memory.is_dir() else tmp_path) as name:
        (Path(name) / "clear").write_bytes(CLEAR)
        yield Path(name)


def _bits(values: set[bytes]) -> tuple[int, int]:
    """Give the bits that are set in any value, and in all of them."""
    numbers = [int.from_bytes(value, "big") for value in values]
    some, every = 0, -1
    for number in numbers:
        some |= number
        every &= number
    return some, every


def _all_vary(values: set[bytes], size: int) -> None:
    assert len(values) == COUNT
    assert {len(value) for value in values} == {size}
    assert _bits(values) == ((1 << 8 * size) - 1, 0)


def test_no_iv_and_no_session_key_returns_in_capgo_seals(folder: Path) -> None:
    import base64

    private, clear = load_rsa_private(golden().private_pem, "k"), Digest.of(CLEAR)
    ivs, wrapped, blobs = set(), set(), set()
    for _ in range(COUNT):
        sealed = seal_capgo(folder / "clear", folder / "sealed", private, clear=clear)
        iv, session_key = str(sealed.session_key).split(":")
        ivs.add(base64.b64decode(iv))
        wrapped.add(session_key)  # deterministic: another text is another key
        blobs.add(sealed.blob)
    _all_vary(ivs, 16)
    assert len(wrapped) == len(blobs) == COUNT


def test_no_nonce_and_no_key_returns_in_gcm_seals(folder: Path) -> None:
    recipient, private = load_recipient(key("p256_public"), "r"), load_recipient_private(key("p256"), "k")
    clear, nonces, keys, blobs = Digest.of(CLEAR), set(), set(), set()
    for _ in range(COUNT):
        sealed = seal_gcm(
            folder / "clear",
            folder / "sealed",
            [recipient],
            clear=clear,
            app=AppId("a.b"),
            version=Version("1.0.0"),
            content=clear,
        )
        nonces.add(decode(str(sealed.iv)))
        keys.add(unwrap_content_key(str(sealed.wrapped_key), private, subject="x"))
        blobs.add(sealed.blob)
    _all_vary(nonces, 12)
    _all_vary(keys, 32)
    assert len(blobs) == COUNT
