"""A process that reconciles a rollout until it is over, and says what it asked of the store and when.

Run: python reconcile_worker.py FOLDER ROLLOUT. It makes a file ``ready-<pid>`` in FOLDER, begins when there is one
called ``go``, and prints every call as a line of JSON.
"""

from __future__ import annotations

import hashlib
import json
import os
import sys
import time
from collections.abc import Callable, Iterator
from contextlib import suppress
from dataclasses import asdict, replace
from pathlib import Path
from typing import TypeVar

from otagate.ci.detect import read_context
from otagate.errors import ConflictError
from otagate.flow.workspace import Workspace
from otagate.policy.load import load_policy
from otagate.store.interface import Document, DocumentStore, Store
from support.linearizable import Call

_T = TypeVar("_T")
_PATIENCE_S = 60.0


class TimedDocuments:
    """A document store that notes every call with the machine's clock. Tokens must be the SHA-256 of the bytes. See DocumentStore."""

    def __init__(self, inner: DocumentStore) -> None:
        self._inner = inner
        self.calls: list[Call] = []

    def _do(self, call: Call, operation: Callable[[], _T], found: Callable[[_T], str | None]) -> _T:
        call = replace(call, who=str(os.getpid()), began=time.monotonic_ns())
        try:
            answer = operation()
        except ConflictError:
            self.calls.append(replace(call, ended=time.monotonic_ns(), is_refused=True))
            raise
        self.calls.append(replace(call, ended=time.monotonic_ns(), token=found(answer)))
        return answer

    def read(self, key: str) -> Document | None:
        return self._do(Call("", key, "read", 0), lambda: self._inner.read(key), lambda there: there.token if there else None)

    def create(self, key: str, body: bytes) -> str:
        call = Call("", key, "create", 0, token=hashlib.sha256(body).hexdigest())
        return self._do(call, lambda: self._inner.create(key, body), str)

    def replace(self, key: str, body: bytes, token: str) -> str:
        call = Call("", key, "replace", 0, expects=token, token=hashlib.sha256(body).hexdigest())
        return self._do(call, lambda: self._inner.replace(key, body, token), str)

    def delete(self, key: str) -> None:
        self._do(Call("", key, "delete", 0), lambda: self._inner.delete(key), lambda _: None)

    def keys(self, prefix: str) -> Iterator[str]:
        return self._inner.keys(prefix)


def reconcile(folder: Path, rollout: str) -> list[Call]:
    """Reconcile until the rollout is over."""
    workspace = Workspace(load_policy(folder / "otagate.yml"), read_context(os.environ, folder), os.environ)
    store = workspace.store
    timed = TimedDocuments(store.documents)
    workspace.store = Store(store.url, store.blobs, timed)
    (folder / f"ready-{os.getpid()}").touch()
    while not (folder / "go").exists():
        time.sleep(0.001)
    end = time.monotonic() + _PATIENCE_S
    while time.monotonic() < end:
        with suppress(ConflictError):
            if workspace.reconciler.reconcile(rollout).state.is_over:
                break
    return timed.calls


if __name__ == "__main__":
    for call in reconcile(Path(sys.argv[1]), sys.argv[2]):
        print(json.dumps(asdict(call)))
