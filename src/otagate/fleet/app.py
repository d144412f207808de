"""The app on a device: opened, closed, ended by the system, crashing; its page says that it is ready, or never does.

**Source:** the plugin's ``checkAppReady``, ``checkRevert``, ``installNext`` and launch reports (8.51.23), reduced to what a
server can see of them.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field
from typing import TYPE_CHECKING

from otagate.fleet import arrivals
from otagate.fleet.channels import choose_channel, leave_channel
from otagate.fleet.config import LEAST_READY_S, Crash, check_interval
from otagate.fleet.diary import Fact
from otagate.fleet.replies import BUILTIN

if TYPE_CHECKING:
    from otagate.fleet.device import Device

_READY_S = (0.5, 3.0)
"""How long a page takes from its start to ``notifyAppReady``."""


@dataclass(slots=True)
class App:
    """See the module.

    Attributes:
        device: Where it is.
        is_open: In the foreground.
    """

    device: Device
    is_open: bool = False
    _is_alive: bool = False
    _process: int = 0
    _has_chosen: bool = False
    _is_launch_told: bool = False
    _has_crashed: bool = False
    _last_launch: tuple[str, str] | None = None
    _boots: dict[str, bool] = field(default_factory=dict)
    _crash_at: dict[tuple[str, int], float] = field(default_factory=dict)
    _crashed: set[tuple[str, int]] = field(default_factory=set)

    def open(self) -> None:
        """A session begins."""
        device = self.device
        self.is_open = True
        device.thaw()
        if not self._is_alive:
            self._launch()
        self._tell_session("app_moved_to_foreground")
        if not self._has_chosen:
            self._has_chosen = True
            choose_channel(device)
        else:
            leave_channel(device)
        device.check()
        if device.bundles.running != BUILTIN:
            self._await_ready()
        end = device.now + arrivals.session_length(device.world.config, device.chance)
        self._plan_mishaps(end)
        self._plan(end, self._close)
        period = check_interval(device.world.config.period_s)
        if period:
            self._plan(device.now + period, lambda: self._check_again(period))

    def switch(self, version: str) -> None:
        """Set a bundle and start its page."""
        device = self.device
        if version == device.bundles.running:
            device.bundles.next = None
            return
        if device.bundles.set(version, device.now):
            device.fact(version, Fact.SET)
            self._await_ready()
        elif version != BUILTIN:
            device.fact(version, Fact.INTEGRITY)
            return
        self._load_page()

    def _plan(self, at: float, what: Callable[[], None]) -> None:
        """Do something later, unless the app's process has ended by then."""
        process = self._process

        def only_while_alive() -> None:
            if self._is_alive and self._process == process:
                what()

        self.device.plan(at, only_while_alive)

    def _check_again(self, period: float) -> None:
        if self.is_open:
            self.device.check()
            self._plan(self.device.now + period, lambda: self._check_again(period))

    def _launch(self) -> None:
        device, plugin = self.device, self.device.profile.plugin
        self._process += 1
        self._is_alive, self._is_launch_told = True, False
        device.gate.restart()
        if self._has_crashed and plugin.has("tells_crashes"):
            device.tell("app_crash", device.bundles.running_name)
        self._has_crashed = False
        if plugin.has("tells_launches"):
            self._tell_session("app_launch_start")
        self._load_page()

    def _load_page(self) -> None:
        version, device = self.device.bundles.running, self.device
        if version == BUILTIN or self._boots_well(version):
            self._plan(device.now + device.chance.uniform(*_READY_S), lambda: self._ready(version))

    def _boots_well(self, version: str) -> bool:
        if version not in self._boots:
            self._boots[version] = self.device.chance.random() >= self.device.world.config.faults_of(version).boot
        return self._boots[version]

    def _ready(self, version: str) -> None:
        bundles = self.device.bundles
        if bundles.running != version:
            return
        if version != BUILTIN:
            self.device.fact(version, Fact.READY)
            bundles.prove()
        self._tell_launch("app_launch_ready")

    def _tell_launch(self, action: str) -> None:
        """Tell how the start of the process went, once."""
        if self._is_launch_told:
            return
        self._is_launch_told = True
        told, device = (action, self.device.bundles.running_name), self.device
        if device.profile.plugin.has("tells_launches") and (device.world.config.tells_sessions or told != self._last_launch):
            self._last_launch = told
            device.tell(*told)

    def _tell_session(self, action: str) -> None:
        if self.device.world.config.tells_sessions:
            self.device.tell(action, self.device.bundles.running_name)

    def _await_ready(self) -> None:
        timeout_s = max(LEAST_READY_S, self.device.world.config.ready_timeout_s)
        self._plan(self.device.now + timeout_s, self._judge_boot)

    def _judge_boot(self) -> None:
        device, bundles = self.device, self.device.bundles
        if bundles.is_proven:
            return
        self._tell_launch("app_launch_timeout")
        failed = bundles.revert(device.now, delete_failed=device.world.config.delete_failed)
        device.fact(failed, Fact.BOOT, is_fault=not self._boots.get(failed, True))
        self._load_page()
        if bundles.running != BUILTIN:
            self._await_ready()

    def _close(self) -> None:
        device = self.device
        self.is_open = False
        self._tell_session("app_moved_to_background")
        if device.bundles.next is not None:
            self.switch(device.bundles.next)
        if device.chance.random() < device.world.config.killed:
            self._is_alive = False
        self._plan_open()

    def _plan_open(self) -> None:
        device = self.device
        device.plan(arrivals.next_open(device.world.config, device.profile.zone, device.now, device.chance), self.open)

    def _plan_mishaps(self, end: float) -> None:
        device, bundles = self.device, self.device.bundles
        version, chance = bundles.running, device.chance
        faults = device.world.config.faults_of(version)
        if version == BUILTIN or not bundles.is_proven:
            return
        if chance.random() < faults.error:
            self._plan(chance.uniform(device.now, end), lambda: self._error(version))
        if device.now - bundles.set_at >= faults.late_crash_after and chance.random() < faults.crash:
            self._plan(chance.uniform(device.now, end), lambda: self._crash(version, is_fault=True))
        for number, crash in enumerate(faults.crashes):
            if self._crashes_now(version, number, crash):
                is_fault = crash.is_fault
                self._plan(chance.uniform(device.now, end), lambda is_fault=is_fault: self._crash(version, is_fault=is_fault))  # type: ignore[misc]

    def _crashes_now(self, version: str, number: int, crash: Crash) -> bool:
        """Tell whether a session ends in such a crash: the first one after its time has come, and some of those after it."""
        device, key = self.device, (version, number)
        if key not in self._crash_at:
            is_hit = device.chance.random() < crash.share
            late = crash.after_s + device.chance.random() * crash.within_s
            self._crash_at[key] = device.bundles.set_at + late if is_hit else float("inf")
        if device.now < self._crash_at[key]:
            return False
        is_first = key not in self._crashed
        self._crashed.add(key)
        return is_first or device.chance.random() < crash.again

    def _error(self, version: str) -> None:
        device = self.device
        if device.bundles.running == version:
            device.fact(version, Fact.ERRORED)
            if device.profile.plugin.has("tells_crashes"):
                device.tell("webview_javascript_error", version)

    def _crash(self, version: str, *, is_fault: bool) -> None:
        if self.is_open and self.device.bundles.running == version:
            self.device.fact(version, Fact.CRASHED, is_fault=is_fault)
            self._is_alive, self.is_open, self._has_crashed = False, False, True
            self._plan_open()
