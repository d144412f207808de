"""What a fleet's run looks like, as JSON and to people."""

from __future__ import annotations

from datetime import timedelta
from typing import TYPE_CHECKING, Any

from otagate._text import harmless, span
from otagate.cli.render.blocks import Block, Facts, Heading, Line, Table, Tone

if TYPE_CHECKING:
    from otagate.fleet.run import Fleet

_BEHIND_S = 2.0
_COLUMNS = (
    ("offered", "offered"),
    ("downloaded", "downloaded"),
    ("set", "installed"),
    ("ready", "works"),
    ("network", "network"),
    ("integrity", "integrity"),
    ("refused", "refused"),
    ("boot", "rolled back"),
    ("crashed", "crashed"),
)


def fleet_data(fleet: Fleet, length_s: float, speed: float) -> dict[str, Any]:
    """Give the JSON of ``otagate/fleet/v1``."""
    diary, traffic = fleet.diary, fleet.traffic
    times = sorted(traffic.latencies_s)
    releases = [version for version in diary.releases() if any(diary.happened(version).values())]
    return {
        "devices": fleet.config.size,
        "seconds": length_s,
        "speed": speed,
        "requests": traffic.requests,
        "errors": traffic.errors,
        "answers": [
            {"request": what, "status": status, "count": count} for (what, status), count in sorted(traffic.answers.items())
        ],
        "latency_ms": {name: _at(times, share) for name, share in (("p50", 0.5), ("p95", 0.95), ("p99", 0.99))},
        "events": dict(diary.events),
        "seconds_behind": round(max(0.0, fleet.now - fleet.agenda[0][0]) / speed, 3) if fleet.agenda else 0.0,
        "waiting_events": sum(len(device.outbox.waiting) for device in fleet.devices),
        "releases": [
            {
                "release": version,
                "happened": diary.happened(version),
                "expected_counts": diary.counts(version),
                "is_exact": diary.is_exact(version),
            }
            for version in releases
        ],
    }


def fleet_view(data: dict[str, Any]) -> list[Block]:
    """Draw it."""
    real, virtual = timedelta(seconds=data["seconds"]), timedelta(seconds=data["seconds"] * data["speed"])
    events = ", ".join(f"{count} {name}" for name, count in data["events"].items())
    latency = ", ".join(f"{name} {value:.1f} ms" for name, value in data["latency_ms"].items() if value is not None)
    facts = [
        ("time", f"{span(real)}, {span(virtual)} for the devices"),
        ("requests", f"{data['requests']}, {data['errors']} of them failed"),
        ("events", events),
    ]
    if latency:
        facts.append(("latency", latency))
    view: list[Block] = [Heading(f"{data['devices']} devices"), Facts(tuple(facts))]
    if data["seconds_behind"] > _BEHIND_S:
        behind = span(timedelta(seconds=round(data["seconds_behind"])))
        view.append(Line(f"this machine or the server is {behind} behind; take fewer devices or a lower --speed", Tone.WARN))
    rows = tuple(
        (harmless(item["release"], 60), *(str(item["happened"][key]) for key, _title in _COLUMNS)) for item in data["releases"]
    )
    if not rows:
        return [*view, Line("no release was offered to any device")]
    return [*view, Table(("release", *(title for _key, title in _COLUMNS)), rows)]


def _at(times: list[float], share: float) -> float | None:
    return round(times[min(len(times) - 1, int(share * len(times)))] * 1000, 3) if times else None
