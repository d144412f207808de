"""What somebody meant who wrote a percentage or a length of time in another way."""

from __future__ import annotations

import pytest

from otagate.policy.meant import meant


@pytest.mark.parametrize(
    ("kind", "value", "remedy"),
    [
        ("share", 2, "did you mean 2%?"),
        ("share", 2.5, "did you mean 2.5%?"),
        ("share", 0.02, "did you mean 2% or 0.02%?"),
        ("percent", "0.5", "did you mean 50% or 0.5%?"),
        ("percent", 0, "did you mean 0%?"),
        ("share", "2 %", "did you mean 2%?"),
        ("share", "2\u00a0%", "did you mean 2%?"),
        ("share", "2,5%", "did you mean 2.5%?"),
        ("share", "2 Percent", "did you mean 2%?"),
        ("increase", 150, "did you mean 150%?"),
        ("weight", "5", "did you mean 5%?"),
        ("weight", 0.001, "did you mean 0.1%?"),
        ("share", 200, None),
        ("share", "200%", None),
        ("share", "-2%", None),
        ("share", "2%", None),
        ("share", "two", None),
        ("share", True, None),
        ("share", None, None),
        ("share", ["2%"], None),
        ("duration", "1 day", "did you mean 1d?"),
        ("span", "2 hours 30 minutes", "did you mean 2h30m?"),
        ("duration", "90 secs", "did you mean 90s?"),
        ("duration", "24H", "did you mean 24h?"),
        ("duration", "24", None),
        ("span", "0 s", None),
        ("duration", "soon", None),
        ("size", "50 MB", None),
    ],
)
def test_guesses_fit_what_is_expected(kind: str, value: object, remedy: str | None) -> None:
    assert meant(kind, value) == remedy
