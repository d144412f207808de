"""Figures of the update server as Markdown."""

from __future__ import annotations

from load import CONNECTIONS
from measure import MIB
from report import Figures, table


def document(report: Figures) -> str:
    """Write the report as Markdown."""
    about = report["machine"]
    head = (
        f"{about['processor']}, {about['cores']} cores shared with wrk, {about['system']}, Python {about['python']}, Node "
        f"{about['node']}; one-minute load before: {about['load_before']}. {report['database']}; {CONNECTIONS} connections, "
        f"medians of {report['rounds']} runs of {report['seconds']:g} s in turn."
    )
    parts = [head]
    found = report["found"]
    if "checks" in found:
        parts.append(_rates("update checks", found["checks"]))
    if "events" in found:
        parts.append(_rates("durable events", found["events"], "events_per_second"))
    if "overload" in found:
        parts.append(_overload(found["overload"]))
    if "hostile" in found:
        parts.append(_hostile(found["hostile"]))
    if "starting" in found:
        seconds, rest = found["starting"]["seconds"], found["starting"]["rest_bytes"] / MIB
        parts.append(f"From the command to the first answer: {seconds:.2f} s; at rest {rest:.0f} MiB.")
    return "\n\n".join(parts)


def _rates(title: str, figures: Figures, what: str = "per_second") -> str:
    rows = [[title, "a second", "least-most", "p50 ms", "p99 ms", "CPU us an answer", "peak MiB", "refused"]]
    for name, found in figures.items():
        factor = found[what] / found["per_second"] if found["per_second"] else 1
        runs = [run["per_second"] * factor for run in found["runs"]]
        spread = f"{min(runs):,.0f}-{max(runs):,.0f}"
        peak, refused = f"{found['peak_bytes'] / MIB:.0f}", f"{found['refused']:,}"
        rows.append(
            [
                name,
                f"{found[what]:,.0f}",
                spread,
                f"{found['p50_ms']:.1f}",
                f"{found['p99_ms']:.1f}",
                f"{found['cpu_us']:.0f}",
                peak,
                refused,
            ]
        )
    return table(rows)


def _overload(figures: Figures) -> str:
    rows = [["ten times the connections", "good answers a second", "p99 ms", "refused", "broken", "peak MiB"]]
    lines = []
    for kind, found in figures.items():
        steps = {"before": found["before"], "overloaded": found["overloaded"][0]}
        for step, each in {**steps, "overloaded again": found["overloaded"][1], "after": found["after"]}.items():
            rate, p99, peak = f"{each['per_second']:,.0f}", f"{each['p99_ms']:.1f}", f"{each['peak_bytes'] / MIB:.0f}"
            rows.append([f"{kind}: {step}", rate, p99, f"{each['refused']:,}", f"{each['broken']:,}", peak])
        lines.append(f"{kind}: quick answers again after {found['recovered_seconds']:.2f} s.")
    return table(rows) + "\n\n" + "\n".join(lines)


def _hostile(found: Figures) -> str:
    rows = [["hostile clients", "how their connections ended"]]
    for kind in found["outcomes"][0]:
        total: dict[str, float] = {}
        for each in found["outcomes"]:
            for outcome, count in each[kind].items():
                total[outcome] = total.get(outcome, 0) + count
        rows.append([kind, ", ".join(f"{outcome} x {count:,.0f}" for outcome, count in sorted(total.items()))])
    few, many = found["few"], found["many"]
    text = (
        f"p99 of {CONNECTIONS} connections that ask as fast as they are answered: {many['alone']['p99_ms']:.1f} ms alone, "
        f"{many['beside']['p99_ms']:.1f} ms beside all of these at once ({many['alone']['per_second']:,.0f} and "
        f"{many['beside']['per_second']:,.0f} answers a second); of four that ask 600 times a second: "
        f"{few['alone']['p99_ms']:.1f} and {few['beside']['p99_ms']:.1f} ms. The server's memory: at most "
        f"{found['peak_bytes'] / MIB:.0f} MiB."
    )
    return table(rows) + "\n\n" + text
