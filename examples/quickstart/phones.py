"""Stand-in for telemetry in the demo: simulated phones, counted the way a gate wants them.

usage: phones.py METRIC RELEASE CHANNEL WEIGHT      prints {"bad": devices, "total": devices}

Who is simulated: 40 colleagues on `internal`, 600 volunteers on `beta`, 20,000 users on `stable`. A release whose folder has
a file `faults/<version>` with a share in it (such as 0.18) crashes on that share of the phones that are older than 2022; the
colleagues all have new ones, which is why a fault gets past them.
"""

import hashlib
import json
import sys
from pathlib import Path

PHONES = {"internal": 40, "beta": 600, "stable": 20_000}
EVERYDAY_CRASHES = 0.004
NEVER_ARRIVES = 0.006  # downloads that break off: the reason why no success rate is ever 100 %


def chance(*parts: str) -> float:
    """Give a number in [0, 1) that depends on nothing but the parts: the same phones meet the same fate each time."""
    digest = hashlib.sha256("/".join(parts).encode()).digest()
    return int.from_bytes(digest[:8], "big") / 2**64


def fails(metric: str, release: str, channel: str, phone: str) -> bool:
    """Tell whether this phone counts as bad for this metric."""
    if metric == "device_success_rate":
        return chance("arrive", release, channel, phone) < NEVER_ARRIVES
    fault = Path(__file__).parent / "faults" / release
    is_old = channel != "internal" and chance("age", phone) < 0.6
    share = float(fault.read_text()) if fault.exists() and is_old else 0.0
    everyday = 0.0 if channel == "internal" else EVERYDAY_CRASHES
    return chance("crash", release, channel, phone) < everyday + share


def main() -> None:
    """Print the counts for one metric, release and channel at a weight such as ``25%``."""
    metric, release, channel, weight = sys.argv[1:]
    share = float(weight.rstrip("%")) / 100
    phones = [f"phone-{number}" for number in range(PHONES[channel]) if chance("in", release, f"{channel}-{number}") < share]
    bad = sum(fails(metric, release, channel, phone) for phone in phones)
    print(json.dumps({"bad": bad, "total": len(phones)}))


if __name__ == "__main__":
    main()
