"""Strict YAML: text to plain values with the place of every key and value, or to problems with places.

Stricter than YAML on purpose, because a policy decides what reaches phones: no duplicate keys, no merge keys, no tags but
the standard ones, few aliases and no recursion, bounded size, depth and count. Scalars follow the YAML 1.2 core schema,
read narrowly: ``no``, ``on``, ``1:30``, ``012``, ``0x1F``, ``.inf`` and dates stay text.

**Source:** YAML 1.2.2, chapter 10.3 "Core Schema", https://yaml.org/spec/1.2.2/#103-core-schema
"""

from __future__ import annotations

import re
from dataclasses import dataclass, field
from typing import Any, NoReturn

import yaml

from otagate._text import harmless
from otagate.policy.problems import Place, Problem, YamlPath, looks_secret

MAX_BYTES = 256 * 1024
MAX_DEPTH = 20
MAX_ALIASES = 20
MAX_NODES = 10_000
"""Values in the file, counted again wherever an alias repeats them."""

_TAG = "tag:yaml.org,2002:"
# At most 18 digits: longer numbers fit no field and stay text; converting huge ones would cost time.
_SCALARS = {
    f"{_TAG}null": re.compile(r"null|Null|NULL|~|"),
    f"{_TAG}bool": re.compile(r"true|True|TRUE|false|False|FALSE"),
    f"{_TAG}int": re.compile(r"[-+]?(?:0|[1-9][0-9]{0,17})", re.ASCII),
    f"{_TAG}float": re.compile(
        r"[-+]?(?:(?:0|[1-9][0-9]{0,17})(?:\.[0-9]{0,18})?|\.[0-9]{1,18})(?:[eE][-+]?[0-9]{1,2})?", re.ASCII
    ),
}
_CONTROL = re.compile("[^\t\n\r\x20-\x7e\x85\xa0-\ud7ff\ue000-\ufffd\U00010000-\U0010ffff]")
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
    ("found another document", "there is a second document", "keep one document, without a further '---'"),
)


class _Unreadable(Exception):  # noqa: N818 - not an error for users: it carries a Problem to the place that collects them
    def __init__(self, problem: Problem) -> None:
        super().__init__(problem.what)
        self.problem = problem


@dataclass(slots=True)
class Document:
    """A YAML document as plain values (dict, list, str, int, float, bool, None) with places.

    Attributes:
        data: The values.
        keys: Place of each key (in a list: of each item), by path.
        values: Place of each value, by path; of an alias the place of what it repeats.
        texts: Scalars as written, by path.
        problems: What was wrong; ``data`` then holds what could be read nevertheless, perhaps nothing.
    """

    data: Any = None
    keys: dict[YamlPath, Place] = field(default_factory=dict)
    values: dict[YamlPath, Place] = field(default_factory=dict)
    texts: dict[YamlPath, str] = field(default_factory=dict)
    problems: list[Problem] = field(default_factory=list)

    def place(self, path: YamlPath) -> Place:
        """Give the place of a value, or of the nearest thing around it that is there."""
        while path and path not in self.values:
            path = path[:-1]
        return self.values.get(path, Place(1, 1))

    def key_place(self, path: YamlPath) -> Place:
        """Give the place of a key, or of the nearest thing around it that is there."""
        return self.keys.get(path) or self.place(path)


def parse(raw: bytes) -> Document:
    """Read one YAML document: UTF-8, with or without a byte order mark, any line ends. Never raises for bad input."""
    document = Document()
    try:
        root = _compose(_decode(raw))
        document.data = _Converter(document).value(root, ())
    except _Unreadable as error:
        document.problems.append(error.problem)
    return document


def _stop(
    place: Place, what: str, *, expected: str | None = None, found: str | None = None, remedy: str | None = None
) -> NoReturn:
    raise _Unreadable(Problem(place, (), what, expected, found, remedy))


def _decode(raw: bytes) -> str:
    start = Place(1, 1)
    if len(raw) > MAX_BYTES:
        _stop(start, "the file is too large", expected=f"at most {MAX_BYTES} bytes", found="more")
    if raw.startswith((b"\xff\xfe", b"\xfe\xff")):
        _stop(start, "the file is not UTF-8", found="UTF-16 or UTF-32", remedy="save it as UTF-8")
    try:
        text = raw.decode("utf-8-sig")
    except UnicodeDecodeError as error:
        place = _end(raw[: error.start].decode("utf-8", "replace"))
        _stop(place, "the file is not UTF-8", found=f"the byte 0x{raw[error.start]:02x}", remedy="save it as UTF-8")
    control = _CONTROL.search(text)
    if control:
        found = f"the control character U+{ord(control[0]):04X}"
        _stop(_end(text[: control.start()]), "the file is not text", found=found, remedy="remove it")
    return text


def _end(before: str) -> Place:
    lines = re.split(r"\r\n|\n|\r", before)
    return Place(len(lines), len(lines[-1]) + 1)


def _compose(text: str) -> yaml.Node:
    try:
        root = yaml.compose(text, Loader=_Loader)
    except yaml.MarkedYAMLError as error:
        mark = error.problem_mark or error.context_mark
        place = Place(mark.line + 1, mark.column + 1) if mark else Place(1, 1)
        _stop_for_syntax(place, error.problem or "it cannot be read")
    except (yaml.YAMLError, ValueError, OverflowError):
        # PyYAML's scanner lets these through for escapes that are no character, such as "\U99999999".
        _stop(Place(1, 1), "the file is not YAML", remedy="look for a '\\' escape in double quotes that is no character")
    if root is None:
        _stop(Place(1, 1), "the file is empty", expected="at least `version: 1` and `branches:`", remedy="run `otagate init`")
    return root


