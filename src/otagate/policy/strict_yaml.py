"""Strict YAML: text to plain values with the place of every key and value, or to problems with places.

Stricter than YAML on purpose, because a policy decides what reaches phones: no duplicate keys, no merge keys, no tags but
the standard ones, few aliases and no recursion, bounded size, depth and count. Scalars follow the YAML 1.2 core schema,
read narrowly: ``no``, ``on``, ``1:30``, ``012``, ``0x1F``, ``.inf`` and dates stay text.

**Source:** YAML 1.2.2, chapter 10.3 "Core Schema", https://yaml.org/spec/1.2.2/#103-core-schema
"""

from __future__ import annotations

import re
from dataclasses import dataclass, field
from typing import Any

import yaml

from otagate._text import harmless
from otagate.policy.problems import Place, Problem, YamlPath, looks_secret
from otagate.policy.yaml_nodes import MAX_DEPTH, MAX_NODES, SCALARS, TAG, Unreadable, compose, stop

MAX_BYTES = 256 * 1024

_CONTROL = re.compile("[^\t\n\r\x20-\x7e\x85\xa0-\ud7ff\ue000-\ufffd\U00010000-\U0010ffff]")


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
        root = compose(_decode(raw))
        document.data = _Converter(document).value(root, ())
    except Unreadable as error:
        document.problems.append(error.problem)
    return document


def _decode(raw: bytes) -> str:
    start = Place(1, 1)
    if len(raw) > MAX_BYTES:
        stop(start, "the file is too large", expected=f"at most {MAX_BYTES} bytes", found="more")
    if raw.startswith((b"\xff\xfe", b"\xfe\xff")):
        stop(start, "the file is not UTF-8", found="UTF-16 or UTF-32", remedy="save it as UTF-8")
    try:
        text = raw.decode("utf-8-sig")
    except UnicodeDecodeError as error:
        place = _end(raw[: error.start].decode("utf-8", "replace"))
        stop(place, "the file is not UTF-8", found=f"the byte 0x{raw[error.start]:02x}", remedy="save it as UTF-8")
    control = _CONTROL.search(text)
    if control:
        found = f"the control character U+{ord(control[0]):04X}"
        stop(_end(text[: control.start()]), "the file is not text", found=found, remedy="remove it")
    return text


def _end(before: str) -> Place:
    lines = re.split(r"\r\n|\n|\r", before)
    return Place(len(lines), len(lines[-1]) + 1)


class _Converter:
    """Node tree to plain values; notes places, and problems that need not stop the reading."""

    def __init__(self, document: Document) -> None:
        self._document = document
        self._count = 0

    def value(self, node: yaml.Node, path: YamlPath) -> Any:
        place = _place(node)
        self._count += 1
        if self._count > MAX_NODES:
            stop(place, "aliases repeat too many values", expected=f"at most {MAX_NODES} in all", remedy="write the values out")
        if len(path) > MAX_DEPTH:
            stop(place, "values are nested too deeply", expected=f"at most {MAX_DEPTH} levels")
        self._document.values[path] = place
        if isinstance(node, yaml.MappingNode) and node.tag == f"{TAG}map":
            return self._mapping(node, path)
        if isinstance(node, yaml.SequenceNode) and node.tag == f"{TAG}seq":
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
        if node.tag not in {*SCALARS, f"{TAG}str"}:
            self._note(node, path, "a key has a tag", found=_tag_text(node), remedy="remove the tag")
            return None
        if node.value == "<<" and node.style is None:
            self._note(node, path, "merge keys (<<) are not read", remedy="write the values out")
            return None
        return self._text(node, path)

    def _scalar(self, node: yaml.ScalarNode, path: YamlPath) -> Any:
        text, tag = node.value, node.tag
        self._document.texts[path] = text
        if tag == f"{TAG}str":
            return self._text(node, path)
        pattern = SCALARS.get(tag)
        if pattern is None or not pattern.fullmatch(text):
            self._note(node, path, "this value has a tag that does not fit", found=_tag_text(node), remedy="remove the tag")
            return None
        if tag == f"{TAG}null":
            return None
        if tag == f"{TAG}bool":
            return text.lower() == "true"
        return int(text) if tag == f"{TAG}int" else float(text)

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
    tag = node.tag.replace(TAG, "!!")
    return "a tag" if looks_secret(tag) else harmless(tag, 40)
