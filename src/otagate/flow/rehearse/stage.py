"""From a policy to one that is rehearsed: the same tracks, gates and windows, with throw-away keys, app and telemetry."""

from __future__ import annotations

from collections.abc import Collection, Mapping
from dataclasses import dataclass, replace
from functools import cache
from pathlib import Path

from otagate._text import harmless, nearest
from otagate.errors import UsageError
from otagate.flow.rehearse.assumed import COUNTED_AS
from otagate.policy.model.bundles import BuildSpec, BundleSpec, SealFormat, SealSpec
from otagate.policy.model.gates import GateSpec
from otagate.policy.model.policy import Policy
from otagate.policy.model.server import ServerSpec
from otagate.policy.model.sources import TelemetrySource, TelemetrySpec
from otagate.policy.model.tracks import BranchRule
from otagate.telemetry.metrics import METRICS

NATIVE, BEFORE, UNDER_TEST = "1.0.0", "1.0.1", "1.0.2"
"""The app in the store; the release that all devices run; the release that is rolled out."""
BRANCH = "main"
_KEY = "REHEARSAL_SIGNING_KEY"
_PAGE = "<!doctype html><title>{version}</title><script src='app.js'></script>"
_SCRIPT = "CapacitorUpdater.notifyAppReady() // {version}"


@dataclass(frozen=True, slots=True)
class StageSet:
    """What a rehearsal plays on.

    Attributes:
        policy: To rehearse by.
        environ: With the throw-away key; nothing else.
        not_rehearsed: Metrics whose gates are left out: telemetry does not know them.
    """

    policy: Policy
    environ: Mapping[str, str]
    not_rehearsed: tuple[str, ...]


def find_track(policy: Policy, name: str | None) -> str:
    """Give the track that is meant: the named one, the only one, or that of the first rule of ``branches``.

    Raises:
        UsageError: There is no such track, or the policy has none.
    """
    if name is not None:
        if name not in policy.tracks:
            near = nearest(name, policy.tracks)
            raise UsageError(
                "there is no such track",
                repr(harmless(name, 80)),
                expected=f"one of {', '.join(policy.tracks)}" if policy.tracks else "a policy with tracks",
                remedy=f"did you mean {near}?" if near else "see `otagate policy explain`",
            )
        return name
    ruled = [rule.track for rule in policy.branches if rule.track is not None]
    found = next(iter([*ruled, *policy.tracks]), None)
    if found is None:
        remedy = "add a track with phases (docs/policy.md), and a rule of `branches` that ships along it"
        raise UsageError("there is no track to rehearse", policy.file.name, remedy=remedy)
    return found


def rehearsed_gates(
    policy: Policy, spec: TelemetrySpec, assumed: Collection[str] = ()
) -> tuple[tuple[GateSpec, ...], tuple[GateSpec, ...]]:
    """Give the gates over the rehearsal's telemetry, those of ``assumed`` metrics too, and those that it cannot answer."""
    gates, absent = [], []
    for gate in policy.gates:
        source = gate.source if isinstance(gate.source, TelemetrySource) else TelemetrySource(spec)
        if gate.metric in assumed:
            gates.append(replace(gate, source=TelemetrySource(spec, COUNTED_AS)))
        elif gate.value is not None or ((source.metric or gate.metric) not in METRICS and gate.split is None):
            absent.append(gate)
        else:
            gates.append(replace(gate, source=replace(source, spec=spec)))
    return tuple(gates), tuple(absent)


def make_stage(policy: Policy, track: str, folder: Path, assumed: Collection[str] = ()) -> StageSet:
    """Give what the rehearsal plays on; ``folder`` gets a tiny app, and later the telemetry's database."""
    signing, trusted = _keys()
    spec = TelemetrySpec(database=f"sqlite:///{folder / 'telemetry.db'}")
    gates, absent = rehearsed_gates(policy, spec, assumed)
    rehearsed = replace(
        policy,
        root=folder,
        build=BuildSpec(output="dist"),
        bundle=BundleSpec(),
        versioning="package",
        seal=SealSpec(SealFormat.NONE, signing_key=f"env:{_KEY}"),
        trust=replace(policy.trust, keys=(trusted,)),
        storage="memory:rehearsal",
        channels="hosted",
        mirrors=(),
        documents=None,
        cdn=None,
        notify=(),
        native_min=None,
        native_max=None,
        branches=(BranchRule(BRANCH, track=track),),
        gates=gates,
        telemetry=spec,
        server=_open_to_builds(policy, track),
    )
    return StageSet(rehearsed, {_KEY: signing}, tuple(gate.metric for gate in absent))


def _open_to_builds(policy: Policy, track: str) -> ServerSpec:
    """Let devices follow any channel of the track: in life testers choose one, or an operator gives them one."""
    names = [str(phase.channel) for phase in policy.tracks[track].phases]
    opened = {name: replace(policy.server.rules(name), self_set=True) for name in names}
    return replace(policy.server, channels={**policy.server.channels, **opened})


def write_app(folder: Path, version: str) -> None:
    """Write the files of a tiny app."""
    output = folder / "dist"
    output.mkdir(exist_ok=True)
    (output / "index.html").write_text(_PAGE.format(version=version), encoding="utf-8")
    (output / "app.js").write_text(_SCRIPT.format(version=version), encoding="utf-8")


@cache
def _keys() -> tuple[str, str]:
    """Make a key that lives as long as this process: its private part as PEM, its public part as a line of ``trust``."""
    from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey  # noqa: PLC0415 - heavy
    from cryptography.hazmat.primitives.serialization import Encoding, NoEncryption, PrivateFormat, PublicFormat  # noqa: PLC0415

    from otagate.seal.ed25519 import public_key  # noqa: PLC0415 - likewise
    from otagate.seal.trust import trust_line  # noqa: PLC0415 - likewise

    private = Ed25519PrivateKey.generate()
    text = private.private_bytes(Encoding.PEM, PrivateFormat.PKCS8, NoEncryption()).decode("ascii")
    raw = private.public_key().public_bytes(Encoding.Raw, PublicFormat.Raw)
    return text, trust_line(public_key(raw, "the rehearsal's key"))
