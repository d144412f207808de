"""Answers that no service should give to what was asked: each is an error of otagate, and none a bug of it."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest

from otagate.errors import ConflictError, NotFoundError, OtagateError, UnavailableError
from otagate.model import Digest
from otagate.store.cloud import cloud_store
from otagate.store.interface import Store
from otagate.store.objects import MissingObjectError, RefusedError, TransientError

DIGEST = Digest.of(b"blob")


class Refusing:
    """A bucket that says to everything that another writer is in the way."""

    where = "s3://bucket"

    def __getattr__(self, name: str) -> Callable[..., Any]:
        def refuse(*_: object) -> Any:
            raise RefusedError("412")

        return refuse


OPERATIONS: dict[str, Callable[[Store], object]] = {
    "read": lambda store: store.documents.read("a.json"),
    "delete": lambda store: store.documents.delete("a.json"),
    "keys": lambda store: list(store.documents.keys("apps/")),
    "size": lambda store: store.blobs.size(DIGEST),
    "open": lambda store: store.blobs.open(DIGEST),
    "delete blob": lambda store: store.blobs.delete(DIGEST),
    "list": lambda store: list(store.blobs.list()),
    "sign": lambda store: store.blobs.signed_url(DIGEST, timedelta(hours=1)),
    "abort": lambda store: store.blobs.abort_unfinished(datetime.now(UTC)),
    "create": lambda store: store.documents.create("a.json", b"{}"),
    "replace": lambda store: store.documents.replace("a.json", b"{}", "token"),
}


@pytest.mark.parametrize("name", OPERATIONS)
def test_a_refusal_of_what_has_no_condition_is_no_answer(name: str) -> None:
    store = cloud_store("s3://bucket", Refusing(), "", sleep=lambda _: None)
    with pytest.raises(OtagateError) as caught:
        OPERATIONS[name](store)
    assert isinstance(caught.value, ConflictError if name == "create" else UnavailableError)


class Vanishing(Refusing):
    """A blob that is removed while it is read."""

    def __init__(self) -> None:
        self.count = 0

    def stream(self, _key: str, start: int) -> Iterator[bytes]:
        self.count += 1
        if start:
            raise MissingObjectError("404")
        yield b"the beginning"
        raise TransientError("the connection broke")


def test_a_blob_that_goes_while_it_is_read_is_not_found() -> None:
    bucket = Vanishing()
    store = cloud_store("s3://bucket", bucket, "", sleep=lambda _: None)
    with store.blobs.open(DIGEST) as stream:
        assert stream.read(4) == b"the "
        with pytest.raises(NotFoundError, match="while it was read"):
            stream.read()
    assert bucket.count == 2
