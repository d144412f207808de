"""One small web build, bundled and sealed by us: what the tests hand to other people's implementations."""

from __future__ import annotations

import json
import random
from dataclasses import dataclass
from pathlib import Path

from otagate.bundle.archive import write_archive
from otagate.bundle.collect import collect
from otagate.model import Bundle, Sealed
from otagate.policy.model.bundles import BundleSpec
from otagate.seal.capgo import seal_capgo
from otagate.seal.keys import CreatedKeys, create_keys, load_rsa_private

APP_ID = "com.example.otagate.quickstart"
NOWHERE = "http://127.0.0.1:9"
"""The discard port: nothing listens, so a tool that tries to phone home fails at once."""


@dataclass(frozen=True, slots=True)
class Shipment:
    """A web build in each of its forms."""

    web: Path
    archive: Path
    bundle: Bundle
    encrypted: Path
    sealed: Sealed
    keys: CreatedKeys


def write_web(folder: Path) -> Path:
    """Write a web build that has some of everything: text, noise, nothing, depth, and a name beyond ASCII."""
    noise = random.Random(8)
    contents = {
        "index.html": b"<!doctype html><script type=module src=assets/main.js></script>\n",
        "assets/main.js": b"CapacitorUpdater.notifyAppReady();\n"
        + b"export const walk = (length, climb) => length + climb;\n" * 4000,
        "assets/photo.jpg": b"\xff\xd8\xff" + noise.randbytes(70_000),
        "assets/empty.txt": b"",
        "assets/deep/er/still/data.json": json.dumps([noise.random() for _ in range(500)]).encode(),
        "assets/h\u00e9l\u00e8ne \u5c71.svg": b"<svg xmlns='http://www.w3.org/2000/svg'/>",
    }
    for name, content in contents.items():
        (folder / name).parent.mkdir(parents=True, exist_ok=True)
        (folder / name).write_bytes(content)
    return folder


def ship(folder: Path) -> Shipment:
    """Make a web build and keys below ``folder``, bundle and seal it."""
    web = write_web(folder / "www")
    keys = create_keys(folder / "keys")
    archive, encrypted = folder / "bundle.zip", folder / "sealed.zip"
    bundle = write_archive(collect(web, BundleSpec()), archive)
    private = load_rsa_private(keys.encryption.read_text(), str(keys.encryption))
    sealed = seal_capgo(archive, encrypted, private, clear=bundle.archive)
    return Shipment(web, archive, bundle, encrypted, sealed, keys)


def flip(data: bytes, index: int) -> bytes:
    """Give a copy with one bit turned over."""
    changed = bytearray(data)
    changed[index] ^= 1
    return bytes(changed)
