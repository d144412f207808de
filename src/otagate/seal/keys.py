"""Making a pair of keys for encryption and one for signing; and the door to everything else about keys."""

from __future__ import annotations

import os
import secrets
from contextlib import suppress
from dataclasses import dataclass, field
from pathlib import Path

from otagate._fs import TEMP_PREFIX, fsync_dir, translate
from otagate._text import harmless
from otagate.errors import ConflictError, UsageError
from otagate.seal.ed25519 import public_key
from otagate.seal.loading import (
    RSA_BITS,
    RSA_EXPONENT,
    key_id,
    load_ed25519_private,
    load_rsa_private,
    load_rsa_public,
    rsa_public_pem_pkcs1,
)
from otagate.seal.references import read_reference
from otagate.seal.trust import public_pem, trust_line

__all__ = [
    "FILE_NAMES",
    "CreatedKeys",
    "create_keys",
    "key_id",
    "load_ed25519_private",
    "load_rsa_private",
    "load_rsa_public",
    "read_reference",
    "rsa_public_pem_pkcs1",
]

ENCRYPTION = "encryption.pem"
ENCRYPTION_PUBLIC = "encryption.pub.pem"
SIGNING = "signing.pem"
SIGNING_PUBLIC = "signing.pub.pem"
FILE_NAMES = (ENCRYPTION, ENCRYPTION_PUBLIC, SIGNING, SIGNING_PUBLIC)
"""What :func:`create_keys` writes: private and public key for encryption, then for signing."""
_MODE = 0o600
_FOLDER_MODE = 0o700


@dataclass(frozen=True, slots=True)
class CreatedKeys:
    """New keys: where they are, and their public parts.

    Attributes:
        encryption: Private RSA-2048 key, PKCS#1 PEM.
        encryption_public: Its public part, PKCS#1 PEM.
        signing: Private ed25519 key, PKCS#8 PEM.
        signing_public: Its public part, SubjectPublicKeyInfo PEM.
        encryption_public_pem: What goes to ``plugins.CapacitorUpdater.publicKey`` in the app.
        signing_public_pem: Text of ``signing_public``.
        key_id: The id that devices will send for the encryption key.
        trust: What goes to ``trust.keys`` in the policy: ``ed25519:<base64>``.
    """

    encryption: Path
    encryption_public: Path
    signing: Path
    signing_public: Path
    encryption_public_pem: str
    signing_public_pem: str
    key_id: str
    trust: str


@dataclass(frozen=True, slots=True)
class _Texts:
    """The four files' contents, in the order of ``FILE_NAMES``; never shown."""

    all: tuple[str, str, str, str] = field(repr=False)
    trust: str


def create_keys(folder: Path, *, force: bool = False) -> CreatedKeys:
    """Make new keys in ``folder``: four files that only their owner can read, whatever the umask.

    All four are written beside their places first, so that a full disk leaves no half a set.

    Args:
        folder: Made with mode 0700 when it is not there; one that is there keeps its mode.
        force: Replace keys that are there. Devices that hold the old public key cannot open what the new one seals.

    Raises:
        ConflictError: A key file is there and ``force`` is not given. Nothing was changed.
        AccessError, UnavailableError, UsageError: The folder cannot be written, is full, or is no folder.
    """
    if not force:
        _refuse_existing(folder)
    texts = _make()
    try:
        folder.parent.mkdir(parents=True, exist_ok=True)
        _make_folder(folder)
        _write_all(folder, texts, force=force)
    except FileExistsError as error:  # somebody else was faster, or the folder is a file
        if not folder.is_dir():
            found = "a file"
            raise UsageError(
                "keys cannot be made here", harmless(str(folder), 400), expected="a folder", found=found
            ) from error
        raise _taken(folder, "a key") from error
    except OSError as error:
        raise translate(error, "keys cannot be written", folder) from error
    encryption, encryption_public, signing, signing_public = (folder / name for name in FILE_NAMES)
    public = texts.all[1]
    return CreatedKeys(
        encryption, encryption_public, signing, signing_public, public, texts.all[3], key_id(public), texts.trust
    )


def _refuse_existing(folder: Path) -> None:
    there = [name for name in FILE_NAMES if os.path.lexists(folder / name)]
    if there:
        raise _taken(folder, ", ".join(there))


def _taken(folder: Path, found: str) -> ConflictError:
    return ConflictError(
        "keys are there already, and are not replaced",
        harmless(str(folder), 400),
        found=found,
        remedy="keep them, or choose another folder with --out; --force replaces them, and apps with the old key stop updating",
    )


def _make() -> _Texts:
    from cryptography.hazmat.primitives import serialization as form  # noqa: PLC0415 - heavy
    from cryptography.hazmat.primitives.asymmetric import ed25519, rsa  # noqa: PLC0415 - heavy

    encryption = rsa.generate_private_key(public_exponent=RSA_EXPONENT, key_size=RSA_BITS)
    signing = ed25519.Ed25519PrivateKey.generate()
    public = public_key(signing.public_key().public_bytes_raw(), SIGNING)
    bare = form.NoEncryption()
    return _Texts(
        (
            encryption.private_bytes(form.Encoding.PEM, form.PrivateFormat.TraditionalOpenSSL, bare).decode(),
            rsa_public_pem_pkcs1(encryption),
            signing.private_bytes(form.Encoding.PEM, form.PrivateFormat.PKCS8, bare).decode(),
            public_pem(public),
        ),
        trust_line(public),
    )


def _make_folder(folder: Path) -> None:
    with suppress(FileExistsError):
        folder.mkdir(mode=_FOLDER_MODE)
        folder.chmod(_FOLDER_MODE)  # a umask such as 0777 would have taken the owner's rights, too
        return
    if not folder.is_dir():
        raise FileExistsError


def _write_all(folder: Path, texts: _Texts, *, force: bool) -> None:
    temps = [folder / f"{TEMP_PREFIX}{secrets.token_hex(8)}" for _ in FILE_NAMES]
    try:
        for temp, text in zip(temps, texts.all, strict=True):
            _write_private(temp, text)
        targets = [folder / name for name in FILE_NAMES]
        if force:
            for temp, target in zip(temps, targets, strict=True):
                temp.replace(target)
        else:
            _link_all(temps, targets)
    finally:
        for temp in temps:
            temp.unlink(missing_ok=True)
    fsync_dir(folder)


def _link_all(temps: list[Path], targets: list[Path]) -> None:
    """Put every file in its place, or none: a link refuses a name that is taken, unlike a rename."""
    done: list[Path] = []
    try:
        for temp, target in zip(temps, targets, strict=True):
            os.link(temp, target)
            done.append(target)
    except OSError:
        for target in done:
            target.unlink()
        raise


def _write_private(path: Path, text: str) -> None:
    # The mode is given at creation, so there is no moment at which somebody else could open the file.
    handle = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_NOFOLLOW | os.O_CLOEXEC, _MODE)
    with os.fdopen(handle, "wb") as stream:
        os.fchmod(handle, _MODE)
        stream.write(text.encode())
        stream.flush()
        os.fsync(handle)
