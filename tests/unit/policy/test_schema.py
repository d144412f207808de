from __future__ import annotations

import dataclasses
import json
import re
from collections.abc import Iterator
from datetime import timedelta
from decimal import Decimal
from enum import Enum
from pathlib import Path
from typing import Any, get_args

import pytest
from jsonschema import Draft202012Validator

from otagate.model import ChannelName, Weight
from otagate.policy import defaults, load_policy, values
from otagate.policy.build_sources import VENDOR_KEYS
from otagate.policy.build_windows import DAYS
from otagate.policy.model.bundles import BuildSpec, BundleSpec, SealFormat, SealSpec, TrustSpec
from otagate.policy.model.gates import Action, Evaluate, GateSpec, Judgement, Split
from otagate.policy.model.notify import NotifyKind, NotifySpec
from otagate.policy.model.server import AutoUpdate, ChannelRules, ServerSpec
from otagate.policy.model.sources import CommandSource, FileSource, HttpSource, Source, TelemetrySource, TelemetrySpec
from otagate.policy.model.stores import CdnSpec, KeepSpec
from otagate.policy.model.tracks import OnInsufficient, PhaseSpec
from otagate.policy.model.vendors import Asked
from otagate.policy.model.windows import WindowsSpec
from otagate.policy.validate import schema, schema_text
from otagate.telemetry.metrics import METRICS

Node = dict[str, Any]
SECTIONS = {
    ("build",): BuildSpec(),
    ("bundle",): BundleSpec(),
    ("seal",): SealSpec(),
    ("trust",): TrustSpec(),
    ("cdn",): CdnSpec(),
    ("keep",): KeepSpec(),
    ("server",): ServerSpec(),
    ("telemetry",): TelemetrySpec(),
    ("evaluation",): Judgement(),
}
DEFINITIONS = {
    "phase": PhaseSpec("x", ChannelName("x")),
    "gate": GateSpec("x"),
    "channel_rules": ChannelRules(),
}
# The schema's defaults of keys that the value types do not know by themselves.
FILLED_IN = {
    "encryption_key": defaults.DEFAULT_ENCRYPTION_KEY,
    "signing_key": defaults.DEFAULT_SIGNING_KEY,
    "token": defaults.DEFAULT_SERVER_TOKEN,
}


def nodes(node: Node, path: str = "") -> Iterator[tuple[str, Node]]:
    yield path, node
    for group in ("properties", "$defs"):
        for name, child in node.get(group, {}).items():
            yield from nodes(child, f"{path}.{name}")
    for key in ("items", "additionalProperties"):
        if isinstance(node.get(key), dict):
            yield from nodes(node[key], f"{path}.{key}")


ALL = list(nodes(schema()))


def test_it_is_a_valid_schema_of_the_published_name() -> None:
    Draft202012Validator.check_schema(schema())
    assert schema()["$schema"] == "https://json-schema.org/draft/2020-12/schema"
    assert schema()["$id"] == "https://otagate.dev/schema/policy/v1.json"


def test_the_text_is_the_parsed_schema() -> None:
    assert json.loads(schema_text()) == schema()


@pytest.mark.parametrize(("path", "node"), ALL, ids=[path or "top" for path, _ in ALL])
def test_every_field_is_described_with_an_example_that_fits(path: str, node: Node) -> None:
    assert len(node["description"]) > 8
    if path:
        assert node["examples"]
    full = {**node, "$defs": schema()["$defs"]}
    for value in [*node.get("examples", []), *([node["default"]] if "default" in node else [])]:
        assert Draft202012Validator(full).is_valid(value), value


@pytest.mark.parametrize(("path", "node"), ALL, ids=[path or "top" for path, _ in ALL])
def test_objects_take_no_unknown_keys(path: str, node: Node) -> None:
    types = node.get("type", [])
    if "object" in types if isinstance(types, list) else types == "object":
        assert node["additionalProperties"] is False or "propertyNames" in node


