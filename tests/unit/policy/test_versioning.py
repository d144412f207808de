from __future__ import annotations

from datetime import UTC, datetime, timedelta, timezone

import pytest
from hypothesis import given
from hypothesis import strategies as st

from otagate.errors import OtagateError, PolicyError, UsageError
from otagate.model import Context
from otagate.policy.versioning import PLACEHOLDERS, make_version, template_problem

NOW = datetime(2030, 1, 1, tzinfo=UTC)
AT = datetime(2026, 11, 5, 0, 30, 5, tzinfo=timezone(timedelta(hours=2)))
COMMIT = "0123456789abcdef0123456789abcdef01234567"
CONTEXT = Context("git", commit=COMMIT, branch="main", committed_at=AT)


@pytest.mark.parametrize(
    ("template", "context", "expected"),
    [
        ("package", CONTEXT, "1.4.2"),
        ("tag", Context("git", tag="v2.0.0-rc.1"), "2.0.0-rc.1"),
        ("tag", Context("git", tag="2.0.0"), "2.0.0"),
        ("{date}-{sha7}", CONTEXT, "2026.11.4-g0123456"),
        ("{date}-{time}.{sha7}", CONTEXT, "2026.11.4-223005.g0123456"),
        ("{date}-{time}", Context("git", commit=COMMIT, committed_at=datetime(2026, 1, 2, 0, 0, 7, tzinfo=UTC)), "2026.1.2-7"),
        ("{package}-{branch}.{sha7}", CONTEXT, "1.4.2-main.g0123456"),
        ("1.0.0-{branch}", Context("git", branch="0123"), "1.0.0-b0123"),
        ("{package}-pr.{number}", Context("github", pull_request=7, source_branch="x"), "1.4.2-pr.7"),
        ("{package}-{branch}", Context("github", pull_request=7, source_branch="x", branch="main"), "1.4.2-x"),
        ("{date}", Context("none"), "2030.1.1"),
        ("3.2.1", Context("none"), "3.2.1"),
    ],
)
def test_versions(template: str, context: Context, expected: str) -> None:
    assert str(make_version(template, context=context, package_version="1.4.2", now=NOW)) == expected


@given(
    st.binary(min_size=20, max_size=20),
    st.datetimes(min_value=datetime(2000, 1, 1), max_value=datetime(2100, 1, 1)),
    st.text(max_size=80),
)
def test_the_designs_templates_always_make_a_version(commit: bytes, at: datetime, branch: str) -> None:
    context = Context("git", commit=commit.hex(), branch=branch or "x", committed_at=at.replace(tzinfo=UTC))
    for template in ("{date}-{sha7}", "{date}-{time}.{sha7}", "1.0.0-{branch}.{sha7}", "1.0.0-{time}"):
        first = make_version(template, context=context, package_version=None, now=NOW)
        assert first == make_version(template, context=context, package_version=None, now=NOW + timedelta(days=1))


@pytest.mark.parametrize(
    ("template", "context", "said"),
    [
        ("package", CONTEXT, 'expected: a "version" in package.json'),
        ("tag", CONTEXT, "expected: a pushed tag such as v1.4.2"),
        ("tag", Context("none"), "found: a run for 'no branch or tag'"),
        ("{date}-{sha7}", Context("none"), "expected: a commit"),
        ("1.0.0-{branch}", Context("git", tag="v1"), "found: a run for 'tags/v1'"),
        ("1.0.0-{number}", CONTEXT, "expected: a pull request"),
        ("1.0.0-{nonsense}", CONTEXT, "found: {nonsense}"),
    ],
)
def test_what_is_missing_is_named_with_the_policys_key(template: str, context: Context, said: str) -> None:
    with pytest.raises(PolicyError) as caught:
        make_version(template, context=context, package_version=None, now=NOW)
    assert f"versioning: {template}" in str(caught.value)
    assert said in str(caught.value)


@pytest.mark.parametrize(
    "package", ["1.0", "v1.0.0", "01.0.0", "1.0.0 ", "9999999999.0.0", "١.0.0", "../1.0.0", "1.0.0-01", "latest", "1.0.0\n"]
)
def test_only_strict_semantic_versions_come_out(package: str) -> None:
    with pytest.raises(UsageError) as caught:
        make_version("package", context=CONTEXT, package_version=package, now=NOW)
    assert "versioning: package" in str(caught.value)
    assert "semantic version" in str(caught.value)


@pytest.mark.parametrize("tag", ["vv1.0.0", "release", "v1", "version1.0.0", "1.0.0/../x", "v1.0.0\n::error::x"])
def test_odd_tags_make_no_version_and_cannot_forge_a_line(tag: str) -> None:
    with pytest.raises(OtagateError) as caught:
        make_version("tag", context=Context("git", tag=tag), package_version=None, now=NOW)
    assert "\n::error" not in str(caught.value)


@pytest.mark.parametrize(
    "template", ["package", "tag", "{date}", "{date}-{sha7}", "{package}-{number}", "1.2.3", "1.0.0-{branch}+{sha7}"]
)
def test_good_templates_have_no_problem(template: str) -> None:
    assert template_problem(template) is None


@pytest.mark.parametrize(
    ("template", "expected"),
    [
        ("{dat}", "did you mean {date}?"),
        ("{}", "only {date}"),
        ("{date}.{time}", "`package`"),
        ("v{package}", "`package`"),
        ("{tag}", "only {date}"),
    ],
)
def test_bad_templates_are_told_before_any_commit(template: str, expected: str) -> None:
    problem = template_problem(template)
    assert problem is not None
    assert expected in problem[0]


def test_every_placeholder_is_documented() -> None:
    assert set(PLACEHOLDERS) == {"date", "time", "sha7", "package", "branch", "number"}
