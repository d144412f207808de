"""Write docs/telemetry.md from the tables themselves. `--check` only compares; a test does that."""

# ruff: noqa: E501 - cells of tables cannot be broken
from __future__ import annotations

import sys
from collections.abc import Mapping
from pathlib import Path

from otagate.server.events import _FIRST_SILENT, ACTIONS, Action
from otagate.telemetry.model import Mark

TARGET = Path(__file__).parent.parent / "docs" / "telemetry.md"
HEAD = """\
# What phones tell, and what is counted

<!-- Written by scripts/telemetry_docs.py from src/otagate/server/events.py. Change those. -->

Phones tell the [update server](self-hosting.md) two things: by each update check, which release they run; and by events on `/stats`, what
happens to a release on them. Both end in one row for each device and release, which only ever gains. So it does not matter in which order
events arrive, how often, or at which of several servers. Gates read counters that follow these rows: [metrics](gates.md#what-telemetry-counts).
Why it is built so: [decision 14](adr/0014-telemetry.md).

* A 2xx on `/stats` means that the events are in the database. A full queue is 503 with `Retry-After`.
* A device counts once a release, in the five minutes in which the server first heard of it with that release on a channel, with the platform,
  plugin version, channel and share of the rollout of that instant.
* Emulators and development builds are counted apart.
* Beside these counts stands how many devices were heard in each hour, by channel: each once an hour, whatever it tells. No gate reads that;
  [rehearsals](rehearse.md#a-fleet-like-yours) open their apps by it. A word that comes in after one of a later hour is not counted there.
* `otagate serve --keep 90d` is how long devices and counts stay.

## What came of a release on a device

Exactly one of these, by the first line that fits:

| outcome | when |
| --- | --- |
| `boot` | it was started and the app did not call `notifyAppReady` in time. This outweighs everything: a page that is just being replaced may report readiness for its successor |
| `success` | the app reported readiness, or the device was seen running it: an update check with it, the app coming to the front with it |
| `integrity` | checksum, decryption or unpacking failed, and no later try succeeded |
| `refusal` | the device had no room or memory for it |
| `network` | a download failed, and nothing else is known |
| `pending` | offered or under way |

`set` alone is no success: the plugin sends it before the app shows that it works. Crashes and errors are counted beside the outcome: a device may have
started a release well and crash an hour later.

## Every event

| event | what the plugin means | says of the release |
| --- | --- | --- |
"""
_WORDS = {
    Mark.OFFERED: "offered",
    Mark.STARTED: "started",
    Mark.VERIFIED: "verified",
    Mark.SET: "set",
    Mark.READY: "success",
    Mark.RAN: "success",
    Mark.NETWORK: "network",
    Mark.INTEGRITY: "integrity",
    Mark.BOOT: "boot",
    Mark.REFUSAL: "refusal",
    Mark.CRASHED: "crashed",
    Mark.ERRORED: "error",
}
TAIL = """
Besides these an update check says: *offered*, of the release in the answer; *success*, of the release that runs. An action that is not in the table is
acknowledged and counted under `unknown_action` in `otagate_refused_total`: newer plugins add some.

The time to verify is from the start of the last download to the check of the whole bundle, both by the device's own clock (`timestamp`, which plugins from
{batching} on send). Tries before the last one do not count: between them the app was not open. A time before 2000 or after 2100, or an end before its start, is not
counted, and `verification_time` leaves out what took longer than half an hour.

## What is not counted

| what | why |
| --- | --- |
| `download_fail` and `backend_refusal` of plugins before {silent} | these report every "no update for you" as a failure. Newer ones do not |
| events of a release that no channel of this store names or named | of another store, made up, or from before telemetry. Acknowledged, `unknown_release` |
| events of the built-in bundle | only that the device runs it. Plugins from 8.44.0 on name it by the native version |
| events of another app or device than the first in the same request | refused one by one, `mixed_apps` and `mixed_devices`; the others are kept. A phone tells of itself, and a request must not stand for 200 made-up ones |
| bodies that are no events | 400, or in a list an error for that one, `invalid_event` |
| what `set` says of the bundle before it | which one a device ran is known already |
| `custom_id`, operating system, install source, and of `metadata` all but `did_crash` | no gate needs them, and they may name a person |

Some failures name the bundle that *runs* and not the one that failed: `checksum_fail`, `unzip_fail` and their like on Android, `download_fail` on iOS. They do no
harm there, because a bundle that runs has succeeded. On Android the failed one gets `finish_download_fail` by its own name. On iOS a download that failed is told
of by nothing that names the release: such a device stays `pending`, and only `rollout_completion` sees it.

Devices say all this of themselves, without proof: [SECURITY.md](../SECURITY.md#the-update-server).
"""

_SHARES = {"download_0": "`download_0`, `download_10`", "download_20": "`download_20` … `download_90`"}


def _said(action: Action) -> str:
    words = list(dict.fromkeys(_WORDS[mark] for mark in action.marks))
    if action.is_start:
        words.append("its time starts the clock")
    if action.is_verified:
        words.append("its time stops the clock")
    if action.tells_running:
        words.append("runs now")
    return ", ".join(words) or "-"


def _rows() -> list[str]:
    rows: list[str] = []
    clouds: list[str] = []
    for name, action in ACTIONS.items():
        if "plugin's cloud about its own answer" in action.description:
            clouds.append(f"`{name}`")
        elif name.startswith("download_") and name[-1] == "0" and name not in _SHARES:
            continue
        else:
            shown = _SHARES.get(name, f"`{name}`")
            means = "that share (%) of the download is done" if name in _SHARES else action.description
            says = "crashed, with `did_crash` in its metadata" if name == "webview_render_process_gone" else _said(action)
            rows.append(f"| {shown} | {means} | {says} |")
    rows.append(f"| {', '.join(clouds)} | written by the plugin's cloud about its own answers | - |")
    return rows


def _versions(first: Mapping[int, tuple[int, int, int]]) -> str:
    *most, last = [".".join(map(str, version)) for version in first.values()]
    return f"{', '.join(most)} and {last}"


def render() -> str:
    """Give the page."""
    tail = TAIL.format(silent=_versions(_FIRST_SILENT), batching="5.50.1, 6.50.1, 7.50.1 and 8.42.0")
    return HEAD + "\n".join(_rows()) + "\n" + tail


def main() -> int:
    """Write the page, or compare it."""
    if "--check" in sys.argv[1:]:
        return int(TARGET.read_text() != render())
    TARGET.write_text(render())
    return 0


if __name__ == "__main__":
    sys.exit(main())
