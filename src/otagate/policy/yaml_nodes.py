"""YAML text to PyYAML's node tree, within bounds that are checked while it is read. See ``strict_yaml``."""

from __future__ import annotations

import re
from typing import Any, NoReturn

import yaml

from otagate._text import harmless
from otagate.policy.problems import Place, Problem

MAX_DEPTH = 20
MAX_ALIASES = 20
MAX_NODES = 10_000
"""Values in the file, counted again wherever an alias repeats them."""

TAG = "tag:yaml.org,2002:"
# At most 18 digits: longer numbers fit no field and stay text; converting huge ones would cost time.
SCALARS = {
    f"{TAG}null": re.compile(r"null|Null|NULL|~|"),
    f"{TAG}bool": re.compile(r"true|True|TRUE|false|False|FALSE"),
    f"{TAG}int": re.compile(r"[-+]?(?:0|[1-9][0-9]{0,17})", re.ASCII),
    f"{TAG}float": re.compile(
        r"[-+]?(?:(?:0|[1-9][0-9]{0,17})(?:\.[0-9]{0,18})?|\.[0-9]{1,18})(?:[eE][-+]?[0-9]{1,2})?", re.ASCII
    ),
}
_SYNTAX_HINTS = (
    ("found character '\\t'", "a tab stands where YAML wants spaces", "indent with spaces"),
    ("undefined alias", "text that begins with '*' names an alias that is not there", 'put patterns in quotes, such as "*"'),
    (
        "expected alphabetic or numeric character",
        "text that begins with '*' or '&' is an alias to YAML",
        'put it in quotes, such as "*"',
    ),
    ("found character '%'", "text may not begin with '%'", "put it in quotes"),
    ("found character '@'", "text may not begin with '@'", "put it in quotes"),
    ("found character '`'", "text may not begin with a backtick", "put it in quotes"),
    (
        "mapping values are not allowed",
        "there is a ':' too many here",
        "look at the indentation, or put text that holds ': ' in quotes",
    ),
    (
        "expected <block end>",
        "the indentation does not fit, or text that begins with '{' or '[' has no quotes",
        "put it in quotes",
    ),
    ("but got '?'", "text that holds a '?' stands in brackets without quotes", "put it in quotes"),
    ("found another document", "there is a second document", "keep one document, without a further '---'"),
)


class Unreadable(Exception):  # noqa: N818 - not an error for users: it carries a Problem to the place that collects them
    """The text is no YAML, or goes beyond our bounds: nothing behind this place can be read."""

    def __init__(self, problem: Problem) -> None:
        super().__init__(problem.what)
        self.problem = problem


def stop(
    place: Place, what: str, *, expected: str | None = None, found: str | None = None, remedy: str | None = None
) -> NoReturn:
    """Give up reading, with one problem.

    Raises:
        Unreadable: Always.
    """
    raise Unreadable(Problem(place, (), what, expected, found, remedy))


def compose(text: str) -> yaml.Node:
    """Read one document as a tree of nodes whose tags are YAML 1.2's.

    Raises:
        Unreadable: Not YAML, not exactly one document, or too much of something.
    """
    try:
        root = yaml.compose(text, Loader=_Loader)
    except yaml.MarkedYAMLError as error:
        mark = error.problem_mark or error.context_mark
        place = Place(mark.line + 1, mark.column + 1) if mark else Place(1, 1)
        _stop_for_syntax(place, error.problem or "it cannot be read")
    except (yaml.YAMLError, ValueError, OverflowError):
        # PyYAML's scanner lets these through for escapes that are no character, such as "\U99999999".
        stop(Place(1, 1), "the file is not YAML", remedy="look for a '\\' escape in double quotes that is no character")
    if root is None:
        stop(Place(1, 1), "the file is empty", expected="at least `version: 1` and `branches:`", remedy="run `otagate init`")
    return root


def _stop_for_syntax(place: Place, said: str) -> NoReturn:
    for part, what, remedy in _SYNTAX_HINTS:
        if part in said:
            stop(place, what, remedy=remedy)
    stop(place, f"the file is not YAML: {harmless(said, 120)}", remedy="look at this line and the one before it")


class _Loader(yaml.SafeLoader):
    """PyYAML's safe loader up to the node tree, bounded while it reads, with YAML 1.2 scalars. Nothing is constructed."""

    def __init__(self, stream: str) -> None:
        super().__init__(stream)
        self._depth = 0
        self._aliases = 0
        self._count = 0
        self._open: list[str | None] = []

    def compose_node(self, parent: yaml.Node | None, index: Any) -> yaml.Node | None:
        """See yaml.composer.Composer.compose_node."""
        event = self.peek_event()  # type: ignore[no-untyped-call]
        place = Place(event.start_mark.line + 1, event.start_mark.column + 1)
        anchor = event.anchor
        if isinstance(event, yaml.AliasEvent):
            self._check_alias(place, anchor)
            return super().compose_node(parent, index)
        self._count += 1
        if self._count > MAX_NODES:
            stop(place, "the file holds too many values", expected=f"at most {MAX_NODES}")
        if len(self._open) >= MAX_DEPTH:
            stop(place, "values are nested too deeply", expected=f"at most {MAX_DEPTH} levels")
        self._open.append(anchor)
        node = super().compose_node(parent, index)
        self._open.pop()
        return node

    def _check_alias(self, place: Place, anchor: str) -> None:
        self._aliases += 1
        if self._aliases > MAX_ALIASES:
            stop(place, "there are too many aliases", expected=f"at most {MAX_ALIASES}", remedy="write the values out")
        if anchor in self._open:
            stop(
                place,
                "an alias repeats the value that it stands in",
                found=f"*{harmless(anchor, 40)}",
                remedy="write the value out",
            )

    def resolve(self, kind: type[yaml.Node], value: str | None, implicit: Any) -> str:
        """See yaml.resolver.BaseResolver.resolve; YAML 1.2 instead of 1.1."""
        if kind is not yaml.ScalarNode:
            return f"{TAG}map" if kind is yaml.MappingNode else f"{TAG}seq"
        if implicit[0] and value is not None:
            return next((tag for tag, pattern in SCALARS.items() if pattern.fullmatch(value)), f"{TAG}str")
        return f"{TAG}str"
