"""Child processes whose coverage is not wanted: measuring makes a Python program at least twice as slow."""

from __future__ import annotations

import os


def unmeasured() -> dict[str, str]:
    """Give this process's variables without those by which a child measures its coverage."""
    return {name: value for name, value in os.environ.items() if not name.startswith("COVERAGE_")}
