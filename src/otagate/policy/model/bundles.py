"""From a web build to a sealed bundle: how it is made, what may go into it, its keys and whom to believe."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import timedelta
from enum import StrEnum


@dataclass(frozen=True, slots=True)
class BuildSpec:
    """How the web build is made.

    Attributes:
        command: Argument list, or one text for the shell, or None: use what is in ``output``.
        output: Folder with the built files, relative to ``app.dir``; None: Capacitor's ``webDir``.
        env: Names of further environment variables that the build may see (``*`` at the end matches a prefix).
        timeout: The build is ended after this long.
    """

    command: tuple[str, ...] | str | None = None
    output: str | None = None
    env: tuple[str, ...] = ()
    timeout: timedelta = timedelta(minutes=30)


@dataclass(frozen=True, slots=True)
class BundleSpec:
    """What may go into a bundle.

    Attributes:
        source_maps: Ship ``*.map`` files.
        allow: Globs of files that would otherwise be refused as secrets or clutter.
        exclude: Globs of files that are left out.
        max_files: Most files.
        max_size: Most bytes of all files together.
        max_file_size: Most bytes of one file.
        require_notify_app_ready: Refuse a build in which no script calls ``notifyAppReady``.
    """

    source_maps: bool = False
    allow: tuple[str, ...] = ()
    exclude: tuple[str, ...] = ()
    max_files: int = 20_000
    max_size: int = 2 * 1024**3
    max_file_size: int = 256 * 1024**2
    require_notify_app_ready: bool = True


class SealFormat(StrEnum):
    """How the zip is sealed for devices."""

    CAPGO = "capgo"
    AES_256_GCM = "aes-256-gcm"
    NONE = "none"


@dataclass(frozen=True, slots=True)
class SealSpec:
    """Seal and keys. Keys are references, ``env:NAME`` or ``file:PATH``; never key text.

    Attributes:
        encryption_key: Private RSA-2048 key for ``capgo``; unused otherwise.
        recipients: References to public keys (RSA or EC, PEM or JWK) for ``aes-256-gcm``.
        signing_key: Private ed25519 key that signs statements and pointers.
    """

    format: SealFormat = SealFormat.CAPGO
    encryption_key: str | None = None
    recipients: tuple[str, ...] = ()
    signing_key: str | None = None


@dataclass(frozen=True, slots=True)
class TrustSpec:
    """Whom to believe: ed25519 public keys, each ``ed25519:<base64>``, or ``env:``/``file:`` of a PEM."""

    keys: tuple[str, ...] = ()
    release_ttl: timedelta | None = None
    """A release may be promoted for so long after it was made; None: for ever."""
    pointer_ttl: timedelta = timedelta(days=30)
    """A channel pointer is valid for so long after it was written."""
