"""Which release a device gets, or why none. Pure: the view of the app, the device's facts and the time decide.

The order of the questions is the plugin's own cloud's, so that an app which moves here is told the same::

    plugin, native version ─ channel ─ expired? ─ cohort (channel.cohort) ─ same version? ─ release ─ key ─ platform
      ─ version rules (stop_at, native range, under native, downgrade) ─ kind of device ─ seal ─ Serve

A refusal is ``failed`` only when somebody has to mend something; a rule that keeps a device back is ``blocked``, what needs
nothing is ``up_to_date``.
"""

from __future__ import annotations

from collections.abc import Mapping
from datetime import datetime
from typing import Any

from otagate.channel import cohort
from otagate.errors import UsageError
from otagate.model import ChannelState, Release
from otagate.policy.model.server import AutoUpdate, ChannelRules
from otagate.seal.capgo_open import checksum_for_plugin
from otagate.server import versions
from otagate.server.answers import Choice, Refusal, Serve, ToBuiltIn
from otagate.server.facts import MAX_KEY_ID_CHARS, DeviceRequest
from otagate.server.following import follow, weight_of
from otagate.server.interface import AppView
from otagate.server.replies import BUILTIN, Kind
from otagate.server.versions import Order, Plugin

OLDEST_PLUGIN: Plugin = (5, 0, 0)
_FIRST_OF_TODAY: Mapping[int, Plugin] = {5: (5, 50, 1), 6: (6, 2, 0), 7: (7, 0, 2), **versions.AFTER_STRAYS}
"""By major (others: all of it): the first that opens the seal ``capgo``, and that does not take ``builtin`` for the name of a
bundle to download. **Source:** the plugin at these tags and those before them, Android and iOS, read."""
_FIRST_WITH_SHA256: Mapping[int, Plugin] = {5: (5, 50, 1), 6: (6, 25, 0), 7: (7, 0, 2), **versions.AFTER_STRAYS}
"""By major: the first that compares the checksum of a clear bundle with its SHA-256. Older ones compare it with a CRC-32, and
nothing when it is empty. **Source:** as above, 5.9.5, 6.14.26 and 7.0.1."""
_USE = "use 5.50.1, 6.2.0, 7.0.2, 8 or newer, but not 9.0.0 and 10.0.0, which are old builds"
_NO_RULES = ChannelRules()


def choose(view: AppView, request: DeviceRequest, override: str | None, chosen: str | None, now: datetime) -> Choice:
    """Decide what to answer to an update check.

    Args:
        view: The app.
        request: The device.
        override: The channel that an operator set for it, or None.
        chosen: The channel that it chose and the server keeps, or None; only plugins without a choice of their own count.
        now: For expiry.
    """
    if request.plugin < OLDEST_PLUGIN:
        return Refusal(Kind.FAILED, "unsupported_plugin_version", "update the plugin to 5.0.0 or newer")
    if request.native is None:
        is_unknown = request.version_build.strip().lower() in {"", "unknown"}
        error = "unknown_version_build" if is_unknown else "semver_error"
        return Refusal(Kind.FAILED, error, "the native version of the app is not a version such as 1.2.3")
    followed = follow(view, request, override, chosen)
    if isinstance(followed, Refusal):
        return followed
    if now >= followed.expires:
        return _misconfigured("the channel's pointer has expired", followed.state)
    return _of_channel(view, request, followed.state, now)


