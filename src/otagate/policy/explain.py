"""Every effective value of a policy with where it came from. Pure."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import fields, is_dataclass
from datetime import timedelta
from decimal import Decimal
from enum import Enum
from typing import Any

from otagate._text import span
from otagate.policy.app import AppFacts
from otagate.policy.build_sources import VENDOR_KEYS
from otagate.policy.build_windows import DAYS, time_text
from otagate.policy.model.gates import GateSpec
from otagate.policy.model.policy import Origin, Policy
from otagate.policy.model.sources import CommandSource, FileSource, HttpSource, Source, TelemetrySource
from otagate.policy.model.vendors import CapgoSource, SentrySource, VendorSource
from otagate.policy.model.windows import WindowsSpec
from otagate.policy.problems import YamlPath, path_text
from otagate.policy.strict_yaml import Document
from otagate.policy.values import percent_text
from otagate.telemetry.metrics import DEVICE_SUCCESS

Row = tuple[YamlPath, str]
"""A YAML path and the effective value there, as a policy would write it."""

DEFAULT = "default"
_WITHOUT_ASK = (HttpSource, SentrySource, CapgoSource)


def origins(policy: Policy, document: Document, facts: AppFacts) -> tuple[Origin, ...]:
    """Trace every effective value to the policy's line, to a file of the app, or to a default; in schema order."""
    from_app = {
        ("app", "id"): facts.app_id,
        ("build", "output"): facts.web_dir,
        ("plugin_version",): facts.plugin_version,
    }
    result = []
    for path, text in _rows(policy):
        fact = from_app.get(tuple(str(part) for part in path))
        written = _written(path, document)
        if written is not None:
            place = document.values[written]
            source = f"{policy.file.name}:{place.line}:{place.column}"
        else:
            source = fact.source if fact else DEFAULT
        result.append(Origin(path_text(path), text, source))
    return tuple(result)


def _written(path: YamlPath, document: Document) -> YamlPath | None:
    """Find where the policy says a value: its own path, or ``telemetry`` or ``metrics`` for the source of a gate."""
    if path in document.values:
        return path
    is_source = len(path) > 2 and path[0] == "gates" and path[2] == "source"  # noqa: PLR2004 - gates.<name>.source
    if not is_source:
        return None
    if path[3:4] == ("telemetry",):
        inherited: YamlPath = path[3:]
    elif path[:3] not in document.values:
        inherited = ("metrics", *path[3:])
    else:
        return None
    return inherited if inherited in document.values else None


def _rows(policy: Policy) -> Iterator[Row]:
    yield ("version",), "1"
    yield ("app", "id"), str(policy.app)
    yield ("app", "dir"), str(policy.root)
    yield from _section(("build",), policy.build, show_unset=True)
    yield ("versioning",), policy.versioning
    yield from _section(("bundle",), policy.bundle, show_unset=True)
    yield from _section(("seal",), policy.seal, show_unset=True)
    yield from _section(("trust",), policy.trust, show_unset=True)
    yield from _store_rows(policy)
    yield ("channels",), policy.channels
    yield ("server", "default_channel"), _text(policy.server.default_channel)
    for channel, rules in policy.server.channels.items():
        yield from _section(("server", "channels", channel), rules)
    for rule in policy.branches:
        yield from _section(("branches", rule.pattern), rule, skip=("pattern",))
    for name, track in policy.tracks.items():
        for index, phase in enumerate(track.phases):
            yield ("tracks", name, index, "phase"), phase.name
            yield from _section(("tracks", name, index), phase, skip=("name",))
    yield from _gate_rows(policy)
    if policy.telemetry is None:
        yield ("telemetry",), _text(None)
    else:
        yield from _section(("telemetry",), policy.telemetry)
    yield from _section(("evaluation",), policy.judgement)
    yield from _window_rows(policy.windows)
    yield from _notify_rows(policy)
    for key, version in (("min", policy.native_min), ("max", policy.native_max)):
        yield ("native", key), _text(version)
    yield ("plugin_version",), _text(policy.plugin_version)


def _window_rows(windows: WindowsSpec) -> Iterator[Row]:
    yield ("windows", "timezone"), windows.timezone
    if not windows.allow:
        yield ("windows", "allow"), "always"
    for index, window in enumerate(windows.allow):
        path: YamlPath = ("windows", "allow", index)
        yield (*path, "days"), _text(tuple(DAYS[day] for day in window.days))
        yield (*path, "from"), time_text(window.opens)
        yield (*path, "to"), time_text(window.closes)
    for index, freeze in enumerate(windows.freezes):
        path = ("windows", "freeze", index)
        yield (*path, "from"), freeze.start
        yield (*path, "to"), freeze.end
        if freeze.reason:
            yield (*path, "reason"), freeze.reason


