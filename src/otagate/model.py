"""The values that everything else speaks in: frozen, checked when made, free of IO.

Only the standard library is used here. Sizes are bytes, weights basis points, instants aware and in UTC.
"""

from __future__ import annotations

import hashlib
import re
from dataclasses import dataclass, field
from datetime import datetime
from typing import Self

from otagate.errors import UsageError

_HEX64 = re.compile(r"[0-9a-f]{64}")
# Source: semver.org 2.0.0, "Is there a suggested regular expression" (numeric parts bounded: devices parse them as integers).
_SEMVER = re.compile(
    r"(?P<major>0|[1-9][0-9]{0,8})\.(?P<minor>0|[1-9][0-9]{0,8})\.(?P<patch>0|[1-9][0-9]{0,8})"
    r"(?:-(?P<pre>(?:0|[1-9][0-9]*|[0-9]*[A-Za-z-][0-9A-Za-z-]*)(?:\.(?:0|[1-9][0-9]*|[0-9]*[A-Za-z-][0-9A-Za-z-]*))*))?"
    r"(?:\+(?P<build>[0-9A-Za-z-]+(?:\.[0-9A-Za-z-]+)*))?",
    re.ASCII,
)
_APP_ID = re.compile(r"[A-Za-z][A-Za-z0-9_-]*(?:\.[A-Za-z0-9_][A-Za-z0-9_-]*)+", re.ASCII)
_CHANNEL = re.compile(r"[A-Za-z0-9][A-Za-z0-9._-]{0,63}", re.ASCII)

MAX_VERSION_CHARS = 128
MAX_APP_ID_CHARS = 155
FULL_WEIGHT = 10_000
"""All devices, in basis points."""


@dataclass(frozen=True, slots=True, order=True)
class Digest:
    """A SHA-256, as 64 lower-case hex digits."""

    hex: str

    def __post_init__(self) -> None:
        if not _HEX64.fullmatch(self.hex):
            raise UsageError("this is not a SHA-256 digest", expected="64 lower-case hex digits", found=repr(self.hex[:80]))

    @classmethod
    def of(cls, data: bytes) -> Self:
        """Hash bytes."""
        return cls(hashlib.sha256(data).hexdigest())

    @classmethod
    def parse(cls, text: str) -> Self:
        """Read ``sha256:<hex>``."""
        return cls(text.removeprefix("sha256:"))

    def __str__(self) -> str:
        return f"sha256:{self.hex}"


@dataclass(frozen=True, slots=True)
class AppId:
    """An app id such as ``com.example.app``; safe as one path segment."""

    value: str

    def __post_init__(self) -> None:
        if len(self.value) > MAX_APP_ID_CHARS or not _APP_ID.fullmatch(self.value):
            raise UsageError(
                "this is not an app id",
                expected="two or more parts of letters, digits, '_' and '-' joined by dots, such as com.example.app",
                found=repr(self.value[:200]),
            )

    def __str__(self) -> str:
        return self.value


@dataclass(frozen=True, slots=True)
class Version:
    """A strict semantic version: what devices compare. Never reused for other bytes."""

    value: str

    def __post_init__(self) -> None:
        if len(self.value) > MAX_VERSION_CHARS or not _SEMVER.fullmatch(self.value):
            raise UsageError(
                "this is not a version that devices accept",
                expected="a semantic version such as 1.4.2 or 1.4.2-beta.1 (semver.org: no 'v' in front, no leading zeros)",
                found=repr(self.value[:200]),
                remedy="change `versioning` in the policy, or give --version",
            )

    def __str__(self) -> str:
        return self.value


@dataclass(frozen=True, slots=True)
class ChannelName:
    """The name of a channel; safe as one path segment."""

    value: str

    def __post_init__(self) -> None:
        if not _CHANNEL.fullmatch(self.value):
            raise UsageError(
                "this is not a channel name",
                expected="1 to 64 letters, digits, '.', '_' and '-', beginning with a letter or digit",
                found=repr(self.value[:200]),
            )

    def __str__(self) -> str:
        return self.value


@dataclass(frozen=True, slots=True, order=True)
class Weight:
    """A share of devices in basis points, 0 to 10000."""

    bps: int

    def __post_init__(self) -> None:
        if not 0 <= self.bps <= FULL_WEIGHT:
            raise UsageError("this is not a weight", expected="0% to 100%", found=f"{self.bps / 100:g}%")

    @classmethod
    def parse(cls, text: str) -> Self:
        """Read ``5%`` or ``0.25%``; finer than a hundredth of a percent is refused."""
        match = re.fullmatch(r"([0-9]{1,3})(?:\.([0-9]{1,2}))?\s*%", text.strip())
        if not match:
            raise UsageError("this is not a weight", expected="a percentage such as 5% or 0.25%", found=repr(text[:80]))
        return cls(int(match[1]) * 100 + int((match[2] or "").ljust(2, "0")))

    @property
    def is_full(self) -> bool:
        """Whether every device is in."""
        return self.bps == FULL_WEIGHT

    def __str__(self) -> str:
        whole, rest = divmod(self.bps, 100)
        return f"{whole}.{rest:02d}".rstrip("0") + "%" if rest else f"{whole}%"


@dataclass(frozen=True, slots=True)
class ReleaseRef:
    """Which release: its version, and the digest of the signed statement that stands under that version."""

    version: Version
    statement: Digest

    def __str__(self) -> str:
        return str(self.version)


