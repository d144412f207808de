"""What ``otagate init`` did, or would do."""

from __future__ import annotations

from dataclasses import dataclass
from enum import StrEnum
from pathlib import Path

from otagate.flow.init_detect import Surroundings
from otagate.flow.init_fleet import Fitted


class Deed(StrEnum):
    """What happens to a file."""

    CREATE = "create"
    UPDATE = "update"
    KEEP = "keep"
    BY_HAND = "by hand"
    MISSING = "missing"


@dataclass(frozen=True, slots=True)
class Item:
    """One file and what happens to it; ``path`` is relative to the policy's folder."""

    path: str
    deed: Deed
    note: str


@dataclass(frozen=True, slots=True)
class Initialised:
    """What init did, or with ``dry_run`` would do.

    Attributes:
        folder: The policy's folder.
        items: Every file, in the order of writing.
        found: What was detected.
        app_id: The app's id.
        storage: URL of the store in the policy that was, or would be, written; None where a policy is.
        by_hand: What a person must add to a ``.ts`` or ``.js`` configuration, or None.
        fitted: The rollout in the policy that was, or would be, written, where it was fitted to a number of devices.
        changes: Whether anything was, or would be, written.
    """

    folder: Path
    items: tuple[Item, ...]
    found: Surroundings
    app_id: str
    storage: str | None = None
    by_hand: str | None = None
    fitted: Fitted | None = None

    @property
    def changes(self) -> bool:
        """Whether anything was, or would be, written."""
        return any(item.deed in {Deed.CREATE, Deed.UPDATE} for item in self.items)
