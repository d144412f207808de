from __future__ import annotations

import pickle

import pytest

from otagate.errors import OtagateError, UnavailableError, UsageError
from otagate.server.transport.child import pack, revive
from otagate.server.transport.supervisor import back_off


@pytest.mark.parametrize(("failures", "seconds"), [(0, 0), (1, 0.25), (2, 0.5), (3, 1), (7, 16), (8, 30), (1000, 30)])
def test_a_worker_that_dies_again_and_again_is_waited_for_longer(failures: int, seconds: float) -> None:
    assert back_off(failures) == seconds


@pytest.mark.parametrize(
    "error",
    [
        UsageError(what="a", subject="b", expected="c", found="d", remedy="e", details=("f", "g")),
        UnavailableError("a"),
        OtagateError("x"),
    ],
)
def test_an_error_travels_whole(error: OtagateError) -> None:
    revived = revive(pickle.loads(pickle.dumps(pack(error))))
    assert type(revived) is type(error)
    assert str(revived) == str(error)
