"""A batch of observations folded to one value for each row that it concerns; the same in any order. Pure."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass, field, replace
from functools import lru_cache
from typing import NamedTuple

from otagate.telemetry.fold import bucket_of
from otagate.telemetry.model import Observation, Progress

HOUR_MS = 3_600_000
MAX_VERSION = 128
MAX_WORD = 64
MAX_NATIVE = 36
_LATEST_MS = 4_102_444_800_000  # the year 2100: a device's clock may say anything
_FULL_WEIGHT = 10_000


class Dimensions(NamedTuple):
    """Where a row of progress is counted; fixed when the row is made."""

    bucket: int
    channel: str
    platform: str
    plugin: str
    weight: int
    is_test: bool


class State(NamedTuple):
    """What a device last said of itself; ``""``: not told. The columns of ``devices`` from ``told_ms`` on, in their order."""

    told_ms: int
    running: str
    target: str
    channel: str
    platform: str
    plugin: str
    native: str
    is_test: bool

    @property
    def hour(self) -> int:
        """Give the hour since 1970 that it was said in."""
        return self.told_ms // HOUR_MS

    def after(self, earlier: State) -> State:
        """Give this state where what it leaves open is as it was."""
        if self.running and self.target:
            return self
        return self._replace(running=self.running or earlier.running, target=self.target or earlier.target)


@dataclass(slots=True)
class Row:
    """What a batch says of one device and one release."""

    progress: Progress
    dimensions: Dimensions

    def add(self, progress: Progress) -> None:
        """Take in one more observation."""
        self.progress = self.progress.join(progress)


@dataclass(slots=True)
class Batch:
    """See the module.

    Attributes:
        rows: By app, version and device key.
        states: By app and device key: the latest, with what the latest leaves open from the ones before it.
    """

    rows: dict[tuple[str, str, bytes], Row] = field(default_factory=dict)
    states: dict[tuple[str, bytes], State] = field(default_factory=dict)

    @property
    def apps(self) -> set[str]:
        """Give the apps that it is about."""
        return {app for app, _ in self.states}


def gather(observations: Iterable[Observation]) -> Batch:
    """Fold observations; texts come out cleaned and cut."""
    batch = Batch()
    states: dict[tuple[str, bytes], list[State]] = {}
    for observation in observations:
        device = observation.device
        app = clean(device.app, MAX_VERSION)
        state = _state(observation)
        states.setdefault((app, device.key), []).append(state)
        if observation.release:
            _gather_row(batch, app, observation, state)
    batch.states = {key: _latest(told) for key, told in states.items()}
    return batch


def _gather_row(batch: Batch, app: str, observation: Observation, state: State) -> None:
    key = (app, clean(observation.release, MAX_VERSION), observation.device.key)
    progress = _progress(observation)
    row = batch.rows.get(key)
    if row is not None:
        row.add(progress)
        return
    weight = min(max(observation.weight_bps, 0), _FULL_WEIGHT)
    bucket = bucket_of(state.told_ms // 1000)
    batch.rows[key] = Row(progress, Dimensions(bucket, state.channel, state.platform, state.plugin, weight, state.is_test))


def _latest(told: list[State]) -> State:
    if len(told) == 1:
        return told[0]
    told.sort()
    latest = told[0]
    for state in told[1:]:
        latest = state.after(latest)
    return latest


def _state(observation: Observation) -> State:
    device = observation.device
    return State(
        int(observation.at.timestamp() * 1000),
        clean(observation.running or "", MAX_VERSION),
        clean(observation.target or "", MAX_VERSION),
        clean(device.channel, MAX_VERSION),
        clean(device.platform, MAX_WORD),
        clean(device.plugin, MAX_WORD),
        clean(device.native, MAX_NATIVE),
        device.is_test,
    )


def _progress(observation: Observation) -> Progress:
    progress = Progress.of(observation)
    started, verified = _instant(progress.started_ms), _instant(progress.verified_ms)
    if started == progress.started_ms and verified == progress.verified_ms:
        return progress
    return replace(progress, started_ms=started, verified_ms=verified)


def _instant(told_ms: int | None) -> int | None:
    return told_ms if told_ms is not None and 0 <= told_ms < _LATEST_MS else None


@lru_cache(maxsize=8192)
def clean(text: str, limit: int) -> str:
    """Cut a text and take out what a database does not take or people cannot see: NUL, lone surrogates, control characters."""
    if len(text) <= limit and text.isascii() and text.isprintable():
        return text
    return "".join(ch if ch.isprintable() else "?" for ch in text[:limit])
