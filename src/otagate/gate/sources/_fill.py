"""Placeholders of sources: what they stand for, and how each place that holds them is kept safe.

Values come from the rollout; a release's version or a channel's name must never become a further argument, another folder,
another host or another field of a JSON body.
"""

from __future__ import annotations

import json
import re
from pathlib import Path, PurePosixPath
from urllib.parse import quote

from otagate._clock import to_text
from otagate._text import harmless
from otagate.gate.interface import MetricQuery, SourceError
from otagate.model import Weight

NAMES = ("metric", "app", "channel", "release", "start", "end", "weight", "over")
"""Every placeholder, without its braces."""
_PLACEHOLDER = re.compile(r"\{(" + "|".join(NAMES) + r")\}")


def values_of(query: MetricQuery) -> dict[str, str]:
    """Say what each placeholder stands for.

    ``start`` and ``end`` are RFC 3339 in UTC with microseconds, ``weight`` is in percent without a sign (``5``, ``0.25``),
    ``over`` is in seconds (``45``, ``0.5``) and empty for metrics without limits of time.
    """
    return {
        "metric": query.metric,
        "app": query.app,
        "channel": query.channel,
        "release": query.release,
        "start": to_text(query.start),
        "end": to_text(query.end),
        "weight": str(Weight(query.weight_bps)).removesuffix("%"),
        "over": "" if query.over is None else f"{query.over.total_seconds():.6f}".rstrip("0").rstrip("."),
    }


def asks_over(*templates: str | None) -> bool:
    """Tell whether one of the templates holds ``{over}``."""
    return any(template is not None and "{over}" in template for template in templates)


def plain(template: str, query: MetricQuery) -> str:
    """Fill a template as it is: for an argument, which no shell will read."""
    values = values_of(query)
    return _PLACEHOLDER.sub(lambda match: values[match[1]], template)


def in_url(template: str, query: MetricQuery) -> str:
    """Fill a URL: every value is percent-encoded, also ``/``, ``?``, ``#``, ``&`` and ``@``."""
    values = values_of(query)
    return _PLACEHOLDER.sub(lambda match: quote(values[match[1]], safe=""), template)


def in_json(template: str, query: MetricQuery) -> str:
    """Fill a JSON text: every value is escaped as within a JSON string."""
    values = values_of(query)
    return _PLACEHOLDER.sub(lambda match: json.dumps(values[match[1]])[1:-1], template)


def path_below(root: Path, template: str, query: MetricQuery) -> Path:
    """Fill a path and place it below ``root``; the template itself may be absolute or lead upwards, a value may not.

    Raises:
        SourceError: A value would lead to another folder.
    """
    for name in _PLACEHOLDER.findall(template):
        value = values_of(query)[name]
        if "/" in value or "\\" in value or "\0" in value:
            raise _leads_away(template, name, value)
    filled = plain(template, query)
    # Two harmless values side by side may still spell "..".
    if PurePosixPath(filled).parts.count("..") != PurePosixPath(template).parts.count(".."):
        raise _leads_away(template, "release", filled)
    return root / filled


def _leads_away(template: str, name: str, value: str) -> SourceError:
    return SourceError(
        "a placeholder would lead to another folder",
        subject=f"file source {harmless(template)}",
        expected=f"a {name} without '/' and '..'",
        found=f"'{harmless(value)}'",
        remedy="rename it, or take the placeholder out of the path",
    )
