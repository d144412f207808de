"""The JSON Schema's verdict on a policy document, in words for people and with places."""

from __future__ import annotations

import json
import re
from collections.abc import Iterator
from functools import cache
from pathlib import Path
from typing import TYPE_CHECKING, Any

from otagate._text import harmless, nearest
from otagate.errors import UsageError
from otagate.policy.meant import meant
from otagate.policy.problems import Problem, YamlPath, looks_secret, secret_text, shown
from otagate.policy.strict_yaml import Document
from otagate.policy.unsupported import unsupported_key, unsupported_value
from otagate.policy.values import CHECKS

if TYPE_CHECKING:
    from jsonschema.exceptions import ValidationError

_TYPE_WORDS = {
    "object": "a mapping",
    "array": "a list",
    "string": "text",
    "integer": "a whole number",
    "boolean": "true or false",
}


@cache
def schema_text() -> str:
    """Give the published JSON Schema (draft 2020-12) as the file has it."""
    # Not importlib.resources: it costs as much as reading the policy.
    return Path(__file__).with_name("schema.json").read_text(encoding="utf-8")


@cache
def schema() -> dict[str, Any]:
    """Give the published JSON Schema, parsed. Callers must not change it."""
    loaded: dict[str, Any] = json.loads(schema_text())
    return loaded


def schema_problems(document: Document) -> list[Problem]:
    """List everything in the document that the schema refuses, one problem for each thing that a person has to mend."""
    return [problem for error in _validator().iter_errors(document.data) for problem in _translate(error, document)]


@cache
def _validator() -> Any:
    from jsonschema import Draft202012Validator, validators  # noqa: PLC0415 - 90 ms; not for commands without a policy

    extend: Any = validators.extend  # untyped there
    return extend(Draft202012Validator, {"x-kind": _check_kind})(schema())


def _check_kind(_: Any, kind: str, instance: Any, node: dict[str, Any]) -> Iterator[ValidationError]:
    """Check the bounds of a value whose form is right; the form is the pattern's business."""
    from jsonschema.exceptions import ValidationError  # noqa: PLC0415 - see _validator

    if not isinstance(instance, str) or not re.search(node["pattern"], instance):
        return
    try:
        CHECKS[kind](instance)
    except ValueError as error:
        yield ValidationError(str(error))
    except UsageError as error:
        yield ValidationError(str(error.expected))


# Errors are ``Any`` below: jsonschema types each of their fields as "or Unset", which those that it yields never are.
def _translate(error: Any, document: Document) -> Iterator[Problem]:
    path: YamlPath = tuple(error.absolute_path)
    if "propertyNames" in error.absolute_schema_path:
        yield _bad_name(error, path, document)
    elif error.validator == "additionalProperties":
        yield from _unknown_keys(error, path, document)
    elif error.validator == "required":
        yield from _missing_keys(error, path, document)
    elif error.validator != "oneOf" or isinstance(error.instance, dict):  # of what is no mapping, its type is the problem
        yield _bad_value(error, path, document)


def _bad_name(error: Any, path: YamlPath, document: Document) -> Problem:
    name = str(error.instance)
    return Problem(
        document.key_place((*path, name)),
        path,
        "this name cannot be used",
        expected=error.schema["x-expected"],
        found=shown(name),
    )


def _unknown_keys(error: Any, path: YamlPath, document: Document) -> Iterator[Problem]:
    known = list(error.schema["properties"])
    for key in error.instance:
        if key in known:
            continue
        here = (*path, key)
        place = document.key_place(here)
        missing = unsupported_key(here)
        if missing:
            yield Problem(place, here, missing, remedy="remove it for now")
            continue
        name = secret_text(key) if looks_secret(key) else f"'{harmless(key, 60)}'"
        yield Problem(place, path, f"unknown key {name}", remedy=_meant_key(key, known))


def _meant_key(key: str, known: list[str]) -> str:
    name, colon, _ = key.partition(":")
    if colon and name in known:
        return f"put a plain space behind the colon: `{name}: …`"
    near = nearest(key, known)
    return f"did you mean '{near}'?" if near else f"known keys: {', '.join(known)}"


def _missing_keys(error: Any, path: YamlPath, document: Document) -> Iterator[Problem]:
    # jsonschema reports each missing key apart and names it only in its message: list all of them, duplicates fall away later.
    for key in error.validator_value:
        if key not in error.instance:
            description = error.schema["properties"][key]["description"]
            yield Problem(document.place(path), path, f"the key '{key}' is missing", expected=_first_sentence(description))


def _bad_value(error: Any, path: YamlPath, document: Document) -> Problem:
    missing = unsupported_value(path, error.instance)
    if missing:
        return Problem(document.place(path), path, missing, remedy=f"expected {_expected(error.schema)}")
    expected = error.message if error.validator == "x-kind" else _expected(error.schema)
    if error.validator == "type" and "oneOf" in error.schema:
        expected = f"a mapping with {expected}"
    found = _found(error, path, document)
    remedy = meant(error.schema.get("x-kind", ""), document.texts.get(path, error.instance))
    return Problem(document.place(path), path, "this does not fit", expected=expected, found=found, remedy=remedy)


def _found(error: Any, path: YamlPath, document: Document) -> str:
    value = error.instance
    if error.schema.get("x-secret") and isinstance(value, str):
        return secret_text(value)
    if error.validator == "oneOf":
        alternatives = [branch["required"][0] for branch in error.validator_value]
        given = [f"`{key}`" for key in alternatives if key in value]
        return " and ".join(given) or "none of them"
    if error.validator in {"minItems", "minProperties"}:
        return "an empty one"
    return shown(value, document.texts.get(path))


def _expected(node: dict[str, Any]) -> str:
    if "x-expected" in node:
        return str(node["x-expected"])
    if "enum" in node:
        return f"one of {', '.join(node['enum'])}"
    if node["type"] == "string" and node.get("maxLength"):
        return f"text of 1 to {node['maxLength']} characters"
    return _TYPE_WORDS[node["type"]]


def _first_sentence(text: str) -> str:
    first = text.split(". ", maxsplit=1)[0].rstrip(".")
    return first[0].lower() + first[1:]
