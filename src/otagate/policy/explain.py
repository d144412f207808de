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
from otagate.policy.model import CommandSource, FileSource, HttpSource, Origin, Policy, Source, TelemetrySource
from otagate.policy.problems import YamlPath, path_text
from otagate.policy.strict_yaml import Document
from otagate.policy.values import percent_text

Row = tuple[YamlPath, str]
"""A YAML path and the effective value there, as a policy would write it."""

DEFAULT = "default"


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
    for key, version in (("min", policy.native_min), ("max", policy.native_max)):
        yield ("native", key), _text(version)
    yield ("plugin_version",), _text(policy.plugin_version)


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
        # With limits the gate's own action only sums up those of the limits: nobody wrote it.
        yield from _section(path, gate, skip=("metric", "source", *(("action",) if gate.limits else ())))
        if gate.source is not None:
            yield from _source_rows((*path, "source"), gate.source)


def _source_rows(path: YamlPath, source: Source) -> Iterator[Row]:
    if isinstance(source, FileSource):
        yield (*path, "file"), source.path
    elif isinstance(source, CommandSource):
        yield (*path, "command"), _text(source.argv)
        yield (*path, "timeout"), _text(source.timeout)
    elif isinstance(source, TelemetrySource):
        here: YamlPath = (*path, "telemetry")
        yield from _section(here, source.spec, skip=("token",))
        yield from _section(here, source, skip=("spec",))
    else:
        yield from _http_rows((*path, "http"), source)


def _http_rows(path: YamlPath, source: HttpSource) -> Iterator[Row]:
    yield from _section(path, source, skip=("headers",))
    for name, value in source.headers:
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