@pytest.mark.parametrize(("path", "node"), ALL, ids=[path or "top" for path, _ in ALL])
def test_numbers_and_lengths_have_units(path: str, node: Node) -> None:
    if node.get("type") == "integer" or "x-kind" in node:
        assert node["x-unit"]
        assert node["x-expected"]


def test_every_kind_that_is_named_is_checked() -> None:
    assert {node["x-kind"] for _, node in ALL if "x-kind" in node} == set(values.CHECKS)


def written(value: object) -> object:
    """Write a default of a value type as the schema does."""
    if isinstance(value, Enum):
        return value.value
    if isinstance(value, timedelta):
        return value
    if isinstance(value, Decimal):
        return value
    if isinstance(value, Weight):
        return str(value)
    if isinstance(value, tuple):
        return [str(item) if isinstance(item, Weight) else item for item in value]
    return value


def read(node: Node) -> object:
    default = node.get("default")
    reference = node.get("$ref", "").removeprefix("#/$defs/")
    if isinstance(default, str) and reference in {"duration", "span"}:
        return values.duration(default)
    if isinstance(default, str) and reference in {"percent", "share"}:
        return values.percent(default)
    return values.size(default) if reference == "size" and isinstance(default, str | int) else default


CASES = [
    *((path, schema()["properties"][path[0]]["properties"], value) for path, value in SECTIONS.items()),
    *(((name,), schema()["$defs"][name]["properties"], value) for name, value in DEFINITIONS.items()),
    (("http",), schema()["$defs"]["source"]["properties"]["http"]["properties"], HttpSource("x", "x", "x")),
]


@pytest.mark.parametrize(("path", "properties", "spec"), CASES, ids=[str(case[0]) for case in CASES])
def test_schema_and_value_types_agree_on_keys_and_defaults(path: tuple[str, ...], properties: Node, spec: Any) -> None:
    names = {field.name for field in dataclasses.fields(spec)}
    renamed = {"name": "phase", "metric": None, "prove": "evidence", "at_age": None}
    assert set(properties) == {renamed.get(name, name) for name in names} - {None}
    for field in dataclasses.fields(spec):
        node = properties.get(field.name)
        if node is None or field.default is dataclasses.MISSING:
            continue
        expected = read(node)
        if field.name in FILLED_IN:
            assert expected == FILLED_IN[field.name]
        elif field.name != "headers":
            assert (expected if expected is not None else None) == (
                written(field.default) if field.default != () or expected is not None else None
            )


def vendor_keys(kind: type[Any]) -> set[str]:
    names = {field.name for field in dataclasses.fields(kind)}
    if "ask" in names:
        return names - {"ask"} | {field.name for field in dataclasses.fields(Asked)}
    return names - {"bad"} | ({"statuses"} if "bad" in names else set())


@pytest.mark.parametrize(("kind", "key"), VENDOR_KEYS.items())
def test_sources_of_other_makers_agree_on_keys_and_defaults(kind: type[Any], key: str) -> None:
    node = schema()["$defs"]["source"]["properties"][key]
    properties = node["properties"]
    assert set(properties) == vendor_keys(kind)
    asked = {field.name for field in dataclasses.fields(Asked)}
    for field in dataclasses.fields(kind):
        name = "statuses" if field.name == "bad" and key == "sentry" else field.name
        if name in {"ask", "headers"} or (name in asked and name != "statuses"):
            continue
        assert (name in node["required"]) == (field.default is dataclasses.MISSING)
        if field.default is not dataclasses.MISSING:
            assert read(properties[name]) == written(field.default)


def test_every_kind_of_source_can_be_said() -> None:
    kinds = set(get_args(Source))
    others = {FileSource, CommandSource, HttpSource, TelemetrySource}
    assert kinds - others == set(VENDOR_KEYS)
    one_of = {branch["required"][0] for branch in schema()["$defs"]["source"]["oneOf"]}
    assert one_of == {*VENDOR_KEYS.values(), "file", "command", "http", "telemetry"}
    assert one_of == set(schema()["$defs"]["source"]["properties"]) - {"timeout"}


