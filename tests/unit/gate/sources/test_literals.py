"""A value in a query is a value, whatever it holds: each language by what it would take for syntax."""

from __future__ import annotations

import re
from datetime import UTC, datetime, timedelta

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from otagate.gate.interface import MetricQuery, SourceError
from otagate.gate.sources import _fill
from otagate.gate.sources._literals import GRAMMARS, Language

START = datetime(2026, 11, 21, 9, 30, tzinfo=UTC)
ORDINARY = ("1.4.2", "1.4.2-beta.1+build.7", "10.0.0-rc-1")
HOSTILE = (
    'a"b',
    "a'b",
    "a`b",
    "a\\",
    'a\\"b',
    "a\nb",
    "a\rb",
    "a\x00b",
    "a\x1bb",
    "a\u2028b",
    "a\u202eb",
    "${1+1}",
    "$",
    '"} or vector(1) or x{y="',
    "' OR '1' = '1",
    "*",
    ".*",
    "%",
    "a b",
    "a,b)",
    "~",
    '~"',
    "{x}",
    "{release}",
    "// x",
    "-- x",
    "/* x */",
    "#x",
    "",
    "ä",
)


def query(release: str, *, app: str = "com.example.app") -> MetricQuery:
    return MetricQuery("crash_rate", app, "stable", release, START, START + timedelta(hours=1), 25)


def fill(template: str, release: str, language: Language) -> str | None:
    """Give the filled query, or None when the value was refused."""
    try:
        return _fill.in_query(template, query(release), language)
    except SourceError:
        return None


QUOTED = {
    Language.PROMQL: ('x{a="{release}"}', "x{a='{release}'}", "x{a=`{release}`}"),
    Language.FLUX: ('r.a == "{release}"',),
    Language.GRAPHITE: ("seriesByTag('release={release}')", 'alias(a.b, "{release}")'),
    Language.DYNATRACE: ('m:filter(eq("release","{release}"))',),
    Language.NRQL: ("SELECT count(*) FROM E WHERE r = '{release}'",),
    Language.KQL: (
        'E | where r == "{release}"',
        "E | where r == '{release}'",
        'E | where r == @"{release}"',
        "r == @'{release}'",
    ),
    Language.CLOUDWATCH: ("SEARCH('{N,R} R=\"{release}\"', 'Sum')", "SELECT SUM(x) FROM n WHERE r = '{release}'"),
    Language.DATADOG: ("sum:x{release:{release}}.as_count()",),
}


@pytest.mark.parametrize("language", [language for language in Language if language is not Language.DATADOG])
@pytest.mark.parametrize("release", ORDINARY)
def test_ordinary_versions_stand_as_they_are(language: Language, release: str) -> None:
    for template in QUOTED[language]:
        assert fill(template, release, language) == template.replace("{release}", release)


def test_tags_stand_as_datadog_keeps_them() -> None:
    assert fill("sum:x{release:{release}}", "1.4.2-Beta.1+build.7", Language.DATADOG) == "sum:x{release:1.4.2-beta.1_build.7}"


def test_every_language_has_a_grammar_and_cases() -> None:
    assert set(GRAMMARS) == set(QUOTED) == set(Language)


CLOSING = {Language.PROMQL: "`", Language.DYNATRACE: '"~'}
"""What ends a literal that has no escape, or begins one that is not to be used; elsewhere any quote."""


def read_back(template: str, filled: str, language: Language) -> str:
    """Read the value out of a filled query, as the language does: the literal must end exactly where the template's does."""
    before, after = template.split("{release}")
    assert filled.startswith(before)
    assert filled.endswith(after)
    inner = filled[len(before) : len(filled) - len(after)]
    quote = before[-1]
    if before.endswith("@" + quote):
        assert not re.search(rf"(?<!{quote}){quote}(?!{quote})", inner.replace(quote * 2, ""))
        return inner.replace(quote * 2, quote)
    if quote != "`" and language in {Language.PROMQL, Language.FLUX, Language.KQL}:
        assert re.fullmatch(rf"(?:\\[\\{quote}nrt]|[^\\{quote}\n\r])*", inner)
        return re.sub(r"\\(.)", lambda found: {"n": "\n", "r": "\r", "t": "\t"}.get(found[1], found[1]), inner)
    assert not set(inner) & {*CLOSING.get(language, "\"'`"), "\n", "\r"}
    return inner


@pytest.mark.parametrize("language", Language)
@pytest.mark.parametrize("release", HOSTILE)
def test_hostile_values_stay_in_their_literal_or_are_refused(language: Language, release: str) -> None:
    for template in QUOTED[language]:
        filled = fill(template, release, language)
        if filled is not None and language is not Language.DATADOG:
            assert read_back(template, filled, language) == release
        if filled is not None and language is Language.DATADOG:
            assert re.fullmatch(r"sum:x\{release:[a-z0-9_./:-]+\}\.as_count\(\)", filled)


