"""Which references a policy holds: where keys, tokens and addresses with tokens are, never what they are."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import fields, is_dataclass
from typing import Any

from otagate.policy.model.policy import Policy


def references(policy: Policy) -> tuple[str, ...]:
    """Give every ``env:NAME`` and ``file:PATH`` of keys, trust, CDN, telemetry, metric sources and notifications, each once."""
    parts = (policy.seal, policy.trust, policy.cdn, policy.telemetry, *(gate.source for gate in policy.gates), policy.notify)
    return tuple(dict.fromkeys(text for text in _texts(parts) if text.startswith(("env:", "file:"))))


def _texts(value: Any) -> Iterator[str]:
    if isinstance(value, str):
        yield value
    elif isinstance(value, tuple):
        for item in value:
            yield from _texts(item)
    elif is_dataclass(value) and not isinstance(value, type):
        for field in fields(value):
            yield from _texts(getattr(value, field.name))
