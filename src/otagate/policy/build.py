"""A checked document to a Policy. Everything refusable was refused before: here values only change their type."""

from __future__ import annotations

import os
from decimal import Decimal
from pathlib import Path
from typing import Any

from otagate.model import AppId, ChannelName, Weight
from otagate.policy import defaults, values
from otagate.policy.app import AppFacts
from otagate.policy.build_sources import Readers, read, source_spec, telemetry_spec
from otagate.policy.build_windows import notify_specs, windows_spec
from otagate.policy.model.bundles import BuildSpec, BundleSpec, SealFormat, SealSpec, TrustSpec
from otagate.policy.model.gates import Action, Escalation, Evaluate, GateSpec, Judgement, Limit, Split, ValueLimit
from otagate.policy.model.policy import Policy
from otagate.policy.model.server import AutoUpdate, ChannelRules, ServerSpec
from otagate.policy.model.sources import Source, TelemetrySource, TelemetrySpec
from otagate.policy.model.stores import CdnSpec, KeepSpec
from otagate.policy.model.tracks import BranchRule, OnInsufficient, PhaseSpec, TrackSpec

_BUILD: Readers = {
    "command": lambda value: tuple(value) if isinstance(value, list) else value,
    "output": str,
    "env": tuple,
    "timeout": values.duration,
}
_BUNDLE: Readers = {
    "source_maps": bool,
    "allow": tuple,
    "exclude": tuple,
    "max_files": int,
    "max_size": values.size,
    "max_file_size": values.size,
    "require_notify_app_ready": bool,
}
_SEAL: Readers = {"format": SealFormat, "encryption_key": str, "recipients": tuple, "signing_key": str}
_TRUST: Readers = {"keys": tuple, "release_ttl": values.duration, "pointer_ttl": values.duration}
_CDN: Readers = {
    "cloudfront": str,
    "cloud_cdn": str,
    "front_door": str,
    "webhook": str,
    "pointers": bool,
    "wait": values.duration,
}
_KEEP: Readers = {
    "releases": int,
    "age": values.duration,
    "rollbacks": int,
    "grace": values.duration,
    "devices": values.duration,
}
_RULES: Readers = {
    "self_set": bool,
    "platforms": tuple,
    "devices": bool,
    "emulators": bool,
    "production": bool,
    "development": bool,
    "under_native": bool,
    "downgrade": bool,
    "stop_at": AutoUpdate,
    "min_plugin": str,
}
_JUDGEMENT: Readers = {
    "settle": values.duration,
    "evaluate_every": values.duration,
    "no_data_grace": values.duration,
    "error_grace": values.duration,
    "max_staleness": values.duration,
    "min_coverage": values.percent,
    "alpha_pause": values.percent,
    "alpha_rollback": values.percent,
}
_PHASE: Readers = {
    "weights": lambda texts: tuple(Weight.parse(text) for text in texts),
    "soak": values.duration,
    "approve": bool,
    "allow_short_soak": bool,
    "max_wait": values.duration,
    "on_insufficient": OnInsufficient,
    "holdout": Weight.parse,
    "ignore_windows": bool,
    "gates": tuple,
}
_GATE: Readers = {
    "max": values.percent,
    "min": values.percent,
    "target": values.percent,
    "action": Action,
    "min_sample": int,
    "maturity": values.duration,
    "escalate": lambda given: Escalation(values.percent(given["above"]), Action(given["action"])),
    "evaluate": lambda given: Evaluate.AT_AGE if isinstance(given, dict) else Evaluate(given),
    "limits": lambda given: tuple(_limit(limit) for limit in given),
    "max_increase": values.increase,
    "split": Split,
    "value": lambda given: ValueLimit(**read(given, {"max": values.number, "min": values.number})),
    "consecutive": int,
    "phases": tuple,
    "dry_run": bool,
}


