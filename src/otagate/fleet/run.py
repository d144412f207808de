"""A fleet under a virtual clock."""

from __future__ import annotations

import heapq
import random
from collections.abc import Callable

from otagate.fleet.config import FleetConfig
from otagate.fleet.device import NEVER, Device, World
from otagate.fleet.diary import Diary
from otagate.fleet.interface import Transport
from otagate.fleet.network import Network, Traffic
from otagate.fleet.opening import Opener
from otagate.fleet.profile import draw


class Fleet:
    """Virtual devices that ask a server for updates, install them and report.

    The same configuration, seed and server give the same requests in the same order.

    Attributes:
        config: What it is made of.
        diary: What happened.
        traffic: Counters of its requests.
        devices: Everybody.
        now: Virtual now, Unix seconds.
    """

    def __init__(
        self,
        config: FleetConfig,
        transport: Transport,
        seed: int,
        *,
        start: float,
        stamp: Callable[[float], float] = float,
    ) -> None:
        """Make the devices.

        Args:
            config: What to make.
            transport: How they reach the server.
            seed: Of all chance.
            start: Virtual begin, Unix seconds.
            stamp: Gives the server's time for a virtual instant, when the two are not the same.

        Raises:
            UsageError: The configuration cannot be.
            KeyMaterialError: The public key is none that phones take.
        """
        self.config = config.checked()
        self.now = start
        self.traffic = Traffic()
        self.diary = Diary(stamp=stamp, keep_answers=config.keep_answers, keep_events=config.keep_events)
        network = Network(transport, config.loss, self.traffic)
        self.world = World(config, network, self.diary, Opener(remember=config.remember_opened))
        self.devices = [self._device(seed, index) for index in range(config.size)]
        self.agenda = [(device.start(start), device.profile.index) for device in self.devices]
        heapq.heapify(self.agenda)

    def run_until(self, end: float) -> None:
        """Let everything happen up to and with that instant."""
        agenda = self.agenda
        while agenda and agenda[0][0] <= end:
            at, index = agenda[0]
            self.now = at
            due = self.devices[index].wake(at)
            if due == NEVER:
                heapq.heappop(agenda)
            else:
                heapq.heapreplace(agenda, (due, index))
        self.now = max(self.now, end)

    def settle(self) -> None:
        """Send what still waits in the devices, as far as the server takes it."""
        for device in self.devices:
            device.now = self.now
            device.outbox.flush(self.now)

    def _device(self, seed: int, index: int) -> Device:
        chance = random.Random(f"{seed}:{index}")  # noqa: S311 - a simulation
        profile = draw(self.config, index, chance)
        self.diary.devices.append(profile)
        return Device(self.world, profile, chance)
