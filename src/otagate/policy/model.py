"""A policy after parsing: frozen values, every default filled in. Inner code never sees YAML or a dict."""

from __future__ import annotations

from dataclasses import dataclass, field
from datetime import timedelta
from decimal import Decimal
from enum import StrEnum
from pathlib import Path

from otagate.model import AppId, ChannelName, Weight
from otagate.policy.source_model import VendorSource


class SealFormat(StrEnum):
    """How the zip is sealed for devices."""

    CAPGO = "capgo"
    AES_256_GCM = "aes-256-gcm"
    NONE = "none"


class Action(StrEnum):
    """What a failed gate does, weakest first."""

    ALERT = "alert"
    PAUSE = "pause"
    ROLLBACK = "rollback"


class OnInsufficient(StrEnum):
    """What happens when ``max_wait`` is over and there are still too few devices."""

    PAUSE = "pause"
    APPROVE = "approve"
    PASS_IF_ZERO_BAD = "pass_if_zero_bad"  # noqa: S105 - a policy word


class Evaluate(StrEnum):
    """When a gate's planned look is."""

    SOAK_END = "soak_end"
    PHASE_END = "phase_end"
    AT_AGE = "at_age"
    """Once, at the first look after the release has been ``GateSpec.at_age`` in its phase; and at the phase's end."""


class Split(StrEnum):
    """What a split check compares with the weight: the share of the channel's devices that have it, or were offered it."""

    EQUAL = "equal"
    """It must equal the weight: for sources that count who was chosen."""
    AT_MOST = "at_most"
    """It must not exceed the weight: for sources that count who runs it already, our telemetry among them."""


@dataclass(frozen=True, slots=True)
class FileSource:
    """Counts from a JSON file. ``path`` may hold the placeholders of docs/gates.md, such as ``{metric}``."""

    path: str


@dataclass(frozen=True, slots=True)
class CommandSource:
    """Counts from the standard output of a command; an argument list, run without a shell in ``app.dir``."""

    argv: tuple[str, ...]
    timeout: timedelta = timedelta(seconds=15)


@dataclass(frozen=True, slots=True)
class HttpSource:
    """Counts from a JSON answer.

    Attributes:
        url: http(s), with placeholders.
        bad: Dotted path to the bad count in the answer, such as ``data.crashed`` or ``rows[0].bad``; with ``total``.
        total: Dotted path to the total.
        value: Dotted path to a plain number, instead of both, for gates with ``value``.
        newest_at: Dotted path to an RFC 3339 instant, or None.
        method: ``GET`` or ``POST``.
        headers: Name to value; a value may be ``env:NAME`` or ``file:PATH``.
        body: JSON text with placeholders, or None.
    """

    url: str
    bad: str | None = None
    total: str | None = None
    newest_at: str | None = None
    value: str | None = None
    method: str = "GET"
    headers: tuple[tuple[str, str], ...] = ()
    body: str | None = None
    timeout: timedelta = timedelta(seconds=15)


@dataclass(frozen=True, slots=True)
class TelemetrySpec:
    """Where counts of devices are read from; exactly one of the two.

    Attributes:
        server: Address of an ``otagate serve``, such as ``https://updates.example.com``.
        token: Reference (``env:NAME``, ``file:PATH``) to a token with the ``metrics`` verb, with ``server``.
        database: Reference or URL of the database itself; a password belongs into a reference.
    """

    server: str | None = None
    token: str | None = None
    database: str | None = None


@dataclass(frozen=True, slots=True)
class TelemetrySource:
    """Counts of devices from ``telemetry`` of the policy: what a gate has by itself when the policy says where they are."""

    spec: TelemetrySpec
    metric: str | None = None
    """The metric's name there, when the gate has another; see docs/gates.md."""
    platform: str | None = None
    plugin: str | None = None
    failures: tuple[str, ...] = ("boot", "integrity", "refusal")
    """Which classes of failed installs ``device_success_rate`` counts against the bundle; ``network`` may be added."""


Source = FileSource | CommandSource | HttpSource | TelemetrySource | VendorSource