def test_windows_and_places_agree_with_the_value_types() -> None:
    definitions = schema()["$defs"]
    assert definitions["window"]["properties"]["days"]["items"]["enum"] == list(DAYS)
    notice = definitions["notice"]
    assert {branch["required"][0] for branch in notice["oneOf"]} == {kind.value for kind in NotifyKind}
    assert tuple(notice["properties"]["events"]["default"]) == NotifySpec("x", NotifyKind.SLACK, "env:X").events
    assert schema()["properties"]["windows"]["properties"]["timezone"]["default"] == WindowsSpec().timezone


def test_top_level_defaults_agree() -> None:
    properties = schema()["properties"]
    assert properties["versioning"]["default"] == defaults.DEFAULT_VERSIONING
    assert properties["storage"]["default"] == defaults.DEFAULT_STORAGE
    assert properties["channels"]["default"] == "hosted"
    command = schema()["$defs"]["source"]["properties"]
    assert values.duration(command["timeout"]["default"]) == CommandSource(()).timeout


def test_actions_and_formats_agree_with_the_value_types() -> None:
    gate = schema()["$defs"]["gate"]["properties"]
    assert gate["action"]["enum"] == [action.value for action in Action] == list(defaults.ACTION_ORDER)
    words = [word.value for word in Evaluate]
    assert [word for word in words if re.fullmatch(gate["evaluate"]["pattern"], word)] == ["soak_end", "phase_end"]
    assert [word for word in words if word in gate["evaluate"]["properties"]] == ["at_age"]
    assert gate["split"]["enum"] == [word.value for word in Split]
    assert schema()["properties"]["seal"]["properties"]["format"]["enum"] == [word.value for word in SealFormat]
    assert schema()["$defs"]["phase"]["properties"]["on_insufficient"]["enum"] == [word.value for word in OnInsufficient]
    assert schema()["$defs"]["channel_rules"]["properties"]["stop_at"]["enum"] == [word.value for word in AutoUpdate]


def test_the_source_telemetry_agrees_with_what_telemetry_counts() -> None:
    telemetry = schema()["$defs"]["source"]["properties"]["telemetry"]["properties"]
    assert set(telemetry) == {field.name for field in dataclasses.fields(TelemetrySource)} - {"spec"}
    assert telemetry["metric"]["enum"] == list(METRICS)


@pytest.mark.parametrize("gate", [defaults.DEFAULT_GATES])
def test_the_default_gates_fit_the_schema(gate: Node) -> None:
    assert Draft202012Validator({**schema()["properties"]["gates"], "$defs": schema()["$defs"]}).is_valid(gate)


def test_the_examples_of_the_schema_make_a_policy_together(tmp_path: Path) -> None:
    keys = (
        "build",
        "versioning",
        "bundle",
        "storage",
        "documents",
        "cdn",
        "keep",
        "channels",
        "metrics",
        "gates",
        "server",
        "telemetry",
        "windows",
        "notify",
    )
    text = {"version": 1, "app": {"id": "com.example.app"}, "branches": schema()["properties"]["branches"]["examples"][0]}
    text["tracks"] = schema()["properties"]["tracks"]["examples"][0]
    for key in keys:
        node = schema()["properties"][key]
        text[key] = (
            node["examples"][0]
            if "examples" in node
            else {name: one["examples"][0] for name, one in node["properties"].items()}
        )
    path = tmp_path / "otagate.yml"
    path.write_text(json.dumps(text))
    assert load_policy(path).build.command == "npm run build"


def test_patterns_are_anchored() -> None:
    patterns = [node["pattern"] for _, node in ALL if "pattern" in node]
    assert all(pattern.startswith("^") for pattern in patterns)
    assert all(re.compile(pattern) for pattern in patterns)