@dataclass(frozen=True, slots=True)
class Candidate:
    """The release that a channel is ramping up."""

    release: ReleaseRef
    weight: Weight
    seed: str
    """32 hex digits; with the device id it decides who is in. It stays the same while the weight grows."""


@dataclass(frozen=True, slots=True)
class ChannelState:
    """What a channel pointer says.

    ``stable`` is None when devices are to run the bundle that was built into the native app.
    """

    app: AppId
    name: ChannelName
    serial: int
    """Only grows, by one a write."""
    stable: ReleaseRef | None
    candidate: Candidate | None = None
    paused: bool = False
    """While true no device is moved to a release that it does not run already."""
    previous: tuple[ReleaseRef | None, ...] = ()
    """What ``stable`` was before, newest first, at most ten; what a rollback goes back to."""
    blocked: tuple[Version, ...] = ()
    """Releases that were rolled back here: never served on this channel again."""
    withdrawn: Version | None = None
    """What the newest rollback took off, until something else is promoted: by it a repeated rollback is known again."""


@dataclass(frozen=True, slots=True)
class Context:
    """Where a run comes from, as the CI or git tells; see ``otagate.ci``. Texts are untrusted: a pull request can name them.

    Attributes:
        provider: ``github``, ``gitlab``, ``jenkins``, ``azure``, ``bitbucket``, ``circleci``, ``codebuild``, ``cloudbuild``,
            ``git`` or ``none``.
        commit: 40 lower-case hex digits (of a pull request: its head, not a merge commit), or None outside a checkout.
        branch: The branch that was pushed, or None on a tag or a pull request.
        tag: The tag that was pushed, or None.
        pull_request: The number of the pull or merge request, or None.
        source_branch: The pull request's own branch.
        target_branch: The branch that the pull request wants to go to.
        is_fork: The pull request comes from another repository, or that cannot be ruled out.
        repository: ``owner/name`` where the host has such a thing.
        run_id: The host's id of this run.
        run_url: Where a person can read this run.
        actor: Who started it.
        committed_at: The commit's committer date.
        is_dirty: The work tree differs from the commit.
        is_shallow: The checkout has no full history.
    """

    provider: str
    commit: str | None = None
    branch: str | None = None
    tag: str | None = None
    pull_request: int | None = None
    source_branch: str | None = None
    target_branch: str | None = None
    is_fork: bool = False
    repository: str | None = None
    run_id: str | None = None
    run_url: str | None = None
    actor: str | None = None
    committed_at: datetime | None = None
    is_dirty: bool = False
    is_shallow: bool = False

    @property
    def ref(self) -> str | None:
        """What branch rules match: ``tags/<tag>``, ``pulls/<n>``, the branch, or None."""
        if self.pull_request is not None:
            return f"pulls/{self.pull_request}"
        if self.tag is not None:
            return f"tags/{self.tag}"
        return self.branch


@dataclass(frozen=True, slots=True)
class FileEntry:
    """One file of a bundle.

    Attributes:
        path: POSIX path below the web root, NFC.
        size: Bytes.
        digest: Of the clear, uncompressed content.
    """

    path: str
    size: int
    digest: Digest


@dataclass(frozen=True, slots=True)
class Bundle:
    """Built files as one deterministic zip.

    Attributes:
        archive: Digest of the clear zip.
        archive_size: Bytes of the clear zip.
        files: Every file, sorted by path.
        content: Digest over the canonical list of (path, size, digest): the same whatever compressed it.
        compressor: What made the zip's bytes, such as ``libdeflate (deflate 0.9.0) level 6``.
    """

    archive: Digest
    archive_size: int
    files: tuple[FileEntry, ...]
    content: Digest
    compressor: str


@dataclass(frozen=True, slots=True)
class Sealed:
    """What goes to devices: the sealed zip and what they need to open and check it.

    Attributes:
        format: ``capgo``, ``aes-256-gcm`` or ``none``.
        blob: Digest of the bytes as stored.
        size: Bytes as stored.
        session_key: Capgo's ``<iv>:<wrapped key>`` or None.
        checksum_hex: Capgo checksum for plugins from 5.30, 6.30, 7.30 and 8 on, or None.
        checksum_base64: Capgo checksum for older plugins, or None.
        key_id: First 20 characters of the device's public key body, or None.
        iv: AES-GCM nonce, base64url without padding, or None.
        wrapped_key: The content key as a JWE (compact, or JSON when there are several recipients), or None.
        additional_data: What the AES-GCM tag binds besides the content, canonical JSON text, or None.
    """

    format: str
    blob: Digest
    size: int
    session_key: str | None = None
    checksum_hex: str | None = None
    checksum_base64: str | None = None
    key_id: str | None = None
    iv: str | None = None
    wrapped_key: str | None = None
    additional_data: str | None = None


@dataclass(frozen=True, slots=True)
class Release:
    """One bundle, published under one version: what the signed statement says.

    Attributes:
        serial: Grows with every release of the app.
        channels: The channels it may go to; empty means any.
        native_min: Oldest native version that can run it, or None.
        native_max: First native version that cannot, or None.
        provenance: SLSA v1 provenance predicate, as plain JSON.
    """

    app: AppId
    version: Version
    serial: int
    bundle: Bundle
    sealed: Sealed
    created: datetime
    expires: datetime | None = None
    commit: str | None = None
    channels: tuple[ChannelName, ...] = ()
    native_min: str | None = None
    native_max: str | None = None
    provenance: dict[str, object] = field(default_factory=dict)
