"""Devices that run a release and tell nothing: a `statsUrl` that leads elsewhere, and no health."""

from __future__ import annotations

from collections.abc import Sequence

from otagate.gate.interface import SourceError
from otagate.telemetry.interface import PluginUse
from otagate.telemetry.model import Counts

TOO_MANY = 200
"""From so many devices on, of which each would tell of a good download too, not one event of any is no chance."""
TELLS_TIMES = {5: (50, 1), 6: (50, 1), 7: (50, 1), 8: (42, 0)}
"""Since when a major version of the plugin tells times, so that a download leaves a trace. **Source:** docs/telemetry.md."""


def is_silent(counts: Counts) -> bool:
    """Tell whether many devices run a release, and all of them are known by their update checks alone."""
    told = (counts.network, counts.integrity, counts.boot, counts.refusal, counts.crashed, counts.errored, *counts.verify)
    return counts.ran >= TOO_MANY and not any(told)


def refuse_silence(metric: str, counts: Counts, plugins: Sequence[PluginUse]) -> None:
    """Refuse counts of which :func:`is_silent` is true, unless older plugins explain it: their good downloads leave no trace.

    Raises:
        SourceError: None of these devices could have told of a failure.
    """
    known = sum(use.devices for use in plugins)
    telling = sum(use.devices for use in plugins if _tells_times(use.plugin))
    if counts.ran * telling < TOO_MANY * known or not known:
        return
    raise SourceError(
        "devices run this release, and not one has told anything of it",
        f"telemetry: {metric}",
        expected="events on /stats: a download, a failure, a crash, an error",
        found=f"{counts.ran} devices that are known by their update checks alone",
        remedy="set `statsUrl` of the app to the update server's /stats (docs/self-hosting.md)",
    )


def _tells_times(plugin: str) -> bool:
    parts = plugin.split(".")
    if not all(part.isascii() and part.isdigit() for part in parts[:3]):
        return False
    major, minor, patch = (*(int(part[:9]) for part in parts[:3]), 0, 0)[:3]
    return (minor, patch) >= TELLS_TIMES.get(major, (0, 0)) if major >= min(TELLS_TIMES) else False
