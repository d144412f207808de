from __future__ import annotations

import time
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from otagate.policy import strict_yaml
from otagate.policy.problems import Place
from otagate.policy.strict_yaml import parse

FILE = Path("otagate.yml")


def lines(raw: bytes) -> list[str]:
    return [problem.line(FILE) for problem in parse(raw).problems]


@pytest.mark.parametrize(
    ("text", "value"),
    [
        ("true", True),
        ("True", True),
        ("FALSE", False),
        ("~", None),
        ("null", None),
        ("", None),
        ("0", 0),
        ("-12", -12),
        ("+7", 7),
        ("1.5", 1.5),
        (".5", 0.5),
        ("1.", 1.0),
        ("1e3", 1000.0),
        ("no", "no"),
        ("on", "on"),
        ("yes", "yes"),
        ("1:30", "1:30"),
        ("12:30:45", "12:30:45"),
        ("012", "012"),
        ("0x1F", "0x1F"),
        ("0o17", "0o17"),
        (".inf", ".inf"),
        (".nan", ".nan"),
        ("2026-11-21", "2026-11-21"),
        ("1_000", "1_000"),
        ("5%", "5%"),
        ("9" * 19, "9" * 19),
        ("1e999", "1e999"),
        ("'1'", "1"),
        ('"true"', "true"),
        ("!!str 5", "5"),
        ("!!int 5", 5),
        ("=", "="),
    ],
)
def test_scalars_follow_yaml_1_2_read_narrowly(text: str, value: object) -> None:
    document = parse(f"key: {text}\n".encode())
    assert not document.problems
    assert document.data == {"key": value}
    assert type(document.data["key"]) is type(value)


def test_keys_and_values_have_places_counted_from_one_in_characters() -> None:
    document = parse("a: 1\nö: {x: 2, y: [3, 4]}\n".encode())
    assert document.keys["ö",] == Place(2, 1)
    assert document.values["ö", "x"] == Place(2, 8)
    assert document.values["ö", "y", 1] == Place(2, 18)
    assert document.texts["ö", "y", 1] == "4"
    assert document.place(("ö", "missing", 3)) == Place(2, 4)
    assert document.key_place(("nowhere",)) == Place(1, 1)


def test_keys_are_text_as_written() -> None:
    assert parse(b"1.0: a\ntrue: b\n2024: c\n").data == {"1.0": "a", "true": "b", "2024": "c"}


@pytest.mark.parametrize(
    "raw", [b"\xef\xbb\xbfa: 1\n", b"a: 1\r\n", b"a: 1\r", b"# c\n\n---\na: 1\n...\n", b"%YAML 1.2\n---\na: 1\n"]
)
def test_harmless_variants_are_read(raw: bytes) -> None:
    document = parse(raw)
    assert (document.data, document.problems) == ({"a": 1}, [])


def test_aliases_are_read_within_bounds() -> None:
    document = parse(b"a: &x {k: 1}\nb: *x\nc: *x\n")
    assert document.data == {"a": {"k": 1}, "b": {"k": 1}, "c": {"k": 1}}
    assert not document.problems


