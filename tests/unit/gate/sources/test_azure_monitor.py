from __future__ import annotations

from typing import Any

import httpx
import pytest

from otagate.gate.interface import SourceError
from support.vendor_world import QUERY
from support.vendor_worlds_cloud import AzureWorld, body_of

COLUMNS = [{"name": "devices", "type": "long"}]


def table(*rows: object) -> dict[str, Any]:
    return {"name": "PrimaryResult", "columns": COLUMNS, "rows": list(rows)}


def read(answer: object, status: int = 200) -> object:
    return AzureWorld().source(lambda _: httpx.Response(status, json=answer)).read(QUERY).total


def test_the_workspace_is_asked_with_a_token() -> None:
    world, seen = AzureWorld(), []

    def respond(request: httpx.Request) -> httpx.Response:
        seen.append(request)
        return world.says(1, 9)(request)

    world.source(respond).read(QUERY)
    assert str(seen[0].url) == f"https://api.loganalytics.azure.com/v1/workspaces/{world.workspace}/query"
    assert seen[0].headers["Authorization"] == f"Bearer {world.secrets[0]}"
    assert body_of(seen[0]) == {
        "query": "bad of '1.4.2'",
        "timespan": "2026-11-21T00:00:00.000000Z/2026-11-21T00:59:59.999999Z",  # its end is included
    }


@pytest.mark.parametrize("answer", [{"tables": [table()]}, {"tables": [table([None])]}])
def test_shapes_of_no_data(answer: object) -> None:
    assert read(answer) is None


@pytest.mark.parametrize(
    ("answer", "words"),
    [
        ({"tables": []}, "0 tables"),
        ({"tables": [table([1]), table([1])]}, "2 tables"),
        ({"tables": [table([1], [2])]}, "2 series"),
        ({"tables": [table([1, 2])]}, "2 columns"),
        ({"tables": [table("1")]}, "is not a list"),
        ({"tables": [table(["12"])]}, "is not a number"),
    ],
)
def test_other_shapes_are_errors(answer: object, words: str) -> None:
    with pytest.raises(SourceError, match=words):
        read(answer)


@pytest.mark.parametrize(
    ("error", "words"),
    [
        ("cut short", "cut short"),
        ({"code": "PartialError", "message": "There were some errors."}, "PartialError There were some errors"),
        (
            {"code": "PartialError", "message": "Some errors.", "details": [{"code": "E_LIMIT", "message": "Too many rows."}]},
            "PartialError Some errors.: E_LIMIT Too many rows.",
        ),
        ({"code": "PartialError", "message": "Some errors.", "details": []}, "PartialError Some errors"),
    ],
)
def test_a_part_is_no_evidence(error: object, words: str) -> None:
    with pytest.raises(SourceError, match=words):
        read({"tables": [table([9])], "error": error})


def test_a_refused_query_is_told_with_its_reason() -> None:
    inner = {"code": "SyntaxError", "message": "A recognition error occurred"}
    error = {"code": "BadArgumentError", "message": "The request had some invalid properties", "innererror": inner}
    with pytest.raises(SourceError, match=r"BadArgumentError The request .*: SyntaxError A recognition error occurred"):
        read({"error": error}, 400)


def test_a_refusal_without_words() -> None:
    with pytest.raises(SourceError, match=r"HTTP 400\n"):
        read([], 400)
