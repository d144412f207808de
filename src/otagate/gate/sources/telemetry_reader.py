"""Which way telemetry is read: what the policy says."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path

from otagate.gate.sources.telemetry_database import DatabaseReader
from otagate.gate.sources.telemetry_interface import TelemetryReader
from otagate.policy.model.sources import TelemetrySpec


def open_reader(
    spec: TelemetrySpec, *, root: Path, environ: Mapping[str, str], is_for_one_look: bool = False
) -> TelemetryReader:
    """Make the reader for what the policy says. Nothing is read yet.

    Args:
        spec: Server or database.
        root: Where relative paths start.
        environ: Where ``env:`` references are looked up.
        is_for_one_look: It is kept for the gates of one look only, so that what it has counted may be counted on.
    """
    if spec.server is not None:
        from otagate.gate.sources.telemetry_server import ServerReader  # noqa: PLC0415 - brings httpx

        return ServerReader(spec, root, environ)
    return DatabaseReader(spec, root, environ, is_for_one_look=is_for_one_look)