def build_policy(data: dict[str, Any], file: Path, digest: str, facts: AppFacts) -> Policy:
    """Make the Policy that a document without problems says.

    ``file`` is absolute, ``digest`` the SHA-256 hex of its bytes; ``facts`` stand in for ``app.id`` and ``build.output``.
    """
    app = data.get("app", {})
    native = data.get("native", {})
    storage, *mirrors = storage_urls(data.get("storage", defaults.DEFAULT_STORAGE), file.parent)
    telemetry = telemetry_spec(data["telemetry"], file.parent) if "telemetry" in data else None
    return Policy(
        file=file,
        root=app_root(app.get("dir", "."), file),
        digest=digest,
        app=AppId(app.get("id") or (facts.app_id.value if facts.app_id else "")),
        build=_build(data.get("build", {}), facts),
        versioning=data.get("versioning", defaults.DEFAULT_VERSIONING),
        bundle=BundleSpec(**read(data.get("bundle", {}), _BUNDLE)),
        seal=_seal(data.get("seal", {})),
        trust=TrustSpec(**read(data.get("trust", {}), _TRUST)),
        storage=storage,
        mirrors=tuple(mirrors),
        documents=storage_url(data["documents"], file.parent) if "documents" in data else None,
        cdn=CdnSpec(**read(data["cdn"], _CDN)) if "cdn" in data else None,
        keep=KeepSpec(**read(data.get("keep", {}), _KEEP)),
        server=_server(data.get("server", {})),
        telemetry=telemetry,
        channels=data.get("channels", "hosted"),
        branches=tuple(BranchRule(pattern, **rule) for pattern, rule in data["branches"].items()),
        tracks={
            name: TrackSpec(name, tuple(_phase(phase) for phase in track)) for name, track in data.get("tracks", {}).items()
        },
        gates=build_gates(data.get("gates"), data.get("metrics"), telemetry),
        judgement=Judgement(**read(data.get("evaluation", {}), _JUDGEMENT)),
        windows=windows_spec(data.get("windows", {})),
        notify=notify_specs(data.get("notify", {})),
        native_min=native.get("min"),
        native_max=native.get("max"),
        plugin_version=facts.plugin_version.value if facts.plugin_version else None,
    )


def app_root(folder: str, file: Path) -> Path:
    """Give the app's folder: ``app.dir`` against the policy's folder."""
    return Path(os.path.abspath(file.parent / folder))  # noqa: PTH100 - resolve() fails on links in a circle


def storage_urls(given: str | list[str], folder: Path) -> list[str]:
    """Give the URLs of ``storage``, the store itself first, with folders resolved as :func:`storage_url` does."""
    return [storage_url(url, folder) for url in ([given] if isinstance(given, str) else given)]


def storage_url(url: str, folder: Path) -> str:
    """Resolve a ``file:`` URL against the policy's folder: ``file:store`` is ``file:/abs/store``; others stay as they are."""
    if not url.startswith("file:"):
        return url
    path = url.removeprefix("file:")
    if path.startswith("///"):
        path = path[2:]
    return f"file:{os.path.abspath(folder / path)}"  # noqa: PTH100 - resolve() fails on links in a circle


def build_gates(
    given: dict[str, Any] | None, metrics: dict[str, Any] | None, telemetry: TelemetrySpec | None = None
) -> tuple[GateSpec, ...]:
    """Make the effective gates: the defaults for None, completed ones otherwise.

    A gate without a source has ``telemetry`` when that can count it, and ``metrics`` otherwise.
    """
    fallback = source_spec(metrics) if metrics else None
    built = []
    for name, gate in defaults.effective_gates(given).items():
        source = TelemetrySource(telemetry) if telemetry and defaults.is_counted(name, gate) else fallback
        built.append(_gate(name, gate, source, telemetry))
    return tuple(built)


def default_gates() -> tuple[GateSpec, ...]:
    """Give the gates of a policy that names none, without a source."""
    return build_gates(None, None)


def _build(given: dict[str, Any], facts: AppFacts) -> BuildSpec:
    from_app = {"output": facts.web_dir.value} if facts.web_dir else {}
    return BuildSpec(**read({**from_app, **given}, _BUILD))


def _seal(given: dict[str, Any]) -> SealSpec:
    spec = read(given, _SEAL)
    if spec.get("format", SealFormat.CAPGO) is SealFormat.CAPGO:
        spec.setdefault("encryption_key", defaults.DEFAULT_ENCRYPTION_KEY)
    spec.setdefault("signing_key", defaults.DEFAULT_SIGNING_KEY)
    return SealSpec(**spec)


def _phase(given: dict[str, Any]) -> PhaseSpec:
    return PhaseSpec(given["phase"], ChannelName(given["channel"]), **read(given, _PHASE))


def _gate(name: str, given: dict[str, Any], fallback: Source | None, telemetry: TelemetrySpec | None) -> GateSpec:
    spec = read(given, _GATE)
    spec["prove"] = given.get("evidence") == "prove"
    if spec.get("evaluate") is Evaluate.AT_AGE:
        spec["at_age"] = values.duration(given["evaluate"]["at_age"])
    if spec.get("limits"):
        # Each limit acts for itself; the gate as a whole is as strong as the strongest.
        spec["action"] = max((limit.action for limit in spec["limits"]), key=list(Action).index)
    source = source_spec(given["source"], telemetry) if "source" in given else fallback
    return GateSpec(name, source=source, **spec)


def _limit(given: dict[str, Any]) -> Limit:
    share: Decimal = values.percent(given["max_share"])
    return Limit(values.duration(given["over"]), share, Action(given["action"]))


def _server(given: dict[str, Any]) -> ServerSpec:
    rules = {name: ChannelRules(**read(rule, _RULES)) for name, rule in given.get("channels", {}).items()}
    return ServerSpec(given.get("default_channel"), rules)
