from __future__ import annotations

from typing import Any

import pytest

from otagate.fleet.generations import REPRESENTATIVE, generation
from otagate.fleet.replies import Answered, react

OFFER = {"version": "1.2.3", "url": "https://x/1.zip", "session_key": "a:b", "checksum": "c"}


def refusal(kind: str, error: str = "some_error", **more: Any) -> dict[str, Any]:
    return {"error": error, "message": "words", "kind": kind, **more}


@pytest.mark.parametrize("version", REPRESENTATIVE)
def test_every_generation_takes_a_success(version: str) -> None:
    reaction = react(200, OFFER, generation(version))
    assert reaction.answered is Answered.OFFER
    assert reaction.offer is not None
    assert (reaction.offer.version, reaction.offer.session_key, reaction.offer.checksum) == ("1.2.3", "a:b", "c")
    assert not reaction.is_told


@pytest.mark.parametrize("version", REPRESENTATIVE)
@pytest.mark.parametrize("kind", ["up_to_date", "blocked"])
def test_no_generation_installs_what_is_refused(version: str, kind: str) -> None:
    plugin = generation(version)
    reaction = react(200, refusal(kind, version="9.9.9", url="https://x/9.zip"), plugin)
    assert reaction.offer is None
    # Older ones report "nothing new" as a failure; that is why a server discards it.
    assert reaction.is_told == (not plugin.has("reads_kind") and not plugin.has("quiet_refusals"))
    assert reaction.error == "some_error"


@pytest.mark.parametrize(
    ("kind", "told"),
    [
        ("up_to_date", False),
        ("blocked", False),
        ("failed", True),
        (None, True),
        ("", True),
        ("update_available", True),
        (7, True),
    ],
)
def test_kinds_of_the_newest(kind: Any, told: bool) -> None:
    reaction = react(200, refusal(kind), generation("8.51.23"))
    assert (reaction.is_told, reaction.answered) == (told, Answered.FAILED if told else Answered.NOTHING)


@pytest.mark.parametrize(
    ("status", "body", "version", "answered", "told"),
    [
        (200, {"kind": "up_to_date"}, "8.51.23", Answered.NOTHING, False),
        (200, {"error": "x"}, "8.51.23", Answered.FAILED, True),
        (200, {"message": "words"}, "8.51.23", Answered.FAILED, True),
        (200, {"message": "words"}, "7.0.50", Answered.FAILED, True),
        (200, {"error": "x"}, "7.28.0", Answered.NOTHING, False),
        (200, {"error": "x"}, "7.27.9", Answered.FAILED, True),
        (429, {"error": "x"}, "7.28.0", Answered.FAILED, True),
        (500, {}, "7.28.0", Answered.FAILED, True),
        (503, OFFER, "8.51.23", Answered.FAILED, True),
        (404, {"a": 1}, "7.0.50", Answered.FAILED, True),
        (200, None, "8.51.23", Answered.FAILED, True),
        (500, [1], "8.51.23", Answered.FAILED, True),
        (200, {"version": 7, "url": "https://x/1.zip"}, "8.51.23", Answered.FAILED, True),
        (200, {"version": "1.2.3"}, "8.51.23", Answered.FAILED, True),
        (200, {"version": "1.2.3", "url": "ftp://x/1.zip"}, "8.51.23", Answered.FAILED, True),
        (200, {"version": "1.2.3", "url": "http://[x"}, "8.51.23", Answered.FAILED, True),
        (200, {"version": "builtin"}, "8.51.23", Answered.BUILTIN, False),
        (200, {"version": "builtin"}, "6.1.0", Answered.FAILED, True),
        (200, refusal("up_to_date", version="builtin"), "8.51.23", Answered.NOTHING, False),
    ],
)
def test_other_answers(status: int, body: Any, version: str, answered: Answered, told: bool) -> None:
    reaction = react(status, body, generation(version))
    assert (reaction.answered, reaction.is_told) == (answered, told)


def test_a_manifest_is_for_those_who_read_it() -> None:
    body = {**OFFER, "manifest": [], "session_key": 3}
    new, old = react(200, body, generation("8.51.23")).offer, react(200, body, generation("6.2.0")).offer
    assert new is not None
    assert old is not None
    assert (new.manifest, new.session_key) == ([], "")
    assert old.manifest is None
