"""Finding the policy file; apart from loading it, because some verbs only ask whether there is one."""

from __future__ import annotations

from pathlib import Path

from otagate._text import harmless
from otagate.errors import UsageError

POLICY_NAMES = ("otagate.yml", "otagate.yaml")


def find_policy(start: Path) -> Path:
    """Find the policy: ``otagate.yml`` or ``otagate.yaml`` in ``start`` or a folder above, up to the repository's top.

    Raises:
        UsageError: There is none, or both names are in one folder.
    """
    start = start.resolve()
    for folder in (start, *start.parents):
        found = [folder / name for name in POLICY_NAMES if (folder / name).is_file()]
        if len(found) > 1:
            raise UsageError(
                "there are two policy files",
                subject=harmless(str(folder)),
                found=" and ".join(POLICY_NAMES),
                remedy="remove one",
            )
        if found:
            return found[0]
        if (folder / ".git").exists():
            break
    raise UsageError(
        "there is no policy file",
        subject=harmless(str(start)),
        expected="otagate.yml here or in a folder above, up to the repository's top",
        remedy="run `otagate init`, or name the file with --policy",
    )