def _stop_for_syntax(place: Place, said: str) -> NoReturn:
    for part, what, remedy in _SYNTAX_HINTS:
        if part in said:
            _stop(place, what, remedy=remedy)
    _stop(place, f"the file is not YAML: {harmless(said, 120)}", remedy="look at this line and the one before it")


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
            _stop(place, "the file holds too many values", expected=f"at most {MAX_NODES}")
        if len(self._open) >= MAX_DEPTH:
            _stop(place, "values are nested too deeply", expected=f"at most {MAX_DEPTH} levels")
        self._open.append(anchor)
        node = super().compose_node(parent, index)
        self._open.pop()
        return node

    def _check_alias(self, place: Place, anchor: str) -> None:
        self._aliases += 1
        if self._aliases > MAX_ALIASES:
            _stop(place, "there are too many aliases", expected=f"at most {MAX_ALIASES}", remedy="write the values out")
        if anchor in self._open:
            _stop(
                place,
                "an alias repeats the value that it stands in",
                found=f"*{harmless(anchor, 40)}",
                remedy="write the value out",
            )

    def resolve(self, kind: type[yaml.Node], value: str | None, implicit: Any) -> str:
        """See yaml.resolver.BaseResolver.resolve; YAML 1.2 instead of 1.1."""
        if kind is not yaml.ScalarNode:
            return f"{_TAG}map" if kind is yaml.MappingNode else f"{_TAG}seq"
        if implicit[0] and value is not None:
            return next((tag for tag, pattern in _SCALARS.items() if pattern.fullmatch(value)), f"{_TAG}str")
        return f"{_TAG}str"


class _Converter:
    """Node tree to plain values; notes places, and problems that need not stop the reading."""

    def __init__(self, document: Document) -> None:
        self._document = document
        self._count = 0

    def value(self, node: yaml.Node, path: YamlPath) -> Any:
        place = _place(node)
        self._count += 1
        if self._count > MAX_NODES:
            _stop(
                place, "aliases repeat too many values", expected=f"at most {MAX_NODES} in all", remedy="write the values out"
            )
        if len(path) > MAX_DEPTH:
            _stop(place, "values are nested too deeply", expected=f"at most {MAX_DEPTH} levels")
        self._document.values[path] = place
        if isinstance(node, yaml.MappingNode) and node.tag == f"{_TAG}map":
            return self._mapping(node, path)
        if isinstance(node, yaml.SequenceNode) and node.tag == f"{_TAG}seq":
            return [self._item(item, (*path, index)) for index, item in enumerate(node.value)]
        if isinstance(node, yaml.ScalarNode):
            return self._scalar(node, path)
        self._note(node, path, "a tag that does not fit", found=_tag_text(node))
        return None

    def _item(self, node: yaml.Node, path: YamlPath) -> Any:
        self._document.keys[path] = _place(node)
        return self.value(node, path)

    def _mapping(self, node: yaml.MappingNode, path: YamlPath) -> dict[str, Any]:
        result: dict[str, Any] = {}
        for key_node, value_node in node.value:
            key = self._key(key_node, path)
            if key is None:
                continue
            if key in result:
                first = self._document.keys[(*path, key)]
                self._note(key_node, (*path, key), f"this key stands twice, first in line {first.line}", remedy="remove one")
                continue
            self._document.keys[(*path, key)] = _place(key_node)
            result[key] = self.value(value_node, (*path, key))
        return result

    def _key(self, node: yaml.Node, path: YamlPath) -> str | None:
        # Keys are taken as written, so that branches called 1.0, 2024 or true need no quotes.
        if not isinstance(node, yaml.ScalarNode) or (not node.value and node.style is None):
            self._note(node, path, "a key is not text", remedy="patterns and templates with { } or [ ] need quotes")
            return None
        if node.tag not in {*_SCALARS, f"{_TAG}str"}:
            self._note(node, path, "a key has a tag", found=_tag_text(node), remedy="remove the tag")
            return None
        if node.value == "<<" and node.style is None:
            self._note(node, path, "merge keys (<<) are not read", remedy="write the values out")
            return None
        return self._text(node, path)

    def _scalar(self, node: yaml.ScalarNode, path: YamlPath) -> Any:
        text, tag = node.value, node.tag
        self._document.texts[path] = text
        if tag == f"{_TAG}str":
            return self._text(node, path)
        pattern = _SCALARS.get(tag)
        if pattern is None or not pattern.fullmatch(text):
            self._note(node, path, "this value has a tag that does not fit", found=_tag_text(node), remedy="remove the tag")
            return None
        if tag == f"{_TAG}null":
            return None
        if tag == f"{_TAG}bool":
            return text.lower() == "true"
        return int(text) if tag == f"{_TAG}int" else float(text)

    def _text(self, node: yaml.ScalarNode, path: YamlPath) -> str | None:
        text: str = node.value
        if re.search("[\x00\ud800-\udfff]", text):
            self._note(node, path, "a text holds a NUL or half of a surrogate pair", remedy="look at its '\\' escapes")
            return None
        return text

    def _note(self, node: yaml.Node, path: YamlPath, what: str, *, found: str | None = None, remedy: str | None = None) -> None:
        self._document.problems.append(Problem(_place(node), path, what, None, found, remedy))


def _place(node: yaml.Node) -> Place:
    return Place(node.start_mark.line + 1, node.start_mark.column + 1)


def _tag_text(node: yaml.Node) -> str:
    tag = node.tag.replace(_TAG, "!!")
    return "a tag" if looks_secret(tag) else harmless(tag, 40)
