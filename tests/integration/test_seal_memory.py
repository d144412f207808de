"""Sealing and opening stream: what a process needs does not grow with the bundle."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import pytest

from support.keys import golden, key

pytestmark = pytest.mark.integration

SCRIPT = """
import re, sys
from pathlib import Path
from otagate.cli.commands._material import digest_of
from otagate.model import AppId, Digest, Version
from otagate.seal.capgo import seal_capgo
from otagate.seal.capgo_open import open_capgo
from otagate.seal.gcm import open_gcm, seal_gcm
from otagate.seal.loading import load_rsa_private
from otagate.seal.recipients import load_recipient

folder, size = Path(sys.argv[1]), int(sys.argv[2])
with (folder / "clear").open("wb") as stream:
    stream.truncate(size)
clear = digest_of(folder / "clear")
rsa, public, private, recipient = ((folder / name).read_text() for name in ("rsa", "public", "private", "recipient"))
one = seal_capgo(folder / "clear", folder / "sealed", load_rsa_private(rsa, "k"), clear=clear)
assert open_capgo(
    folder / "sealed", folder / "opened", public_pem=public, session_key=one.session_key, checksum=one.checksum_hex
) == clear
two = seal_gcm(
    folder / "clear", folder / "sealed", [load_recipient(recipient, "r")],
    clear=clear, app=AppId("a.b"), version=Version("1.0.0"), content=clear,
)
assert open_gcm(
    folder / "sealed", folder / "opened",
    wrapped_key=two.wrapped_key, private_key=private, iv=two.iv, additional_data=two.additional_data,
) == clear
# Not ru_maxrss: that begins at what the process which started us had at its most.
print(re.search(r"VmHWM:\\s+(\\d+)", Path("/proc/self/status").read_text())[1])
"""


def _peak_kib(folder: Path, size: int) -> int:
    for name, text in (
        ("rsa", golden().private_pem),
        ("public", golden().public_pem),
        ("private", key("p256")),
        ("recipient", key("p256_public")),
    ):
        (folder / name).write_text(text)
    done = subprocess.run([sys.executable, "-c", SCRIPT, str(folder), str(size)], capture_output=True, check=True, timeout=120)
    return int(done.stdout)


def test_memory_is_flat(tmp_path: Path) -> None:
    small, large = _peak_kib(tmp_path, 4 * 1024**2), _peak_kib(tmp_path, 80 * 1024**2)
    assert large < 150 * 1024
    assert large - small < 8 * 1024
