"""One virtual device: what its app and its plugin do, one instant after the other.

A device has an agenda of its own; :meth:`Device.wake` does what is due and says when to wake it again. Nothing here reads a
clock or waits.
"""

from __future__ import annotations

import heapq
import random
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any

from otagate.fleet import arrivals
from otagate.fleet.app import App
from otagate.fleet.bundles import Bundles
from otagate.fleet.config import AutoUpdate, FleetConfig
from otagate.fleet.diary import Diary, Fact
from otagate.fleet.install import Install
from otagate.fleet.network import Exchange, Network
from otagate.fleet.opening import Offer, Opener
from otagate.fleet.outbox import FLUSH_S, Gate, Outbox
from otagate.fleet.profile import Profile
from otagate.fleet.replies import BUILTIN, NO_ANSWER, Answered, Reaction, react

NEVER = float("inf")


@dataclass(slots=True)
class World:
    """What the devices of a fleet share."""

    config: FleetConfig
    network: Network
    diary: Diary
    opener: Opener


@dataclass(slots=True)
class Device:
    """See the module.

    Attributes:
        world: What it shares with the others.
        profile: Who it is.
        chance: Its own source of chance, so that what it does depends on no other device.
        channel: What it sends as ``defaultChannel``.
        built_for: ``defaultChannel`` of its build of the app.
        followed: The channel that it believes to follow; that of older plugins is kept by the server.
    """

    world: World
    profile: Profile
    chance: random.Random
    channel: str = ""
    built_for: str = ""
    followed: str = ""
    now: float = 0.0
    gate: Gate = field(init=False)
    outbox: Outbox = field(init=False)
    bundles: Bundles = field(init=False)
    install: Install = field(init=False)
    app: App = field(init=False)
    _agenda: list[tuple[float, int, Callable[[], None]]] = field(default_factory=list)
    _order: int = 0
    _has_frozen: bool = False

    def __post_init__(self) -> None:
        """Make its parts."""
        config, plugin = self.world.config, self.profile.plugin
        self.built_for = config.own_channel(self.chance)
        self.channel, self.followed = self.built_for, self.own_channel
        self.gate = Gate(plugin)
        url = f"{config.base}/stats"
        self.outbox = Outbox(url, plugin, self.world.network, self.gate, self.chance, self, self._wake_outbox)
        set_next, deletes = plugin.has("tells_set_next"), plugin.has("tells_deletes")
        self.bundles = Bundles(self.tell, self.profile.builtin_name, set_next, deletes)
        if config.installed:
            self.bundles.begin_with(config.installed)
        self.install = Install(self)
        self.app = App(self)

    @property
    def own_channel(self) -> str:
        """The channel that it follows without a choice, as far as the fleet was told."""
        return self.built_for or self.world.config.default_channel

    # -- time

    def start(self, at: float) -> float:
        """Be there from that instant on; give when to wake it."""
        first = arrivals.first_open(self.world.config, self.profile.zone, at, self.chance)
        self.plan(first, self.app.open)
        return first

    def plan(self, at: float, what: Callable[[], None]) -> None:
        """Do something later."""
        self._order += 1
        heapq.heappush(self._agenda, (at, self._order, what))

    def wake(self, now: float) -> float:
        """Do what is due; give the next instant."""
        while self._agenda and self._agenda[0][0] <= now:
            self.now, _order, what = heapq.heappop(self._agenda)
            what()
        return self._agenda[0][0] if self._agenda else NEVER

    def _wake_outbox(self, at: float) -> None:
        self.plan(at, self._flush)

    def _flush(self) -> None:
        # The system freezes an app in the background: what came back waits for the next session.
        if self.outbox.is_stuck and not self.app.is_open:
            self._has_frozen = True
        else:
            self.outbox.flush(self.now)

    def thaw(self) -> None:
        """The app is in the foreground again."""
        if self._has_frozen:
            self._has_frozen = False
            self._wake_outbox(self.now + FLUSH_S)

    # -- telling

    def info(self) -> dict[str, Any]:
        """Give what every request says of the device."""
        return {**self.profile.info, "version_name": self.bundles.running_name, "defaultChannel": self.channel}

    def tell(self, action: str, version: str, old: str = "") -> None:
        """Report something that the plugin saw."""
        event = self.info()
        event.update(version_name=version, old_version_name=old, action=action)
        if self.profile.plugin.has("batches"):
            event["timestamp"] = int((self.now + self.profile.skew_s) * 1000)
        self.outbox.put(event, self.now)

    def told(self, event: dict[str, Any], exchange: Exchange, index: int | None, at: float) -> None:
        """See Witness."""
        self.world.diary.told(self.profile.index, self.followed, event, exchange, place=index, at=at)

    def fact(self, release: str, fact: Fact, *, is_fault: bool = False) -> None:
        """Write down what happened; ``is_fault``: for what is wrong with the release."""
        self.world.diary.fact(release, self.profile.index, fact, self.now, is_fault=is_fault)

    # -- the plugin

    def check(self) -> None:
        """Ask for an update, and act on the answer."""
        reaction = self._ask()
        running = self.bundles.running_name
        if reaction.is_told:
            self.tell(self.profile.plugin.failure_action, running)
        if reaction.answered is Answered.BUILTIN:
            self._to_builtin()
        elif reaction.offer is not None and reaction.offer.version not in {"", running}:
            self._take(reaction.offer)

    def _ask(self) -> Reaction:
        if self.gate.is_shut(self.now):
            return NO_ANSWER
        body, at = self.info(), self.now
        exchange = self.world.network.request("POST", f"{self.world.config.base}/updates", body, at=at, chance=self.chance)
        self.world.diary.checked(self.profile.index, self.followed, body["version_name"], exchange, at=at)
        if exchange.answer is None:
            return NO_ANSWER
        self.gate.heed(exchange.answer, at)
        return react(exchange.answer.status, exchange.answer.body, self.profile.plugin)

    def _to_builtin(self) -> None:
        if self.world.config.auto_update is AutoUpdate.ALWAYS and self.bundles.running != BUILTIN:
            self.app.switch(BUILTIN)
        elif self.world.config.auto_update is AutoUpdate.AT_BACKGROUND:
            self.bundles.queue(BUILTIN)

    def _take(self, offer: Offer) -> None:
        self.fact(offer.version, Fact.OFFERED)
        if offer.version in self.bundles.failed:
            self.tell(self.profile.plugin.failure_action, self.bundles.running_name)
        elif offer.version in self.bundles.held:
            self.have(offer.version)
        else:
            self.install.begin(offer)

    def have(self, version: str) -> None:
        """A bundle is on the device and checked: set it, or let it wait."""
        mode = self.world.config.auto_update
        if mode is AutoUpdate.ALWAYS and self.app.is_open:
            self.app.switch(version)
        elif mode is not AutoUpdate.ONLY_DOWNLOAD:
            self.bundles.queue(version)
