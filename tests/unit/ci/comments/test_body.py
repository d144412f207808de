from __future__ import annotations

import pytest

from otagate.ci.comments.body import MAX_BYTES, compose, is_same, plan_marker
from otagate.model import AppId

MARKER = plan_marker(AppId("com.example.app"))


def test_the_marker_is_one_hidden_line() -> None:
    assert MARKER == "<!-- otagate:plan:com.example.app -->"
    assert compose(MARKER, "text") == f"{MARKER}\ntext"


@pytest.mark.parametrize(
    ("written", "inert"),
    [
        ("@ana", "@<!-- -->ana"),
        ("\\@acme/team\\_x", "\\@<!-- -->acme/team\\_x"),
        ("\\#12 and #3", "\\#<!-- -->12 and #<!-- -->3"),
        ("### heading # not", "### heading # not"),
        ("a @ b", "a @ b"),
        ("/close", "\\/close"),
        ("a\n  /merge\n\t/approve", "a\n  \\/merge\n\t\\/approve"),
        ("a/b and /c", "a/b and /c"),
    ],
)
def test_hosts_do_not_act_on_the_text(written: str, inert: str) -> None:
    assert compose(MARKER, written) == f"{MARKER}\n{inert}"


@pytest.mark.parametrize("text", ["x" * MAX_BYTES, "é" * (MAX_BYTES // 2), ""])
def test_what_fits_is_kept(text: str) -> None:
    assert compose(MARKER, text) == f"{MARKER}\n{text}"


@pytest.mark.parametrize(("unit", "whole"), [("row é\n", "row é"), ("é", "é"), ("\U0001f680", "\U0001f680")])
def test_what_does_not_fit_is_cut_between_lines_or_letters(unit: str, whole: str) -> None:
    body = compose(MARKER, unit * MAX_BYTES)
    kept, _, note = body.removeprefix(f"{MARKER}\n").partition("\n\n_Cut here")
    assert note
    assert kept.endswith(whole)
    assert set(kept) == set(unit) | set(whole)
    assert MAX_BYTES - 10 <= len(kept.encode()) <= MAX_BYTES
    assert len(body) < 65_536


def test_half_a_character_pair_is_no_failure() -> None:
    assert compose(MARKER, "a\ud800b") == f"{MARKER}\na?b"


@pytest.mark.parametrize(
    ("stored", "same"),
    [("a\nb", True), ("a\r\nb\r\n", True), ("a  \nb\n\n", True), ("a\n\nb", False), ("ab", False), ("", False)],
)
def test_what_a_host_changes_is_no_difference(stored: str, same: bool) -> None:
    assert is_same(stored, "a\nb\n") is same