@pytest.mark.parametrize(
    ("raw", "where", "said"),
    [
        (b"", "1:1", "the file is empty"),
        (b"# only a comment\n", "1:1", "the file is empty"),
        (b"\xff\xfea\x00", "1:1", "the file is not UTF-8, found UTF-16"),
        (b"a: 1\nb: \xe4\n", "2:4", "the file is not UTF-8, found the byte 0xe4"),
        (b"a: 1\r\nb: \x00\n", "2:4", "the file is not text, found the control character U+0000"),
        (b"a: \x1b[31m\n", "1:4", "U+001B"),
        (b"\x7fELF\x02\x01\x01\x00", "1:1", "U+007F"),
        (b"a:\n\t b: 1\n", "2:1", "a tab stands where YAML wants spaces"),
        (b"a: 1\na: 2\n", "2:1", "a: this key stands twice, first in line 1"),
        (b"a: &x {k: 1}\nb:\n  <<: *x\n", "3:3", "merge keys (<<) are not read"),
        (b"a: &x [*x]\n", "1:8", "an alias repeats the value that it stands in"),
        (b"a: *nothing\n", "1:4", "text that begins with '*'"),
        (b"*: 1\n", "1:2", 'put it in quotes, such as "*"'),
        (b"a: {date}-{sha7}\n", "1:10", "has no quotes"),
        (b"a: @x\n", "1:4", "text may not begin with '@'"),
        (b"a: `x\n", "1:4", "text may not begin with a backtick"),
        (b"a: %x\n", "1:4", "text may not begin with '%'"),
        (b"a: b: c\n", "1:5", "there is a ':' too many"),
        (b"a: 1\n---\nb: 2\n", "2:1", "there is a second document"),
        (b"a: [1, 2\n", "2:1", "the file is not YAML"),
        (b'a: "open\n', "2:1", "the file is not YAML"),
        (b"? [a]\n: 1\n", "1:3", "a key is not text"),
        (b"?\n: 1\n", "1:2", "a key is not text"),
        (b"!!int 5: 1\nb: 2\n!x y: 3\n", "3:1", "a key has a tag"),
        (b"a: !!python/object/apply:os.system [id]\n", "1:4", "does not fit, found !!python/object"),
        (b"a: !!python/name:os.system\n", "1:4", "found !!python/name:os.system"),
        (b"a: !!set {x}\n", "1:4", "found !!set"),
        (b"a: !!int x\n", "1:4", "found !!int"),
        (b"a: !!binary aGk=\n", "1:4", "found !!binary"),
        (b'a: "\\ud800"\n', "1:4", "half of a surrogate pair"),
        (b'a: "\\0"\n', "1:4", "a NUL"),
        (b'a: "\\U99999999"\n', "1:1", "that is no character"),
        (b"%YAML 9.9\n---\na: 1\n", "1:1", "the file is not YAML"),
        (b"- " * 30 + b"x\n", "1:41", "nested too deeply"),
        (b"a: &a [x]\nb: [" + b"*a, " * 21 + b"]\n", "2:85", "too many aliases"),
        (b"x" * (strict_yaml.MAX_BYTES + 1), "1:1", "the file is too large"),
        (b"[" * 200_000, "1:21", "nested too deeply"),
        (b"[" + b"1," * 10_001 + b"]", "1:20000", "too many values"),
    ],
)
def test_broken_yaml_is_one_problem_with_a_place(raw: bytes, where: str, said: str) -> None:
    found = lines(raw)
    assert len(found) == 1
    assert found[0].startswith(f"otagate.yml:{where}: ")
    assert said in found[0]


def test_an_alias_bomb_ends_at_once() -> None:
    rows = [b"k0: &k0 [" + b"1," * 60 + b"]"]
    rows += [b"k%d: &k%d [%s]" % (n, n, b", ".join([b"*k%d" % (n - 1)] * 3)) for n in range(1, 7)]
    began = time.perf_counter()
    (found,) = lines(b"\n".join(rows))
    assert "aliases repeat too many values" in found
    assert time.perf_counter() - began < 30


def test_aliases_that_stack_up_are_too_deep() -> None:
    deep = b"[" * 9 + b"1" + b"]" * 9
    rows = [b"a0: &a0 " + deep, *(b"a%d: &a%d [[[[[[[*a%d]]]]]]]" % (n, n, n - 1) for n in range(1, 4))]
    assert any("nested too deeply" in line for line in lines(b"\n".join(rows)))


def test_several_problems_are_all_found() -> None:
    assert len(lines(b"a: 1\na: 2\nb: !!int x\nc: !y z\n")) == 3


def test_a_key_pasted_into_the_file_is_never_shown() -> None:
    secret = "MIIEvQIBADANBgkqhkiG9w0BAQEFAASCBKcwggSjAgEAAoIBAQC7VJTUt9Us8cKj"
    for raw in (f"a: -----BEGIN PRIVATE KEY-----\n{secret}\n", f"a: !{secret} x\n", f"a: *{secret}\n"):
        assert secret not in "\n".join(lines(raw.encode()))


@settings(max_examples=300, deadline=None)
@given(st.one_of(st.binary(max_size=80), st.text(alphabet="abc:-[]{}&*!|>'\"%@`#?,\\ \n\tx0U", max_size=40).map(str.encode)))
def test_no_input_at_all_raises(raw: bytes) -> None:
    document = parse(raw)
    assert document.problems or document.data is not None or b"~" in raw or b"null" in raw.lower() or document.values
