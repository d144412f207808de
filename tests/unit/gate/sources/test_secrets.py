from __future__ import annotations

import pytest

from otagate.gate.interface import SourceError
from otagate.gate.sources import _secrets
from otagate.gate.sources.command import harmless_lines


def test_words_of_a_credential_are_hidden_alone_and_together() -> None:
    words = _secrets.words_of(["Bearer abcdefgh12345678", "short"])
    assert words == ("Bearer abcdefgh12345678", "abcdefgh12345678")
    assert _secrets.hidden("no Bearer abcdefgh12345678, no abcdefgh12345678, short", words) == "no ***, no ***, short"


@pytest.mark.parametrize("body", [b'"a/secret-word"', b'"a\\/secret-word"', b"\xff a/secret-word and more"])
def test_an_answer_with_a_credential_is_not_quoted(body: bytes) -> None:
    error = SourceError("unusable", "GET https://m.example", "JSON", "bad = a/secr", "mend it")
    guarded = _secrets.guarded(error, body, ("a/secret-word",))
    assert (guarded.what, guarded.subject, guarded.expected, guarded.remedy) == (
        error.what,
        error.subject,
        error.expected,
        error.remedy,
    )
    assert guarded.found == "an answer that repeats a credential (not shown)"


def test_an_answer_without_one_is_quoted_as_it_is() -> None:
    error = SourceError("unusable", found="bad = 1.5")
    assert _secrets.guarded(error, b'{"bad": 1.5}', ("a-secret-word",)) is error


def test_a_credential_that_the_tail_cut_in_two_is_not_shown() -> None:
    secret = "s" * 50
    errors = (b"x" * 100 + secret.encode() + b" the end " + b"y" * 5000)[-4096:]
    assert "ss" not in harmless_lines(secret.encode()[10:] + b" the end " + b"y" * 4096, (secret,))
    assert harmless_lines(errors[:20], ()) == "y" * 20
    assert harmless_lines(f"log in failed: {secret}\n".encode(), (secret,)) == "log in failed: ***"