@dataclass(frozen=True, slots=True)
class Escalation:
    """A worse limit of the same metric with a stronger action."""

    above: Decimal
    action: Action


@dataclass(frozen=True, slots=True)
class Limit:
    """An exceedance limit: at most ``max_share`` of the devices may take longer than ``over``."""

    over: timedelta
    max_share: Decimal
    action: Action


@dataclass(frozen=True, slots=True)
class ValueLimit:
    """Bounds of a plain number, such as a latency in milliseconds; at least one of them."""

    max: Decimal | None = None
    min: Decimal | None = None


@dataclass(frozen=True, slots=True)
class GateSpec:
    """One metric's thresholds. Shares are exact decimals 0..1.

    Exactly one of these shapes: ``max`` (a share of bad devices), ``min`` (a share of good devices: the measurement then counts
    the GOOD ones' complement, so sources always report bad and total), ``limits``, ``max_increase`` (against devices that are
    served the previous release at the same time), ``split`` (the share of devices that have it, against the weight), or
    ``value`` (a plain number).

    Attributes:
        metric: Name, such as ``crash_rate``.
        max: Largest tolerated share of bad devices, or None.
        min: Smallest tolerated share of good devices, or None (then bad share must stay below ``1 - min``).
        target: Between target and limit the verdict is warn. A share of bad devices with ``max``, of good ones with ``min``.
        action: What a fail does.
        min_sample: Devices needed at the planned look.
        maturity: How old a device's installation must be to count (sources get a window that ends that much earlier).
        escalate: A worse limit with a stronger action, or None.
        evaluate: When the planned look is.
        limits: Exceedance limits; empty for the other shapes.
        source: Where its counts come from, or None when the policy names none.
        dry_run: Measured and shown, never acted on.
        max_increase: By how much the rate of bad devices may exceed that of the control devices: 0.5 is one and a half times.
        split: What the share of devices is compared with, or None.
        value: Bounds of a plain number, or None. Its action is pause at most.
        consecutive: So many looks in a row, over at least 15 minutes, must find ``value`` out of bounds before it acts.
        prove: Pass only when the devices prove that the share is below the limit; otherwise the estimate decides.
        phases: Names of the phases in which the gate counts; empty: in all.
        at_age: With ``evaluate`` AT_AGE, after how long in its phase.
    """

    metric: str
    max: Decimal | None = None
    min: Decimal | None = None
    target: Decimal | None = None
    action: Action = Action.PAUSE
    min_sample: int = 100
    maturity: timedelta = timedelta(0)
    escalate: Escalation | None = None
    evaluate: Evaluate = Evaluate.SOAK_END
    limits: tuple[Limit, ...] = ()
    source: Source | None = None
    dry_run: bool = False
    max_increase: Decimal | None = None
    split: Split | None = None
    value: ValueLimit | None = None
    consecutive: int = 3
    prove: bool = False
    phases: tuple[str, ...] = ()
    at_age: timedelta | None = None

    def counts_in(self, phase: PhaseSpec) -> bool:
        """Tell whether the gate is measured and judged in a phase."""
        named = phase.gates is None or self.metric in phase.gates
        return named and (not self.phases or phase.name in self.phases)


@dataclass(frozen=True, slots=True)
class PhaseSpec:
    """One step of a track: a channel, the weights it ramps through, and how long each is watched."""

    name: str
    channel: ChannelName
    weights: tuple[Weight, ...] = (Weight(10_000),)
    soak: timedelta = timedelta(hours=24)
    approve: bool = False
    allow_short_soak: bool = False
    max_wait: timedelta = timedelta(hours=72)
    """How long after the soak's end to wait for enough devices before ``on_insufficient``."""
    on_insufficient: OnInsufficient = OnInsufficient.PAUSE
    holdout: Weight = Weight(0)  # noqa: RUF009 - a frozen value
    """So many devices keep the previous release until the phase is over; its last weight is 100% less this."""
    ignore_windows: bool = False
    """Weights rise outside of ``windows`` and during freezes too: for hotfixes."""
    gates: tuple[str, ...] | None = None
    """Only these metrics count in this phase; None: all."""

    @property
    def ramp(self) -> tuple[Weight, ...]:
        """The weights that it goes through: those of the policy, with the hold-out taken off."""
        most = Weight(Weight(10_000).bps - self.holdout.bps)
        return tuple(dict.fromkeys(min(weight, most) for weight in self.weights))