def _of_channel(view: AppView, request: DeviceRequest, state: ChannelState, now: datetime) -> Choice:
    named = cohort.choose(state, request.device_id, None if request.is_builtin else request.version_name)
    if named is cohort.Answer.KEEP:
        return _up_to_date("the channel is paused", state.name.value, request.version_name)
    rules = view.rules.channels.get(state.name.value, _NO_RULES)
    if named is cohort.Answer.BUILT_IN:
        return _to_builtin(request, rules, state.name.value)
    channel, version = state.name.value, named.version.value
    # A native app of the same version was built from the same sources: the plugin's cloud takes them for equal, too.
    if version == (request.native if request.is_builtin else request.version_name):
        return _up_to_date("the device runs it already", channel, version)
    release = view.releases.get(version)
    problem = _unfit(view, release, state, now)
    if release is None or problem is not None:
        return _misconfigured(problem or "", state, version)
    refusal = _wrong_key(request, release, channel) or _wrong_platform(request, rules, channel, version)
    refusal = refusal or _wrong_version(request, rules, release, channel)
    if refusal is not None and refusal.error != "disable_downgrade" and _runs_blocked(state, request.version_name):
        # What was rolled back must not stay on a phone because its native app or key does not fit the release before it.
        return _to_builtin(request, rules, channel)
    return refusal or _wrong_device(request, rules, channel, version) or _sealed(view, request, release, state)


def _runs_blocked(state: ChannelState, running: str) -> bool:
    return any(version.value == running for version in state.blocked)


def _unfit(view: AppView, release: Release | None, state: ChannelState, now: datetime) -> str | None:
    if release is None:
        return "the release that the channel names could not be verified"
    if release.expires is not None and now >= release.expires:
        return "the release that the channel names has expired"
    if release.app != view.app or (release.channels and state.name not in release.channels):
        return "the release was not made for this channel"
    if release.native_min is not None and versions.coerce(release.native_min) is None:
        return "the native range of the release cannot be read"
    return None


def _to_builtin(request: DeviceRequest, rules: ChannelRules, channel: str) -> Choice:
    if request.is_builtin:
        return Refusal(
            Kind.UP_TO_DATE, "already_on_builtin", "the device runs its built-in bundle already", {}, channel, BUILTIN
        )
    refusal = _wrong_platform(request, rules, channel, BUILTIN)
    if refusal is None and not rules.downgrade and _is_above(request.version_name, _order(request.native)):
        refusal = _blocked("disable_downgrade", "the device runs a newer bundle", channel, BUILTIN)
    refusal = refusal or _wrong_device(request, rules, channel, BUILTIN)
    if refusal is None and not _is_since(request.plugin, _FIRST_OF_TODAY):
        message = f"the plugin cannot go back to the built-in bundle: {_USE}"
        refusal = Refusal(Kind.FAILED, "revert_to_builtin_plugin_version_too_old", message, {}, channel, BUILTIN)
    return refusal or ToBuiltIn(channel)


def _wrong_key(request: DeviceRequest, release: Release, channel: str) -> Refusal | None:
    # Only plugins that send all 20 characters can be compared: 8.2.0 to 8.40.7 sent 4, which are the same for every key.
    bundle_key = release.sealed.key_id
    if not bundle_key or len(request.key_id) != MAX_KEY_ID_CHARS or bundle_key == request.key_id:
        return None
    extras = {"deviceKeyId": request.key_id, "bundleKeyId": bundle_key}
    message = "the release was sealed for apps with another public key"
    return _blocked("key_id_mismatch", message, channel, release.version.value, extras)


def _wrong_platform(request: DeviceRequest, rules: ChannelRules, channel: str, version: str) -> Refusal | None:
    if request.platform in rules.platforms:
        return None
    return _blocked(f"disabled_platform_{request.platform}", f"the channel does not serve {request.platform}", channel, version)


def _wrong_version(request: DeviceRequest, rules: ChannelRules, release: Release, channel: str) -> Refusal | None:
    version = release.version.value
    mine, native = _order(version), _order(request.native)
    old = {"version": version, "old": request.version_name}
    part = _stopped_at(rules.stop_at, mine, native)
    if part is not None:
        message = f"the release has another {part} version than the native app"
        return _blocked(f"disable_auto_update_to_{part}", message, channel, version, {**old, "major": True})
    if release.native_min is not None and native < _order(versions.coerce(release.native_min)):
        message = f"the release needs the native app {release.native_min} or newer"
        return _blocked("disable_auto_update_to_metadata", message, channel, version, {**old, "major": True})
    if release.native_max is not None and native >= _order(versions.coerce(release.native_max)):
        message = f"the release needs a native app below {release.native_max}"
        return _blocked("disable_auto_update_to_metadata", message, channel, version, old)
    if not rules.under_native and mine < native:
        message = "the release is older than the native app"
        return _blocked("disable_auto_update_under_native", message, channel, version, old)
    running = request.native if request.is_builtin else request.version_name
    if not rules.downgrade and running is not None and _is_above(running, mine):
        return _blocked("disable_downgrade", "the device runs a newer bundle", channel, version, old)
    return None


