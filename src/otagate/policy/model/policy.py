"""The policy as a whole, and where each of its values came from."""

from __future__ import annotations

from dataclasses import dataclass, field
from pathlib import Path

from otagate.model import AppId
from otagate.policy.model.bundles import BuildSpec, BundleSpec, SealSpec, TrustSpec
from otagate.policy.model.gates import GateSpec, Judgement
from otagate.policy.model.notify import NotifySpec
from otagate.policy.model.server import ServerSpec
from otagate.policy.model.sources import TelemetrySpec
from otagate.policy.model.stores import CdnSpec, KeepSpec
from otagate.policy.model.tracks import BranchRule, TrackSpec
from otagate.policy.model.windows import WindowsSpec


@dataclass(frozen=True, slots=True)
class Origin:
    """Where an effective value came from: the policy file's line, a default, or a file of the app."""

    path: str
    """YAML path, such as ``tracks.production[0].soak``."""
    value: str
    source: str
    """``otagate.yml:12:9``, ``default``, or such as ``capacitor.config.json: appId``."""


@dataclass(frozen=True, slots=True)
class Policy:
    """Everything that ``otagate.yml`` says, complete.

    Attributes:
        file: The policy file.
        root: ``app.dir`` resolved against the policy's folder: where builds and relative paths start.
        digest: SHA-256 hex of the policy file's bytes.
        storage: URL, with relative ``file:`` paths already resolved against the policy's folder.
        mirrors: URLs of further stores that are kept equal, likewise resolved.
        documents: URL of the store that holds channels, rollouts and the ledger, when that is not ``storage``; likewise.
        gates: Effective gates; empty only when the policy says ``gates: {}``.
        origins: Every effective value with its source, in schema order.
        warnings: What is allowed but unwise, as messages with file:line:column.
    """

    file: Path
    root: Path
    digest: str
    app: AppId
    build: BuildSpec
    versioning: str
    bundle: BundleSpec
    seal: SealSpec
    trust: TrustSpec
    storage: str
    channels: str
    branches: tuple[BranchRule, ...]
    tracks: dict[str, TrackSpec]
    gates: tuple[GateSpec, ...]
    judgement: Judgement
    native_min: str | None = None
    native_max: str | None = None
    mirrors: tuple[str, ...] = ()
    documents: str | None = None
    cdn: CdnSpec | None = None
    keep: KeepSpec = field(default_factory=KeepSpec)
    server: ServerSpec = field(default_factory=ServerSpec)
    telemetry: TelemetrySpec | None = None
    windows: WindowsSpec = field(default_factory=WindowsSpec)
    notify: tuple[NotifySpec, ...] = ()
    plugin_version: str | None = None
    """Version of @capgo/capacitor-updater that the app has installed, as found in its package.json or lock; None: not found."""
    origins: tuple[Origin, ...] = field(default=(), repr=False)
    warnings: tuple[str, ...] = ()