@dataclass(frozen=True, slots=True)
class Window:
    """When weights may rise, every week, in local time.

    Attributes:
        days: 0 Monday to 6 Sunday, on which it opens.
        opens: Minutes after midnight, 0 to 1439.
        closes: Minutes after midnight of the same day, above ``opens``, up to 1440.
    """

    days: tuple[int, ...]
    opens: int = 0
    closes: int = 1440


@dataclass(frozen=True, slots=True)
class Freeze:
    """When no weight rises, in local time: ``start`` included, ``end`` excluded, each ``2026-12-20`` or ``2026-12-20T18:00``.

    A date alone is its midnight as ``start``, and the midnight after it as ``end``: both days are frozen.
    """

    start: str
    end: str
    reason: str = ""


@dataclass(frozen=True, slots=True)
class WindowsSpec:
    """When weights may rise. Judging, pausing and rolling back know no windows.

    Attributes:
        timezone: IANA name, such as ``Europe/Berlin``: local times follow its daylight saving.
        allow: Empty: always.
        freezes: Win over ``allow``.
    """

    timezone: str = "UTC"
    allow: tuple[Window, ...] = ()
    freezes: tuple[Freeze, ...] = ()


class NotifyKind(StrEnum):
    """Where a notification goes."""

    WEBHOOK = "webhook"
    """JSON, signed as Standard Webhooks says when there is a secret."""
    SLACK = "slack"
    TEAMS = "teams"
    APPRISE = "apprise"
    """Anything that the library of that name reaches; an extra."""


@dataclass(frozen=True, slots=True)
class NotifySpec:
    """One place that is told what happens.

    Attributes:
        name: Unique in the policy; names it in messages and remembers how far it was told.
        kind: What stands there.
        url: Reference (``env:NAME``, ``file:PATH``) to its address, which mostly holds a token.
        secret: Reference to the signing secret of a webhook, or None: unsigned.
        events: Globs over ledger kinds, such as ``rollout.*``.
    """

    name: str
    kind: NotifyKind
    url: str
    secret: str | None = None
    events: tuple[str, ...] = ("rollout.*", "gate.failed", "channel.rolled_back")


@dataclass(frozen=True, slots=True)
class TrackSpec:
    """An ordered list of phases that a branch ships through."""

    name: str
    phases: tuple[PhaseSpec, ...]


@dataclass(frozen=True, slots=True)
class BranchRule:
    """One line of ``branches``: exactly one of track and channel is set. ``channel`` may hold ``{number}`` and ``{branch}``."""

    pattern: str
    track: str | None = None
    channel: str | None = None
    start_at: str | None = None
    supersede: bool = False
    """A run of this rule ends a rollout that holds the channel it enters, also one that is not paused."""


@dataclass(frozen=True, slots=True)
class Judgement:
    """How gates are judged.

    Attributes:
        settle: Observations younger than this are not counted: metric backends are late and revise.
        evaluate_every: How often ``run --wait`` looks while it waits.
        no_data_grace: So long a gate may be without data before the rollout pauses.
        error_grace: So long a source may fail before the rollout pauses.
        max_staleness: An older newest observation is ``stale``.
        min_coverage: Share of a soak that data must cover.
        alpha_pause: Chance, over the whole rollout and all gating metrics, of pausing a release that is exactly at its limit.
        alpha_rollback: The same for rolling back.
    """

    settle: timedelta = timedelta(0)
    evaluate_every: timedelta = timedelta(minutes=30)
    no_data_grace: timedelta = timedelta(hours=6)
    error_grace: timedelta = timedelta(hours=2)
    max_staleness: timedelta = timedelta(hours=2)
    min_coverage: Decimal = Decimal("0.5")
    alpha_pause: Decimal = Decimal("0.05")
    alpha_rollback: Decimal = Decimal("0.01")


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


