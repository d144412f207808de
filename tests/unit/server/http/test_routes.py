from __future__ import annotations

import pytest

from otagate.server.http.openapi.document import document
from otagate.server.http.routes import BUNDLES, ROUTES, UNKNOWN, find
from otagate.server.transport import limits
from otagate.server.transport.limits import Refusal


@pytest.mark.parametrize("path", ["", "/", "/UPDATES", "/updates/x", "//updates", "/bundles/sha256", "/api", "updates"])
def test_paths_are_matched_exactly(path: str) -> None:
    assert find(path) is UNKNOWN


def test_every_path_is_found() -> None:
    assert {find(path) for path in ROUTES} == set(ROUTES.values())
    assert find("/bundles/sha256/x") is BUNDLES
    assert BUNDLES.allow == b"GET, HEAD"


def test_everything_that_the_transport_refuses_is_documented() -> None:
    known = {refusal.status for refusal in vars(limits).values() if isinstance(refusal, Refusal)}
    assert len(known) > 5
    for path, item in document()["paths"].items():
        for method, operation in item.items():
            if method != "parameters":
                assert {str(status) for status in known} <= set(operation["responses"]), path