def _stopped_at(stop: AutoUpdate, mine: Order, native: Order) -> str | None:
    if stop is AutoUpdate.ANY:
        return None
    if mine[0] != native[0]:
        return "major"
    if stop is not AutoUpdate.MAJOR and mine[1] != native[1]:
        return "minor"
    if stop is AutoUpdate.PATCH and mine[2:] != native[2:]:
        return "patch"
    return None


def _wrong_device(request: DeviceRequest, rules: ChannelRules, channel: str, version: str) -> Refusal | None:
    oldest = versions.plugin(rules.min_plugin) if rules.min_plugin else None
    if rules.min_plugin and (oldest is None or request.plugin < oldest):
        message = f"the channel needs plugin {rules.min_plugin} or newer"
        return Refusal(Kind.FAILED, "unsupported_plugin_version", message, {}, channel, version)
    for is_kept_back, error, word in (
        (request.is_prod and not rules.production, "disable_prod_build", "production builds"),
        (not request.is_prod and not rules.development, "disable_dev_build", "development builds"),
        (request.is_emulator and not rules.emulators, "disable_emulator", "emulators"),
        (not request.is_emulator and not rules.devices, "disable_device", "physical devices"),
    ):
        if is_kept_back:
            return _blocked(error, f"the channel does not serve {word}", channel, version)
    return None


def _sealed(view: AppView, request: DeviceRequest, release: Release, state: ChannelState) -> Serve | Refusal:
    sealed, version = release.sealed, release.version.value
    # A device that names a key checks seals; some plugins would install a bundle without one nevertheless.
    if not sealed.session_key and (view.is_signed or request.key_id):
        return _misconfigured("the app has a public key, and the release no session key", state, version)
    if sealed.session_key and not _is_since(request.plugin, _FIRST_OF_TODAY):
        message = f"the plugin cannot open this seal: {_USE}"
        return Refusal(Kind.FAILED, "unsupported_plugin_version", message, {}, state.name.value, version)
    try:
        checksum = checksum_for_plugin(sealed, request.plugin_text)
        if sealed.format == "none" and not _is_since(request.plugin, _FIRST_WITH_SHA256):
            checksum = ""
    except UsageError:
        return _misconfigured("the plugin cannot open the release's seal", state, version)
    return Serve(release, state.name.value, weight_of(state, version), checksum)


def _is_since(plugin: Plugin, first: Mapping[int, Plugin]) -> bool:
    return plugin >= first.get(plugin[0], (0, 0, 0))


def _order(version: str | None) -> Order:
    # Statements and facts hold versions that were read before; one that was not is below every other.
    return (versions.order(version) if version is not None else None) or (-1, 0, 0, ())


def _is_above(version: str, other: Order) -> bool:
    mine = versions.order(version)
    return mine is not None and mine > other


def _up_to_date(message: str, channel: str, target: str) -> Refusal:
    return Refusal(Kind.UP_TO_DATE, "no_new_version_available", message, {}, channel, target)


def _blocked(error: str, message: str, channel: str, version: str, extras: Mapping[str, Any] | None = None) -> Refusal:
    return Refusal(Kind.BLOCKED, error, message, extras or {"version": version}, channel, version)


def _misconfigured(message: str, state: ChannelState, version: str | None = None) -> Refusal:
    return Refusal(Kind.FAILED, "misconfigured_channel", message, {}, state.name.value, version)
