"""What the roles call "written once" is never written otherwise: the bucket policy of S3 and the roles of Google rest on it."""

from __future__ import annotations

import fnmatch
import json
from pathlib import Path

from otagate.store.cloud import cloud_store
from otagate.store.objects import Absent, Condition, Headers, Unchanged
from support.buckets_memory import MemoryObjects
from support.iam import FOLDER
from support.world import DAY, NOW, World

BUCKET = "arn:aws:s3:::acme-updates/"


class Witness(MemoryObjects):
    """Remembers under which condition each document was written."""

    def __init__(self) -> None:
        super().__init__()
        self.created: set[str] = set()
        self.replaced: set[str] = set()

    def put(self, key: str, body: bytes, headers: Headers, condition: Condition) -> str:
        """See Objects.put."""
        made = super().put(key, body, headers, condition)
        (self.created if isinstance(condition, Absent) else self.replaced).add(key)
        if isinstance(condition, Unchanged) and not condition.token:
            raise ValueError(key)
        return made


def whole_rollout(folder: Path) -> Witness:
    witness = Witness()
    store = cloud_store("memory", witness, "")
    world = World(folder)
    for version in ("1.0.0", "1.1.0"):
        outcome = world.run(version, workspace=world.process(store))
        while not outcome.state.is_terminal and world.clock.now() < NOW + 40 * DAY:
            world.clock.pass_(DAY)
            outcome = world.run(version, workspace=world.process(store))
        assert outcome.state.is_terminal
    return witness


def forbidden_to_replace() -> list[str]:
    statements = json.loads((FOLDER / "aws-bucket.json").read_text("utf-8"))["Statement"]
    (found,) = [statement for statement in statements if statement["Condition"] == {"Null": {"s3:if-none-match": "true"}}]
    assert (found["Effect"], found["Action"]) == ("Deny", "s3:PutObject")
    return [resource.removeprefix(BUCKET) for resource in found["Resource"]]


def test_what_is_written_once_is_never_replaced(tmp_path: Path) -> None:
    witness = whole_rollout(tmp_path)
    for pattern in forbidden_to_replace():
        assert fnmatch.filter(witness.created, pattern)
        assert fnmatch.filter(witness.replaced, pattern) == []


def test_what_is_replaced_may_be_replaced_on_google(tmp_path: Path) -> None:
    witness = whole_rollout(tmp_path)
    allowed = "".join((FOLDER / f"google-{role}-replace.json").read_text("utf-8") for role in ("release", "sign"))
    folders = {
        "/".join(key.split("/")[:3]) + "/" if not key.endswith(("serial.json", "-head.json")) else key
        for key in witness.replaced
    }
    assert len(folders) >= 4
    assert [part for part in folders if f"objects/{part}" not in allowed] == []
