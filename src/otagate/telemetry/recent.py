"""What was lately told of each device, so that the same told again costs no transaction."""

from __future__ import annotations

from collections import OrderedDict
from collections.abc import Sequence

from otagate.telemetry.fold import bucket_of
from otagate.telemetry.model import Observation

MAX_DEVICES = 200_000
"""Devices remembered: about 200 bytes each."""


class Recent:
    """A digest for each of the latest devices: of everything that one request told about it, in one time bucket.

    It holds only what was told last: a device that goes from one version to another and back is new each time. And it holds for
    one bucket: another server may have recorded something else since.
    """

    def __init__(self, limit: int = MAX_DEVICES) -> None:
        self._limit = limit
        self._told: OrderedDict[bytes, int] = OrderedDict()

    def is_told(self, observations: Sequence[Observation]) -> bool:
        """Tell whether the same was told last of this device; if not, it is from now on. At least one is given."""
        key, digest = observations[0].device.key, _digest(observations)
        if self._told.get(key) == digest:
            self._told.move_to_end(key)
            return True
        self._told[key] = digest
        self._told.move_to_end(key)
        if len(self._told) > self._limit:
            self._told.popitem(last=False)
        return False

    def changed(self, observations: Sequence[Observation]) -> None:
        """Take note that something else was told of these devices."""
        for observation in observations:
            self._told.pop(observation.device.key, None)

    def clear(self) -> None:
        """Remember nothing: what was told was not recorded after all."""
        self._told.clear()

    def __len__(self) -> int:
        return len(self._told)


def _digest(observations: Sequence[Observation]) -> int:
    told = (
        (one.device, one.release, int(one.marks), one.started_ms, one.verified_ms, one.running, one.target, one.weight_bps)
        for one in observations
    )
    return hash((bucket_of(int(observations[0].at.timestamp())), *told))
