"""Where a gate's counts come from: a file, a command, an HTTP address, our telemetry, or another maker's store."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import timedelta

from otagate.policy.model.vendors import VendorSource


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
