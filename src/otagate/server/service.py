"""The plugin's protocol without HTTP: one request in, one reply and what it taught out. See server.interface.Service.

Everything is in memory and nothing waits, so a worker answers thousands of requests a second on its event loop. Device ids
leave this module only as a keyed hash.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import replace
from datetime import datetime
from typing import Any

from otagate.errors import OtagateError
from otagate.server import events, facts, own_channel, replies, select
from otagate.server.answers import Choice, Refusal, Serve, ToBuiltIn
from otagate.server.events import Told
from otagate.server.facts import DeviceRequest
from otagate.server.following import follow, weight_of
from otagate.server.interface import AppView, Catalog, ChannelView, Choices, Links, Reply
from otagate.server.replies import BUILTIN, OK, Kind
from otagate.telemetry.model import NOTHING, DeviceFacts, Mark, Observation

MAX_EVENTS = 256
"""Events of one ``/stats`` request; the plugin keeps at most 200. Source: ``MAX_PENDING_STATS`` of the plugin 8.51.23."""
UNKNOWN_RELEASE = "unknown_release"
"""Not counted: an event about a bundle that no channel of the app names or named."""
MIXED_APPS = "mixed_apps"
"""Not counted: an event of another app than the first one of its batch."""
MIXED_DEVICES = "mixed_devices"
"""Not counted: likewise of another device. A phone tells of itself only; rates by request must bound made-up devices."""
_NATIVE_CHARS = 36


class PluginService:
    """See the module. Safe to call from several threads: it keeps nothing between requests.

    Args:
        catalog: What is served.
        choices: Channels of single devices.
        links: Where bundles are fetched.
        hash_device: App id and lower-cased device id to the 16 bytes under which telemetry knows the device.
    """

    def __init__(self, catalog: Catalog, choices: Choices, links: Links, hash_device: Callable[[str, str], bytes]) -> None:
        self._catalog = catalog
        self._choices = choices
        self._links = links
        self._hash_device = hash_device

    def updates(self, body: Any, now: datetime, base: str) -> Reply:
        """``POST /updates``."""
        request = facts.read(body)
        if isinstance(request, Reply):
            return request
        view = self._catalog.view(request.app)
        if view is None:
            return self.without_view(request.app)
        key = self._hash_device(request.app, request.device_id)
        choice = select.choose(view, request, *self._choices.of(request.app, key), now)
        answer, note = self._answer(choice, base)
        device = _device(request, key, choice.channel)
        observations = _seen(view, request, device, choice, now, is_offered=note == "update")
        name = request.version_name
        unknown = frozenset(() if request.is_builtin or name in view.known else (name,))
        return Reply(OK, answer, observations=observations, note=note, app=request.app, unknown=unknown)

    def channel_self(self, method: str, body: Any, now: datetime) -> Reply:
        """``POST|PUT|GET|DELETE /channel_self``."""
        request = facts.read(body, is_query=method in {"GET", "DELETE"})
        if isinstance(request, Reply):
            return request
        view = self._catalog.view(request.app)
        if view is None:
            return self.without_view(request.app)
        if method == "GET":
            return Reply(OK, own_channel.listed(view), note="list_channels")
        key = self._hash_device(request.app, request.device_id)
        override, chosen = self._choices.of(request.app, key)
        if method == "PUT":
            return own_channel.told(view, request, override, chosen)
        if method == "DELETE":
            return own_channel.unset(request, key)
        return own_channel.choose(view, request, key, override, body.get("channel"))

    def stats(self, body: Any, now: datetime) -> Reply:
        """``POST /stats``."""
        if type(body) is not list:
            return self._one_event(body, now)
        if len(body) > MAX_EVENTS:
            return replies.bad("too_many_events", f"a request holds at most {MAX_EVENTS} events")
        batch = _Batch(self, now)
        for index, item in enumerate(body):
            unknown = batch.add(index, item)
            if unknown is not None:
                return unknown
        return batch.reply()

    def _one_event(self, body: Any, now: datetime) -> Reply:
        request = facts.read(body, is_event=True)
        if isinstance(request, Reply):
            return replace(request, refused={events.INVALID_EVENT: 1})
        view = self._catalog.view(request.app)
        if view is None:
            return self.without_view(request.app)
        told = events.read(body, request.plugin)
        if told == events.INVALID_EVENT:
            return replace(replies.bad("missing_action", "action has to be a text"), refused={events.INVALID_EVENT: 1})
        observation = self.observe(view, request, told, now)
        if isinstance(observation, str):
            unknown = frozenset({request.version_name} if observation == UNKNOWN_RELEASE else ())
            refused = {observation: 1}
            return Reply(OK, {"status": "ok"}, note=observation, app=request.app, unknown=unknown, refused=refused)
        # What says nothing about a release and nothing about what runs needs no row.
        observations = (observation,) if observation is not None else ()
        return Reply(OK, {"status": "ok"}, observations=observations, must_record=bool(observations), note="event")

    def view(self, app: str) -> AppView | None:
        """Give an app."""
        return self._catalog.view(app)

    def without_view(self, app: str) -> Reply:
        """Answer for an app that has no view."""
        return replies.unread_app() if self._catalog.serves(app) else replies.unknown_app()

    def observe(self, view: AppView, request: DeviceRequest, told: Told | str, now: datetime) -> Observation | str | None:
        """Make an event an observation; None when there is nothing to keep, a word when it is not counted."""
        if isinstance(told, str):
            return told
        version = request.version_name
        is_known = version in view.known
        if not is_known and events.is_about_release(version):
            return UNKNOWN_RELEASE
        running = version if told.tells_running and (is_known or version == BUILTIN) else None
        if not is_known and running is None:
            return None
        if is_known and told.marks == NOTHING and running is None:
            return None
        key = self._hash_device(request.app, request.device_id)
        followed = follow(view, request, *self._choices.of(request.app, key))
        channel, weight = "", 0
        if isinstance(followed, ChannelView):
            channel = followed.state.name.value
            weight = weight_of(followed.state, version)
        return Observation(
            device=_device(request, key, channel),
            release=version if is_known else "",
            marks=told.marks if is_known else NOTHING,
            at=now,
            weight_bps=weight,
            started_ms=told.started_ms if is_known else None,
            verified_ms=told.verified_ms if is_known else None,
            running=running,
        )

    def _answer(self, choice: Choice, base: str) -> tuple[dict[str, Any], str]:
        if isinstance(choice, Refusal):
            return replies.refusal(choice.kind, choice.error, choice.message, choice.extras), choice.error
        if isinstance(choice, ToBuiltIn):
            return replies.to_builtin(), BUILTIN
        sealed = choice.release.sealed
        try:
            url = self._links.address(sealed.blob, base)
        except OtagateError:
            message = "no address can be given for the bundle now"
            return replies.refusal(Kind.FAILED, "no_bundle_url", message), "no_bundle_url"
        body = replies.update(version=choice.target, url=url, session_key=sealed.session_key or "", checksum=choice.checksum)
        return body, "update"


class _Batch:
    """A ``/stats`` request with an array: every event gets its own result, and one that is wrong spoils no other."""

    def __init__(self, service: PluginService, now: datetime) -> None:
        self._service = service
        self._now = now
        self._view: AppView | None = None
        self._device_id = ""
        self._results: list[dict[str, Any]] = []
        self._observations: list[Observation] = []
        self._refused: dict[str, int] = {}
        self._unknown: set[str] = set()

    def add(self, index: int, item: Any) -> Reply | None:
        """Take an event; give an answer when the whole request is refused: it is of an app that is not served."""
        request = facts.read(item, is_event=True)
        if isinstance(request, Reply):
            self._fail(index, events.INVALID_EVENT, request.body)
            return None
        if self._view is None:
            self._view = self._service.view(request.app)
            if self._view is None:
                return self._service.without_view(request.app)
            self._device_id = request.device_id
        if request.app != self._view.app.value:
            self._fail(index, MIXED_APPS, replies.problem("invalid_request", "app_id differs from the first event's"))
            return None
        if request.device_id != self._device_id:
            self._fail(index, MIXED_DEVICES, replies.problem("invalid_request", "device_id differs from the first event's"))
            return None
        told = events.read(item, request.plugin)
        if told == events.INVALID_EVENT:
            self._fail(index, events.INVALID_EVENT, replies.problem("missing_action", "action has to be a text"))
            return None
        observation = self._service.observe(self._view, request, told, self._now)
        if isinstance(observation, str):
            self._refused[observation] = self._refused.get(observation, 0) + 1
            if observation == UNKNOWN_RELEASE:
                self._unknown.add(request.version_name)
        elif observation is not None:
            self._observations.append(observation)
        self._results.append({"status": "ok", "index": index})
        return None

    def reply(self) -> Reply:
        """Answer for all of them."""
        return Reply(
            OK,
            {"status": "ok", "results": self._results},
            observations=tuple(self._observations),
            must_record=bool(self._observations),
            note="events",
            app="" if self._view is None else self._view.app.value,
            unknown=frozenset(self._unknown),
            refused=self._refused,
        )

    def _fail(self, index: int, reason: str, body: Mapping[str, Any]) -> None:
        self._refused[reason] = self._refused.get(reason, 0) + 1
        self._results.append({"status": "error", "index": index, **body})


def _seen(
    view: AppView, request: DeviceRequest, device: DeviceFacts, choice: Choice, now: datetime, *, is_offered: bool
) -> Sequence[Observation]:
    """Give what an update check teaches: which release was offered, and which one runs."""
    name, target = request.version_name, choice.target
    is_known = name in view.known
    running = name if is_known or name == BUILTIN else None
    seen = []
    if is_offered and isinstance(choice, Serve) and choice.target in view.known:
        weight = choice.weight_bps
        seen.append(Observation(device, choice.target, Mark.OFFERED, now, weight, running=running, target=target))
    if is_known:
        followed = view.channels.get(choice.channel)
        weight = weight_of(followed.state, name) if followed is not None else 0
        seen.append(Observation(device, name, Mark.RAN, now, weight, running=running, target=target))
    elif not seen and running is not None:
        seen.append(Observation(device, "", NOTHING, now, running=running, target=target))
    return seen


def _device(request: DeviceRequest, key: bytes, channel: str) -> DeviceFacts:
    native = (request.native or request.version_build)[:_NATIVE_CHARS]
    return DeviceFacts(request.app, key, request.platform, request.plugin_text, channel, request.is_test, native)
