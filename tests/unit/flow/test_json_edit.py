from __future__ import annotations

import json

import pytest
from hypothesis import given
from hypothesis import strategies as st

from otagate.flow.json_edit import get_text, set_text

PATH = ("plugins", "CapacitorUpdater", "publicKey")


@pytest.mark.parametrize(
    ("before", "after"),
    [
        (
            '{\n  "a": [1, 2],\n  "plugins": {\n    "CapacitorUpdater": {\n      "x": 1\n    }\n  }\n}\n',
            '{\n  "a": [1, 2],\n  "plugins": {\n    "CapacitorUpdater": {\n      "x": 1,\n      "publicKey": "K\\n"\n    }\n  }\n}\n',
        ),
        (
            '{\n\t"plugins": {\n\t\t"CapacitorUpdater": {\n\t\t\t"publicKey": "old",\n\t\t\t"x": 1\n\t\t}\n\t}\n}',
            '{\n\t"plugins": {\n\t\t"CapacitorUpdater": {\n\t\t\t"publicKey": "K\\n",\n\t\t\t"x": 1\n\t\t}\n\t}\n}',
        ),
        (
            '{\n    "a": 1\n}\n',
            '{\n    "a": 1,\n    "plugins": {\n        "CapacitorUpdater": {\n            "publicKey": "K\\n"\n        }\n    }\n}\n',
        ),
        (
            '{\r\n  "plugins": {}\r\n}\r\n',
            '{\r\n  "plugins": {\r\n    "CapacitorUpdater": {\r\n      "publicKey": "K\\n"\r\n    }\r\n  }\r\n}\r\n',
        ),
        ('{"a": "}{", "b": {}}', '{"a": "}{", "b": {}, "plugins": {"CapacitorUpdater": {"publicKey": "K\\n"}}}'),
        ("{}", '{\n  "plugins": {\n    "CapacitorUpdater": {\n      "publicKey": "K\\n"\n    }\n  }\n}'),
        (' { "plugins" : { "CapacitorUpdater" : { } } } ', None),
        ('{"plugins": {"CapacitorUpdater": {"publicKey": null}}}', '{"plugins": {"CapacitorUpdater": {"publicKey": "K\\n"}}}'),
    ],
)
def test_only_what_must_change_changes(before: str, after: str | None) -> None:
    found = set_text(before, PATH, "K\n")
    assert get_text(found, PATH) == "K\n"
    if after is not None:
        assert found == after


@pytest.mark.parametrize("text", ["[]", '"x"', '{"plugins": []}', '{"plugins": {"CapacitorUpdater": 5}}'])
def test_what_is_no_object_is_refused(text: str) -> None:
    with pytest.raises(ValueError, match="is no object"):
        set_text(text, PATH, "K")


def test_an_empty_path_is_refused() -> None:
    with pytest.raises(ValueError, match="the path is empty"):
        set_text("{}", (), "K")


@pytest.mark.parametrize("text", ["{}", "[]", '{"plugins": 1}', '{"plugins": {"CapacitorUpdater": {"publicKey": 5}}}'])
def test_no_text_is_none(text: str) -> None:
    assert get_text(text, PATH) is None


JSON = st.recursive(
    st.none() | st.booleans() | st.integers() | st.text(),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=3), inner, max_size=3),
    max_leaves=8,
)


@given(
    st.dictionaries(st.sampled_from(["a", "b", "c"]), JSON, max_size=3),
    st.lists(st.sampled_from(["x", "y"]), min_size=1, max_size=3),
    st.text(),
    st.sampled_from([None, 2, "\t"]),
)
def test_any_object_keeps_all_its_other_values(
    value: dict[str, object], path: list[str], text: str, indent: int | str | None
) -> None:
    found = json.loads(set_text(json.dumps(value, indent=indent), tuple(path), text))
    nested: object = text
    for key in reversed(path[1:]):
        nested = {key: nested}
    assert found == {**value, path[0]: nested}
