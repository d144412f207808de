"""Which tests run without being traced for coverage, and how examples are made."""

from __future__ import annotations

import os
import signal
from pathlib import Path
from typing import Protocol

import pytest
from hypothesis import HealthCheck, settings

TESTS = Path(__file__).parent
UNTRACED = frozenset({
    "contract/test_concurrent_reconcilers.py",
    "contract/test_crash_points.py",
    "contract/test_mirror_faults.py",
    "contract/test_prune_schedules.py",
    "contract/test_rollout_crash.py",
    "e2e/test_disk.py",
    "e2e/test_secrets.py",
    "e2e/test_secrets_stores.py",
    "integration/server/test_fleet_in_process.py",
    "integration/test_fleet_counts.py",
    "integration/server/test_many_servers.py",
    "unit/bundle/test_roundtrip.py",
    "unit/flow/test_forged_documents.py",
    "unit/gate/test_oracle.py",
    "unit/policy/test_junk.py",
    "unit/rollout/test_interleaving.py",
    "unit/rollout/test_lives.py",
    "unit/rollout/test_properties.py",
    "unit/server/http/test_hostile.py",
})  # fmt: skip
"""Modules that do what others do, too, many times over: tracing each line of it doubles their time and finds nothing new."""


class HasFileno(Protocol):
    """An open file."""

    def fileno(self) -> int:
        """Give its number."""


# The same examples everywhere and every time, however busy the machine is; OTAGATE_TEST_NEW_EXAMPLES=1 makes others.
settings.register_profile(
    "otagate",
    settings.get_profile("default"),
    deadline=None,
    database=None,
    derandomize=not os.environ.get("OTAGATE_TEST_NEW_EXAMPLES"),
    print_blob=True,
    suppress_health_check=[HealthCheck.too_slow],
)
settings.load_profile("otagate")

# A shell has what it starts in the background ignore Ctrl-C, and so would all that the tests start and interrupt.
if signal.getsignal(signal.SIGINT) is signal.SIG_IGN:
    signal.signal(signal.SIGINT, signal.default_int_handler)


def _written(fd: int | HasFileno) -> None:
    """Do what ``os.fsync`` does, but for the waiting: nobody pulls the plug here, and kills leave what the system was told.

    Only in this process. Which files are synced, and what becomes of a refusal, ``tests/unit/test_fs.py`` shows.
    """
    os.fstat(fd if isinstance(fd, int) else fd.fileno())


os.fsync = _written


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """Mark them for pytest-cov."""
    for item in items:
        if item.path.relative_to(TESTS).as_posix() in UNTRACED:
            item.add_marker(pytest.mark.no_cover)
