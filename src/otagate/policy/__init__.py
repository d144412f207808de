"""The policy file: YAML to errors with places, or to a Policy.

``find_policy`` and ``load_policy`` are here for convenience; the modules behind them (YAML, JSON Schema) are imported only
when they are called.
"""

from __future__ import annotations

from pathlib import Path

from otagate.policy.model.policy import Policy

__all__ = ["find_policy", "load_policy"]


def find_policy(start: Path) -> Path:
    """See otagate.policy.find.find_policy."""
    from otagate.policy import find  # noqa: PLC0415 - keeps this package light to import

    return find.find_policy(start)


def load_policy(path: Path) -> Policy:
    """See otagate.policy.load.load_policy."""
    from otagate.policy import load  # noqa: PLC0415 - keeps this package light to import

    return load.load_policy(path)
