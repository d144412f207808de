"""The bundles of one device: which runs, which is next, which it falls back to, and which it will never try again.

**Source:** ``set``, ``setNextBundle``, ``setSuccess`` and ``performReset`` of the plugin (8.51.23), reduced to what a server
can see of them.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field

from otagate.fleet.opening import Opened, may_be_set
from otagate.fleet.replies import BUILTIN

Tell = Callable[[str, str, str], None]
"""Report an action, the version that it is about, and the version before, ``""`` for none."""


@dataclass(slots=True)
class Bundles:
    """See the module. Versions are names; ``builtin`` stands for the bundle inside the native app.

    Attributes:
        tell: How events leave.
        builtin_name: What this device calls the built-in bundle in events.
        tells_set_next: Whether a bundle that waits is told.
        tells_deletes: Whether a deletion is told.
        running: What runs.
        is_proven: Whether the app said that it works.
        fallback: The last that was proven.
        next: What is set when the app goes to the background.
        failed: Versions that are never tried again.
        held: What is on the device, by version.
        set_at: When the running bundle was set, Unix seconds.
    """

    tell: Tell
    builtin_name: str
    tells_set_next: bool = True
    tells_deletes: bool = True
    running: str = BUILTIN
    is_proven: bool = True
    fallback: str = BUILTIN
    next: str | None = None
    failed: set[str] = field(default_factory=set)
    held: dict[str, Opened] = field(default_factory=dict)
    set_at: float = 0.0

    @property
    def running_name(self) -> str:
        """What events and requests call the running bundle."""
        return self.name(self.running)

    def name(self, version: str) -> str:
        """Give what events call a version."""
        return self.builtin_name if version == BUILTIN else version

    def begin_with(self, version: str) -> None:
        """Let a release run that was installed and proven long ago."""
        self.running = self.fallback = version
        self.held[version] = Opened("", {"index.html": ""})

    def queue(self, version: str) -> None:
        """Let a bundle be the next one."""
        self.next = version
        if self.tells_set_next:
            self.tell("set_next", self.name(version), self.running_name)

    def set(self, version: str, at: float) -> bool:
        """Make it the bundle that runs; False: it cannot be set, and what runs stays."""
        self.next = None
        if version == BUILTIN:
            self.reset(at)
            return False
        bundle = self.held.get(version)
        if bundle is None or not may_be_set(bundle):
            self.failed.add(version)
            self.tell("set_fail", version, "")
            return False
        before = self.running_name
        self.running, self.is_proven, self.set_at = version, False, at
        self.tell("set", version, before)
        return True

    def reset(self, at: float) -> None:
        """Go back to the built-in bundle because the server says so."""
        before = self.running_name
        self._to_builtin(at)
        self.tell("reset", self.builtin_name, before)

    def prove(self) -> None:
        """The app said that it works; the bundle before it is removed."""
        self.is_proven = True
        previous, self.fallback = self.fallback, self.running
        if previous not in {BUILTIN, self.running, self.next}:
            self._remove(previous)

    def revert(self, at: float, *, delete_failed: bool) -> str:
        """Roll back because the app did not say that it works; give the version that failed."""
        failed, fallback = self.running, self.fallback
        self.tell("update_fail", failed, "")
        self.failed.add(failed)
        if self.next == failed:
            self.next = None
        self._to_builtin(at)
        if fallback != BUILTIN and fallback in self.held:
            self.running, self.is_proven = fallback, False
            self.tell("set", fallback, self.builtin_name)
        if delete_failed:
            self._remove(failed)
        return failed

    def _to_builtin(self, at: float) -> None:
        self.running, self.is_proven, self.fallback, self.next, self.set_at = BUILTIN, True, BUILTIN, None, at

    def _remove(self, version: str) -> None:
        if self.held.pop(version, None) is not None and self.tells_deletes:
            self.tell("delete", version, "")
