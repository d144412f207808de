"""What each generation of the plugin does differently, as data: one table of features and the versions that began them.

**Source:** docs/fleet.md says which; read from the sources of @capgo/capacitor-updater at its tags (Android), 5.0.0 to 8.51.14,
and from its packages 5.50.2, 6.51.16, 7.0.50, 7.51.21 and 8.51.23. Other versions of the lines 6.51 and 7.51 are taken to do
what 8.51 of the same number does.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass
from enum import StrEnum
from functools import lru_cache

from otagate._text import harmless
from otagate.errors import UsageError

_VERSION = re.compile(r"([5-8])\.([0-9]{1,4})\.([0-9]{1,4})", re.ASCII)

_NEVER = (10_000, 0)
# Feature -> major -> (minor, patch) of the first version that has it. A major that is missing never has it.
SINCE: Mapping[str, Mapping[int, tuple[int, int]]] = {
    # Checksums are hex of the wrapped bytes; before, base64 of the wrapped bytes that the hex digits make as base64.
    "hex_checksum": {5: (30, 0), 6: (30, 0), 7: (30, 0), 8: (0, 0)},
    # A checksum that does not decode to 256 bytes is refused before RSA is tried.
    "strict_checksum": {5: (50, 1), 6: (50, 1), 7: (50, 1), 8: (41, 3)},
    # With a public key, a bundle without a checksum is refused with `checksum_required`.
    "needs_checksum": {5: (50, 1), 6: (14, 28), 7: (2, 15), 8: (0, 0)},
    # Every zip needs a checksum, and with a public key a session key, before anything is downloaded.
    "gates_download": {8: (51, 23)},
    "reads_manifest": {5: (50, 1), 6: (3, 0), 7: (0, 0), 8: (0, 0)},
    "resets_to_builtin": {5: (50, 1), 6: (2, 0), 7: (0, 2), 8: (0, 0)},
    "tells_key_id": {5: (50, 1), 6: (50, 1), 7: (50, 1), 8: (2, 0)},
    "tells_install_source": {5: (50, 1), 6: (50, 1), 7: (50, 1), 8: (50, 0)},
    # The built-in bundle is told as the native version instead of `builtin`.
    "builtin_is_native": {5: (50, 1), 6: (50, 1), 7: (50, 1), 8: (44, 0)},
    # Events wait up to a second and go out as one array, with a timestamp each; before, one request an event.
    "batches": {5: (50, 1), 6: (50, 1), 7: (50, 1), 8: (42, 0)},
    # Events that could not be sent are kept for later; before, they are lost.
    "requeues": {6: (51, 5), 7: (51, 5), 8: (51, 5)},
    # 429 stops every call until Retry-After has passed ...
    "waits_after_429": {6: (51, 5), 7: (51, 5), 8: (51, 5)},
    # ... and before that until the app is started again.
    "latches_after_429": {5: (50, 1), 6: (14, 28), 7: (23, 8), 8: (0, 0)},
    # The download worker tells what it does by itself: single objects without a timestamp, never sent again.
    "worker_events": {5: (50, 1), 6: (25, 2), 7: (26, 0), 8: (0, 0)},
    "tells_set_next": {5: (50, 1), 6: (50, 1), 7: (50, 1), 8: (44, 0)},
    "tells_launches": {6: (51, 0), 7: (51, 0), 8: (51, 0)},
    "tells_crashes": {5: (50, 1), 6: (50, 1), 7: (50, 1), 8: (46, 0)},
    "tells_deletes": {6: (51, 1), 7: (51, 1), 8: (51, 1)},
    # A download that was cut is taken up again by the system where it ended.
    "resumes": {7: (51, 21), 8: (51, 15)},
    # The device keeps the channel that the app chose and sends it as `defaultChannel`; before, the server keeps it.
    "keeps_channel": {5: (34, 0), 6: (34, 0), 7: (34, 0), 8: (0, 0)},
    "reads_kind": {5: (50, 1), 6: (50, 1), 7: (50, 1), 8: (45, 11)},
    # A refusal with status 2xx is no failed download.
    "quiet_refusals": {6: (27, 10), 7: (28, 0), 8: (0, 0)},
    # Looks for `error` before `message`.
    "reads_error": {5: (50, 1), 6: (14, 25), 7: (8, 2), 8: (0, 0)},
}
_BACKEND_REFUSAL = {6: ((14, 25), (25, 4)), 7: ((17, 0), (27, 4))}


class Reading(StrEnum):
    """What of a reply tells this generation that there is no update."""

    MESSAGE = "message"
    ERROR = "error"
    KIND = "kind"


@dataclass(frozen=True, slots=True)
class Generation:
    """A version of the plugin; see :data:`SINCE` for what the fields mean.

    Attributes:
        version: ``major.minor.patch``.
        features: The names of :data:`SINCE` that it has.
        reading: See :class:`Reading`.
        failure_action: What it calls an update check that failed.
    """

    version: str
    features: frozenset[str]
    reading: Reading
    failure_action: str

    def has(self, feature: str) -> bool:
        """Tell whether it has a feature of :data:`SINCE`."""
        return feature in self.features


REPRESENTATIVE = (
    "5.50.2",
    "6.14.19",
    "6.25.3",
    "6.27.11",
    "6.51.16",
    "7.0.50",
    "7.23.9",
    "7.27.9",
    "7.28.0",
    "7.36.1",
    "7.51.21",
    "8.41.3",
    "8.45.10",
    "8.45.11",
    "8.51.14",
    "8.51.23",
)
"""One version for every way in which generations differ."""


@lru_cache(maxsize=256)
def generation(version: str) -> Generation:
    """Give what a version of the plugin does.

    Raises:
        UsageError: Not a version from 5 to 8: 4 has another protocol, and 9 and 10 on the registry are strays.
    """
    match = _VERSION.fullmatch(version)
    if not match:
        raise UsageError(
            "no such generation of the plugin is known",
            "plugin version",
            expected="major.minor.patch of 5, 6, 7 or 8, such as 8.51.23",
            found=repr(harmless(version, 40)),
        )
    major, at = int(match[1]), (int(match[2]), int(match[3]))
    features = frozenset(name for name, since in SINCE.items() if at >= since.get(major, _NEVER))
    low, high = _BACKEND_REFUSAL.get(major, (_NEVER, _NEVER))
    reading = Reading.ERROR if "reads_error" in features else Reading.MESSAGE
    return Generation(
        version=version,
        features=features,
        reading=Reading.KIND if "reads_kind" in features else reading,
        failure_action="backend_refusal" if low <= at <= high else "download_fail",
    )
