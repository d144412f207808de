"""Keeping a source's credentials out of messages: servers and commands repeat in their errors what they were given."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import replace

from otagate.gate.interface import SourceError

MIN_CHARS = 8
"""Shorter words are left alone: hiding them would blot out innocent text, and they are no secrets."""


def words_of(values: Iterable[str]) -> tuple[str, ...]:
    """Give the words of credentials that must not be shown, the longest first: of ``Bearer abc…`` also ``abc…`` alone."""
    words = {word for value in values for word in (value.strip(), *value.split()) if len(word) >= MIN_CHARS}
    return tuple(sorted(words, key=len, reverse=True))


def hidden(text: str, words: Iterable[str]) -> str:
    """Replace each of the words by ``***``."""
    for word in words:
        text = text.replace(word, "***")
    return text


def guarded(error: SourceError, body: bytes, words: Iterable[str]) -> SourceError:
    """Make an error about an answer show nothing of it when the answer holds a credential.

    The words are looked for in the whole answer, because a message may hold only the beginning of one.
    """
    text = body.decode("utf-8", "replace").replace("\\/", "/")  # JSON may escape a slash
    if not any(word in text for word in words):
        return error
    return replace(error, found="an answer that repeats a credential (not shown)")