def _notify_rows(policy: Policy) -> Iterator[Row]:
    if not policy.notify:
        yield ("notify",), _text(None)
    for place in policy.notify:
        path: YamlPath = ("notify", place.name)
        yield (*path, place.kind.value), place.url
        yield from _section(path, place, skip=("name", "kind", "url"))


def _store_rows(policy: Policy) -> Iterator[Row]:
    if policy.mirrors:
        for index, url in enumerate((policy.storage, *policy.mirrors)):
            yield ("storage", index), url
    else:
        yield ("storage",), policy.storage
    yield ("documents",), _text(policy.documents)
    if policy.cdn is None:
        yield ("cdn",), _text(None)
    else:
        yield from _section(("cdn",), policy.cdn)
    yield from _section(("keep",), policy.keep)


def _gate_rows(policy: Policy) -> Iterator[Row]:
    if not policy.gates:
        yield ("gates",), _text(None)
    for gate in policy.gates:
        path: YamlPath = ("gates", gate.metric)
        yield from _section(path, gate, skip=("metric", "source", "prove", "at_age", "value", *_unfit(gate)))
        yield from _judging_rows(path, gate)
        if gate.source is not None:
            yield from _source_rows((*path, "source"), gate.source)


def _unfit(gate: GateSpec) -> tuple[str, ...]:
    """Name the fields that say nothing of a gate of its kind."""
    numbers = ("min_sample",) if gate.value else ("consecutive",)
    # With limits the gate's own action only sums up those of the limits: nobody wrote it.
    evaluate = () if gate.at_age is None else ("evaluate",)
    return (*numbers, *evaluate, *(("action",) if gate.limits else ()), *(() if gate.phases else ("phases",)))


def _judging_rows(path: YamlPath, gate: GateSpec) -> Iterator[Row]:
    if gate.max is not None or gate.min is not None:
        yield (*path, "evidence"), "prove" if gate.prove else "estimate"
    if gate.at_age is not None:
        yield (*path, "evaluate", "at_age"), _text(gate.at_age)
    for key, bound in (("max", gate.value.max), ("min", gate.value.min)) if gate.value else ():
        if bound is not None:
            yield (*path, "value", key), str(bound)


def _source_rows(path: YamlPath, source: Source) -> Iterator[Row]:
    if isinstance(source, FileSource):
        yield (*path, "file"), source.path
    elif isinstance(source, CommandSource):
        yield (*path, "command"), _text(source.argv)
        yield (*path, "timeout"), _text(source.timeout)
    elif isinstance(source, TelemetrySource):
        here: YamlPath = (*path, "telemetry")
        yield from _section(here, source.spec, skip=("token",))
        metric = source.metric or path[1]
        yield from _section(here, source, skip=("spec", *(() if metric == DEVICE_SUCCESS else ("failures",))))
    elif isinstance(source, HttpSource):
        yield from _asked_rows((*path, "http"), source)
    else:
        yield from _asked_rows((*path, VENDOR_KEYS[type(source)]), source)


def _asked_rows(path: YamlPath, source: HttpSource | VendorSource) -> Iterator[Row]:
    for field_path, text in _section(path, source, skip=("headers", "ask")):
        # What is bad to Sentry are statuses; to all others it is a query.
        yield ((*path, "statuses") if isinstance(source, SentrySource) and field_path[-1] == "bad" else field_path), text
    if not isinstance(source, _WITHOUT_ASK):
        yield from _section(path, source.ask)
    for name, value in getattr(source, "headers", ()):
        yield (*path, "headers", name), value


def _section(path: YamlPath, values: Any, skip: tuple[str, ...] = (), *, show_unset: bool = False) -> Iterator[Row]:
    """Give the fields of a value type, one row for each that is set; nested value types give rows of their own."""
    for entry in fields(values):
        value = getattr(values, entry.name)
        is_unset = value is None or (value == () and entry.name == "limits")
        if entry.name in skip or (is_unset and not show_unset):
            continue
        here: YamlPath = (*path, entry.name)
        items = value if isinstance(value, tuple) else ()
        if is_dataclass(value) and not isinstance(value, type) and entry.name == "escalate":
            yield from _section(here, value)
        elif entry.name == "limits":
            for index, item in enumerate(items):
                yield from _section((*here, index), item)
        else:
            yield here, _text(value)


def _text(value: Any) -> str:
    if value is None:
        return "none"
    if isinstance(value, bool):
        return str(value).lower()
    if isinstance(value, timedelta):
        return span(value)
    if isinstance(value, Decimal):
        return percent_text(value)
    if isinstance(value, Enum):
        return str(value.value)
    if isinstance(value, tuple):
        return f"[{', '.join(_text(item) for item in value)}]"
    return str(value)


def rows_of(policy: Policy) -> list[dict[str, str]]:
    """Give the origins of a policy as JSON-ready rows: ``{"path", "value", "source"}``."""
    return [{"path": origin.path, "value": origin.value, "source": origin.source} for origin in policy.origins]
