from __future__ import annotations

import hashlib
import re
from datetime import timedelta

import pytest
from hypothesis import given
from hypothesis import strategies as st

from otagate.errors import UsageError, VerificationError
from otagate.telemetry import tokens
from otagate.telemetry.tokens import Limit, Minted, Scope, Token, Verb
from support.operators import APP, NOW


def test_a_token_has_an_id_and_256_random_bits() -> None:
    made = [tokens.mint() for _ in range(50)]
    assert len({one.text for one in made}) == len({one.id for one in made}) == 50
    for one in made:
        assert re.fullmatch(r"otg_[a-z2-7]{12}_[A-Za-z0-9_-]{43}", one.text)
        assert tokens.id_in(one.text) == one.id


def test_only_the_digest_of_the_whole_text_is_kept_and_the_text_is_never_shown() -> None:
    made = tokens.mint()
    assert made.digest == hashlib.sha256(made.text.encode()).digest()
    assert made.text not in repr(made)


@pytest.mark.parametrize(
    "text",
    [
        "",
        "otg_",
        "otg_aaaaaaaaaaaa_" + "A" * 42,
        "otg_aaaaaaaaaaaa_" + "A" * 44,
        "otg_aaaaaaaaaaaa_" + "A" * 43 + "\n",
        "otg_AAAAAAAAAAAA_" + "A" * 43,
        "otg_aaaaaaaaaaa1_" + "A" * 43,
        "otg_aaaaaaaaaaaa_" + "Ä" * 43,
        "otg_aaaaaaaaaaaa_" + "A" * 42 + "\0",
        "550e8400-e29b-41d4-a716-446655440000",
    ],
)
def test_what_cannot_be_a_token_is_not_looked_up(text: str) -> None:
    assert tokens.id_in(text) is None


@given(st.text())
def test_any_text_has_a_digest(text: str) -> None:
    assert len(tokens.digest_of(text)) == 32


def test_a_lone_surrogate_has_a_digest_too() -> None:
    assert tokens.digest_of("\ud800") != tokens.digest_of("")


def test_an_empty_limit_is_refused_and_all_is_a_word_of_its_own() -> None:
    with pytest.raises(UsageError, match="this is no limit"):
        Limit.only()
    with pytest.raises(UsageError, match="this is no limit"):
        Limit(frozenset({"x"}), is_all=True)
    assert Limit.all().allows("anything")
    assert not Limit.only("all").is_all


@pytest.mark.parametrize(
    ("name", "is_allowed"), [("a_b", True), ("axb", False), ("A_B", False), ("a_b ", False), ("", False), ("%", False)]
)
def test_names_are_compared_exactly(name: str, is_allowed: bool) -> None:
    assert Limit.only("a_b").allows(name) is is_allowed


@pytest.mark.parametrize("limit", [Limit.all(), Limit.only("beta"), Limit.only("b", "a")])
def test_a_limit_is_read_as_it_was_written(limit: Limit) -> None:
    assert tokens.read_limit(tokens.limit_text(limit), "id") == limit


@pytest.mark.parametrize("text", ["", "[]", "null", '"ALL"', "true", "{}", '["a",1]', "[[]]", "all", '""'])
def test_a_limit_that_cannot_be_read_allows_nothing(text: str) -> None:
    with pytest.raises(VerificationError, match="no limit that can be read"):
        tokens.read_limit(text, "aaaaaaaaaaaa")


def test_a_limit_for_people() -> None:
    assert (str(Limit.all()), str(Limit.only("b", "a"))) == ("all", "a, b")


def test_a_scope_needs_a_verb_a_name_and_names_that_can_be() -> None:
    every = Limit.all()
    with pytest.raises(UsageError, match="without a verb"):
        Scope("x", every, every, frozenset())
    for name in ("", "x" * 101, "a\nb", "\x1b[31m"):
        with pytest.raises(UsageError, match="no name for a token"):
            Scope(name, every, every, frozenset({Verb.METRICS}))
    with pytest.raises(UsageError, match="not an app id"):
        Scope("x", Limit.only("*"), every, frozenset({Verb.METRICS}))
    with pytest.raises(UsageError, match="not a channel name"):
        Scope("x", every, Limit.only("*"), frozenset({Verb.METRICS}))


def test_a_scope_allows_what_it_names() -> None:
    found = Scope("x", Limit.only(APP), Limit.only("beta"), frozenset({Verb.METRICS}))
    assert found.allows(Verb.METRICS, APP)
    assert not found.allows(Verb.DEVICE_WRITE, APP)
    assert not found.allows(Verb.METRICS, "com.example.other")
    assert found.data == {"name": "x", "apps": [APP], "channels": ["beta"], "verbs": ["metrics"]}


def test_a_token_ends() -> None:
    every = Scope("x", Limit.all(), Limit.all(), frozenset(Verb))
    token = Token("a" * 12, every, NOW, tokens.expiry(NOW, timedelta(days=1)))
    assert token.state(NOW + timedelta(days=1, seconds=-1)) == "valid"
    assert token.state(NOW + timedelta(days=1)) == "expired"
    assert Token("a" * 12, every, NOW, token.expires, revoked=NOW).state(NOW) == "revoked"


@pytest.mark.parametrize("life", [timedelta(0), timedelta(days=-1), timedelta(days=366, seconds=1)])
def test_no_token_is_for_ever(life: timedelta) -> None:
    with pytest.raises(UsageError, match="cannot be valid for that long"):
        tokens.expiry(NOW, life)


def test_an_id_is_checked_and_a_whole_token_in_its_place_is_not_repeated() -> None:
    made = tokens.mint()
    assert tokens.checked_id(made.id) == made.id
    with pytest.raises(UsageError) as caught:
        tokens.checked_id(made.text)
    assert made.text not in str(caught.value)


def test_minted_is_a_value() -> None:
    assert Minted("a", "b") == Minted("a", "b")
