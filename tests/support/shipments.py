"""A whole release on disk: clear zip, sealed zip and signed statement, each as the product makes them."""

from __future__ import annotations

import zipfile
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

from otagate.bundle.inspect import read_archive
from otagate.model import Bundle, Digest, Release
from otagate.seal.dispatch import seal_bundle
from otagate.seal.dsse import sign_envelope
from otagate.seal.statement import PAYLOAD_TYPE, to_statement
from support.keys import golden, key, signer
from support.releases import content_of, full_release

ENVIRON = {"RSA": golden().private_pem, "P256": key("p256_public")}


@dataclass(frozen=True, slots=True)
class Shipment:
    """Files of one release, and what its statement says."""

    clear: Path
    sealed: Path
    statement: Path
    release: Release

    def signed(self, by: str = "ed25519", **changes: Any) -> Path:
        """Write the statement anew, with other content, signed by one of the throw-away keys."""
        payload = to_statement(replace(self.release, **changes))
        self.statement.write_bytes(sign_envelope(PAYLOAD_TYPE, payload, signer(by)))
        return self.statement


def make_zip(path: Path, **contents: bytes) -> Path:
    """Write a zip that passes inspection; ``__`` in a name stands for a dot."""
    with zipfile.ZipFile(path, "w") as archive:
        for name, content in sorted(contents.items()):
            entry = zipfile.ZipInfo(name.replace("__", "."))
            entry.create_system, entry.external_attr = 3, 0o100644 << 16
            archive.writestr(entry, content)
    return path


def ship(folder: Path, seal: str = "capgo") -> Shipment:
    """Make a release with a seal of this format; signed by ``ed25519``, sealed for ``golden`` or ``p256``."""
    clear = make_zip(folder / "clear.zip", index__html=b"<html></html>", app__js=b"notifyAppReady()")
    entries, base = read_archive(clear), full_release()
    bundle = Bundle(Digest.of(clear.read_bytes()), clear.stat().st_size, entries, content_of(entries), "test")
    sealed = seal_bundle(
        clear,
        folder / "sealed.zip",
        format=seal,
        encryption_key="env:RSA",
        recipients=("env:P256",),
        bundle=bundle,
        app=base.app,
        version=base.version,
        environ=ENVIRON,
        base=folder,
    )
    made = Shipment(clear, folder / "sealed.zip", folder / "release.json", replace(base, bundle=bundle, sealed=sealed))
    made.signed()
    return made