@dataclass(frozen=True, slots=True)
class CdnSpec:
    """What stands in front of the store and is told when something behind it changed. Any of them, or several.

    Attributes:
        cloudfront: Id of an Amazon CloudFront distribution.
        cloud_cdn: URL map of a Google Cloud CDN: ``projects/PROJECT/global/urlMaps/NAME``.
        front_door: Endpoint of an Azure Front Door:
            ``/subscriptions/…/resourceGroups/…/providers/Microsoft.Cdn/profiles/…/afdEndpoints/…``.
        webhook: Reference (``env:NAME`` or ``file:PATH``) to an address that gets the paths as JSON; it may hold a token.
        pointers: Devices, or an update server, read channel pointers through the CDN: after a move the public address is read
            until it shows the new pointer.
        wait: How long to wait for that.
    """

    cloudfront: str | None = None
    cloud_cdn: str | None = None
    front_door: str | None = None
    webhook: str | None = None
    pointers: bool = False
    wait: timedelta = timedelta(minutes=2)


@dataclass(frozen=True, slots=True)
class KeepSpec:
    """What ``prune`` leaves, besides all that a channel or a rollout names.

    Attributes:
        releases: The newest so many releases of each app.
        age: Releases younger than this.
        rollbacks: The last so many releases that each channel served, so that it can go back to them.
        grace: Nothing that was written within this time is removed, whatever it is.
        devices: What a device runs, or is to run, that was seen within this time; with ``telemetry``.
    """

    releases: int = 10
    age: timedelta = timedelta(days=30)
    rollbacks: int = 5
    grace: timedelta = timedelta(days=1)
    devices: timedelta = timedelta(days=30)


class AutoUpdate(StrEnum):
    """How far a release may be from the native version for a device to be moved to it; Capgo's ``disable_auto_update``."""

    ANY = "any"
    MAJOR = "major"
    """A release of another major version is refused."""
    MINOR = "minor"
    """Also one of another minor version."""
    PATCH = "patch"
    """Also one of another patch version."""


@dataclass(frozen=True, slots=True)
class ChannelRules:
    """Which devices a channel serves.

    Attributes:
        self_set: Devices may choose it by themselves (``setChannel``), and see it in ``listChannels``.
        platforms: Of ``ios``, ``android``, ``electron``.
        devices: Physical devices are served.
        emulators: Emulators and simulators are served.
        production: Production builds of the app are served.
        development: Development builds are served.
        under_native: Devices whose native version is above the release are moved to it nevertheless.
        downgrade: Devices that run a newer release are moved to it. False also keeps rollbacks from reaching them.
        stop_at: See AutoUpdate.
        min_plugin: Oldest plugin version that is served, ``major.minor.patch``, or None.
    """

    self_set: bool = False
    platforms: tuple[str, ...] = ("android", "electron", "ios")
    devices: bool = True
    emulators: bool = True
    production: bool = True
    development: bool = True
    under_native: bool = False
    downgrade: bool = True
    stop_at: AutoUpdate = AutoUpdate.ANY
    min_plugin: str | None = None


@dataclass(frozen=True, slots=True)
class ServerSpec:
    """What ``otagate serve`` needs to know about the app.

    Attributes:
        default_channel: What a device follows that names none, or None: it is told ``no_channel``.
        channels: Rules by channel; a channel without an entry has the default rules.
    """

    default_channel: str | None = None
    channels: dict[str, ChannelRules] = field(default_factory=dict)

    def rules(self, channel: str) -> ChannelRules:
        """Give a channel's rules."""
        return self.channels.get(channel, ChannelRules())


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
    keep: KeepSpec = KeepSpec()
    server: ServerSpec = ServerSpec()
    telemetry: TelemetrySpec | None = None
    windows: WindowsSpec = WindowsSpec()
    notify: tuple[NotifySpec, ...] = ()
    plugin_version: str | None = None
    """Version of @capgo/capacitor-updater that the app has installed, as found in its package.json or lock; None: not found."""
    origins: tuple[Origin, ...] = field(default=(), repr=False)
    warnings: tuple[str, ...] = ()
