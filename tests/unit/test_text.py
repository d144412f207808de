from __future__ import annotations

import pytest

from otagate._text import approval


@pytest.mark.parametrize(
    ("key", "words"),
    [("phase:beta", "phase beta"), ("insufficient:beta:0", "phase beta with too few devices"), ("other", "other"), ("", "")],
)
def test_what_is_to_be_approved_in_words(key: str, words: str) -> None:
    assert approval(key) == words