@given(st.sampled_from(sorted(set(Language) - {Language.DATADOG})), st.text(max_size=12) | st.text("\\\"'`$~@{}\n", max_size=8))
@settings(max_examples=400, deadline=None)
def test_no_value_at_all_leaves_its_literal(language: Language, release: str) -> None:
    for template in QUOTED[language]:
        filled = fill(template, release, language)
        assert filled is None or read_back(template, filled, language) == release


@pytest.mark.parametrize("language", Language)
@pytest.mark.parametrize("release", HOSTILE)
def test_outside_of_literals_only_plain_words_stand(language: Language, release: str) -> None:
    filled = fill("a_{release}_b", release, language)
    assert filled is None or re.fullmatch(r"a_[A-Za-z0-9_./:-]+_b", filled)


@pytest.mark.parametrize(
    ("language", "template", "filled"),
    [
        (
            Language.PROMQL,
            "increase(ota_{metric}_bad[{window}] @ {end_unix})",
            "increase(ota_crash_rate_bad[3600s] @ 1795257000)",
        ),
        (
            Language.FLUX,
            "range(start: {start}, stop: {end})",
            "range(start: 2026-11-21T09:30:00.000000Z, stop: 2026-11-21T10:30:00.000000Z)",
        ),
        (Language.NRQL, "SINCE {start_ms} UNTIL {end_ms}", "SINCE 1795253400000 UNTIL 1795257000000"),
        (Language.GRAPHITE, "app.{app}.{release}.crashed", "app.com_example_app.1_4_2.crashed"),
        (Language.DYNATRACE, "m:filter(eq(release,{release}))", "m:filter(eq(release,1.4.2))"),
        (Language.PROMQL, '{weight} * x{{a="{channel}"}', '0.25 * x{{a="stable"}'),
        (Language.PROMQL, 'x{a="\\{release}", b="\\\\{release}"}', 'x{a="\\{release}", b="\\\\1.4.2"}'),
        (Language.PROMQL, 'x # it\'s "{metric}"\n + y{a="{release}"}', 'x # it\'s "crash_rate"\n + y{a="1.4.2"}'),
        (Language.PROMQL, 'x{a="{unknown}"} + {}', 'x{a="{unknown}"} + {}'),
    ],
)
def test_places_are_filled(language: Language, template: str, filled: str) -> None:
    assert _fill.in_query(template, query("1.4.2"), language) == filled


@pytest.mark.parametrize(
    ("language", "template"),
    [
        (Language.PROMQL, "x{a={release}}"),
        (Language.PROMQL, "x # {release}"),
        (Language.FLUX, "r.a =~ /{release}/"),
        (Language.FLUX, 'r.a =~ /x"/ and r.b == {release} and r.c == "d"'),
        (Language.GRAPHITE, "seriesByTag('release=~{release}')"),
        (Language.GRAPHITE, 'seriesByTag("release!=~{release}")'),
        (Language.NRQL, "SELECT count(*) FROM E WHERE r LIKE '%{release}'"),
        (Language.NRQL, "SELECT count(*) FROM E WHERE r rlike r'{release}'"),
        (Language.NRQL, "SELECT count(*) FROM E -- {release}"),
        (Language.KQL, 'E | where r matches regex "{release}"'),
        (Language.KQL, "E // {release}"),
        (Language.CLOUDWATCH, "SUM({release})"),
    ],
)
def test_a_version_is_refused_where_it_would_be_syntax(language: Language, template: str) -> None:
    assert fill(template, "1.4.2", language) is None


@pytest.mark.parametrize(("operator", "release", "told"), [("=~", "1.4.2+b", r"1\\.4\\.2\\+b"), ("!~ ", ".*", r"\\.\\*")])
def test_a_matcher_of_prometheus_takes_the_value_by_its_letters(operator: str, release: str, told: str) -> None:
    assert fill(f'x{{a{operator}"{{release}}"}}', release, Language.PROMQL) == f'x{{a{operator}"{told}"}}'


def test_a_literal_that_is_not_closed_holds_nothing() -> None:
    assert fill('x{a="{release}', "1.4.2", Language.PROMQL) is None
    assert fill('x{a="{release}', "word", Language.PROMQL) == 'x{a="word'


def test_a_refusal_names_the_value_and_hides_nothing_else() -> None:
    with pytest.raises(SourceError) as caught:
        _fill.in_query("x{a={app}}", query("1.4.2", app="evil\x1b[2Japp"), Language.PROMQL)
    assert str(caught.value).count("\n") == 3
    assert caught.value.found == "app 'evil\\x1b[2Japp'"
    assert "PromQL" in str(caught.value)
