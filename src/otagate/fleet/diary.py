"""What the fleet knows of itself: what happened on every device, and what a server must have counted of it.

The two are different. A phone whose events were lost may run a release that no counter knows. So there are *facts*, by
release and device, and *rows*, joined from exactly what a server acknowledged or answered.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field
from enum import IntFlag
from threading import Lock
from typing import Any

from otagate.fleet.counting import Row, bucket_of, summed
from otagate.fleet.network import Exchange
from otagate.fleet.profile import Profile
from otagate.fleet.reading import NOTHING, Told, release_of, told

_OK = range(200, 300)


class Fact(IntFlag):
    """What happened to a release on a device, whoever was told."""

    OFFERED = 1
    """The device got an answer that named it."""
    DOWNLOADED = 2
    SET = 4
    READY = 8
    NETWORK = 16
    INTEGRITY = 32
    BOOT = 64
    """It was rolled back on the device."""
    CRASHED = 128
    ERRORED = 256
    REFUSED = 512


@dataclass(frozen=True, slots=True)
class Answer:
    """An answer to an update check, as the server gave it: what proves that nobody got what was not for them.

    Attributes:
        at: When.
        device: Number in the fleet.
        channel: What the device followed, as far as it knows; ``""``: the server's default.
        running: What it said that it runs.
        status: HTTP status.
        version: What the answer named to be installed, ``builtin`` included; None: nothing.
        error: Its code, ``""`` when none.
        is_lost: The device did not get it.
    """

    at: float
    device: int
    channel: str
    running: str
    status: int
    version: str | None
    error: str
    is_lost: bool


@dataclass(frozen=True, slots=True)
class Sent:
    """An event that was sent.

    Attributes:
        at: When.
        device: Number in the fleet.
        action: What happened.
        version_name: What it is about.
        is_acknowledged: Whether the server answered that it has it; None: a network lost the answer.
    """

    at: float
    device: int
    action: str
    version_name: str
    is_acknowledged: bool | None


@dataclass(slots=True)
class Diary:
    """See the module. Methods may be called from several threads.

    Attributes:
        stamp: Gives the server's time for a virtual instant; the same by default.
        keep_answers: Whether :attr:`answers` is written.
        keep_events: Whether :attr:`sent` is written.
        devices: Everybody, by number.
        facts: By release and number.
        rows: By release and number.
        answers: Every answer to an update check.
        sent: Every event that was sent, as often as it was.
        moments: When each fact was first true, by release and fact, Unix seconds in order.
        met: When each device met what is wrong with a release, by release and number.
        events: How many events were acknowledged, refused and lost, by these words.
    """

    stamp: Callable[[float], float] = float
    keep_answers: bool = True
    keep_events: bool = False
    devices: list[Profile] = field(default_factory=list)
    facts: dict[tuple[str, int], Fact] = field(default_factory=dict)
    rows: dict[tuple[str, int], Row] = field(default_factory=dict)
    answers: list[Answer] = field(default_factory=list)
    sent: list[Sent] = field(default_factory=list)
    moments: dict[tuple[str, Fact], list[float]] = field(default_factory=dict)
    met: dict[str, dict[int, float]] = field(default_factory=dict)
    events: dict[str, int] = field(default_factory=lambda: {"acknowledged": 0, "refused": 0, "lost": 0})
    _lock: Lock = field(default_factory=Lock)

    def fact(self, release: str, index: int, fact: Fact, at: float = 0.0, *, is_fault: bool = False) -> None:
        """Write down what happened on a device; ``is_fault``: for what is wrong with the release."""
        key = release, index
        with self._lock:
            before = self.facts.get(key, Fact(0))
            if fact not in before:
                self.facts[key] = before | fact
                self.moments.setdefault((release, fact), []).append(at)
            if is_fault:
                self.met.setdefault(release, {}).setdefault(index, at)

    def checked(self, index: int, channel: str, running: str, exchange: Exchange, *, at: float) -> None:
        """Write an update check down."""
        given, now = exchange.given, self.stamp(at)
        is_taken = given is not None and given.status in _OK
        version, error = _named(given.body) if given is not None else (None, "")
        with self._lock:
            if exchange.is_sure and not is_taken:
                return
            marks = Told.RAN if is_taken else NOTHING
            self._join((running, index), channel, now, marks, Told.RAN)
            if given is None:
                return
            if version is not None and version != "builtin":
                self._join((version, index), channel, now, Told.OFFERED, NOTHING)
            if self.keep_answers:
                lost = exchange.answer is None
                self.answers.append(Answer(now, index, channel, running, given.status, version, error, lost))

    def told(
        self, index: int, channel: str, event: dict[str, Any], exchange: Exchange, *, place: int | None, at: float
    ) -> None:
        """Write an event down that was sent."""
        given, now = exchange.given, self.stamp(at)
        is_counted = given is not None and given.status in _OK and _is_accepted(given.body, place)
        action, release = event["action"], release_of(event["version_name"])
        says = told(action, event["plugin_version"])
        with self._lock:
            lost = "lost" if given is None else "refused"
            self.events["acknowledged" if is_counted else lost] += 1
            if self.keep_events:
                is_known = exchange.is_sure or given is not None
                self.sent.append(Sent(now, index, action, event["version_name"], is_counted if is_known else None))
            if says and (is_counted or not exchange.is_sure):
                row = self._join((release, index), channel, now, says if is_counted else NOTHING, says)
                if is_counted:
                    row.time(action, event.get("timestamp"))

    def _join(self, key: tuple[str, int], channel: str, now: float, marks: Told, unsure: Told) -> Row:
        row = self.rows.get(key)
        if row is None:
            row = self.rows[key] = Row(bucket_of(now), channel)
        row.marks |= marks
        row.unsure |= unsure
        if row.success_s is None and marks & (Told.READY | Told.RAN):
            row.success_s = int(now)
        return row

    def counts(
        self,
        release: str,
        channel: str | None = None,
        *,
        platform: str | None = None,
        plugin: str | None = None,
        test: bool = False,
        start: float = 0,
        end: float = float("inf"),
    ) -> dict[str, Any]:
        """Give what a server must count: names and meaning are those of ``otagate.telemetry.model.Counts``.

        Args:
            release: Version.
            channel: Only devices that followed it when the server first heard of them with the release.
            platform: Only this one.
            plugin: Only this version of the plugin.
            test: Emulators and development builds instead of real devices.
            start: Only devices first heard of with the release from here on, Unix seconds; rounded down to five minutes.
            end: ... and before here; likewise.
        """
        first, last = bucket_of(start), end if end == float("inf") else bucket_of(end)
        return summed(
            row
            for row, profile in self.rows_of(release)
            if first <= row.bucket < last
            and profile.is_test == test
            and channel in {None, row.channel}
            and platform in {None, profile.platform}
            and plugin in {None, profile.plugin.version}
        )

    def rows_of(self, release: str) -> list[tuple[Row, Profile]]:
        """Give the rows of a release with their devices."""
        with self._lock:
            return [(row, self.devices[index]) for (name, index), row in self.rows.items() if name == release]

    def is_exact(self, release: str) -> bool:
        """Tell whether no answer about the release was lost in a way that leaves open what the server counted."""
        return all(row.unsure | row.marks == row.marks for row, _profile in self.rows_of(release))

    def releases(self) -> list[str]:
        """Give every version that a device was offered or told of."""
        with self._lock:
            return sorted({name for name, _index in self.facts} | {name for name, _index in self.rows})

    def happened(self, release: str) -> dict[str, int]:
        """Give how many devices each fact holds for, by its name in lower case."""
        with self._lock:
            facts = [fact for (name, _index), fact in self.facts.items() if name == release]
        return {str(one.name).lower(): sum(1 for fact in facts if one in fact) for one in Fact}


def _named(body: Any) -> tuple[str | None, str]:
    """Give the version that an answer tells to install, and its error."""
    if not isinstance(body, dict):
        return None, ""
    error = body.get("error")
    version = body.get("version")
    is_refusal = "error" in body or "kind" in body
    return (version if isinstance(version, str) and not is_refusal else None), error if isinstance(error, str) else ""


def _is_accepted(body: Any, place: int | None) -> bool:
    results = body.get("results") if isinstance(body, dict) else None
    if place is None or not isinstance(results, list):
        return True
    item = results[place] if place < len(results) else None
    return isinstance(item, dict) and item.get("status") == "ok"
