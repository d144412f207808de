"""A release's version from the policy's ``versioning``. Pure: the same commit gives the same version.

Words: ``package``, ``tag``. Otherwise a template; see ``PLACEHOLDERS``. The result is always a strict semantic version, so
``{sha7}`` begins with ``g`` (seven digits with a leading zero would be no legal part of one) and dates and times have no
leading zeros.

**Source:** semver.org 2.0.0, rules 2 and 9 (no leading zeros in numeric parts).
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from datetime import UTC, datetime

from otagate._text import harmless, nearest
from otagate.errors import PolicyError, UsageError
from otagate.model import Context, Version
from otagate.policy.globs import slug

PLACEHOLDERS: dict[str, str] = {
    "date": "the commit's date in UTC, such as 2026.11.21",
    "time": "the commit's time in UTC as one number, hours, minutes, seconds, such as 93005",
    "sha7": "`g` and the first seven digits of the commit, such as g1a2b3c4",
    "package": "the version of package.json",
    "branch": "the branch (of a pull request: its own), made fit for a version",
    "number": "the number of the pull request",
}

_SUBJECT = "versioning"
_PLACEHOLDER = re.compile(r"\{([^{}]*)\}")
_SAMPLE = {"date": "2026.1.2", "time": "93005", "sha7": "g1a2b3c4", "package": "1.2.3", "branch": "main", "number": "7"}


def make_version(template: str, *, context: Context, package_version: str | None, now: datetime) -> Version:
    """Make the version of a release.

    Args:
        template: The policy's ``versioning``.
        context: Commit, its date, branch, tag and pull request.
        package_version: What package.json says, or None.
        now: Stands in for the commit's date where there is no commit.

    Raises:
        PolicyError: What the template needs is not there.
        UsageError: The result is no strict semantic version.
    """
    text = _fill(template, _values(context, package_version, now), context)
    try:
        return Version(text)
    except UsageError as error:
        error.subject = f"{_SUBJECT}: {harmless(template)}"
        raise


def template_problem(template: str) -> tuple[str, str] | None:
    """Say what is wrong with a template whatever the commit: what was expected and what was found; None when it is fine."""
    if template == "tag":
        return None
    as_template = _as_template(template)
    for name in _PLACEHOLDER.findall(as_template):
        if name not in PLACEHOLDERS:
            near = nearest(name, PLACEHOLDERS)
            hint = f"; did you mean {{{near}}}?" if near else ""
            return f"only {', '.join(f'{{{known}}}' for known in PLACEHOLDERS)}{hint}", f"{{{harmless(name, 40)}}}"
    sample = _PLACEHOLDER.sub(lambda match: _SAMPLE[match[1]], as_template)
    try:
        Version(sample)
    except UsageError:
        return "`package`, `tag`, or a template that makes a semantic version such as 1.2.3", f"'{harmless(sample)}' from it"
    return None


def _as_template(template: str) -> str:
    return {"package": "{package}", "tag": "{tag}"}.get(template, template)


def _values(context: Context, package_version: str | None, now: datetime) -> Mapping[str, str | None]:
    # The commit's own date, so that a second run of the same commit makes the same version.
    at = (context.committed_at or now).astimezone(UTC)
    branch = context.source_branch if context.pull_request is not None else context.branch
    return {
        "date": f"{at.year}.{at.month}.{at.day}",
        "time": str(at.hour * 10_000 + at.minute * 100 + at.second),
        "sha7": f"g{context.commit[:7]}" if context.commit else None,
        "package": package_version,
        "branch": _word(slug(branch)) if branch else None,
        "number": str(context.pull_request) if context.pull_request is not None else None,
        "tag": re.sub(r"\Av(?=\d)", "", context.tag) if context.tag else None,
    }


def _word(text: str) -> str:
    """Keep a branch that is all digits from becoming a numeric part, which may have no leading zero."""
    return f"b{text}" if text.isdigit() else text


def _fill(template: str, values: Mapping[str, str | None], context: Context) -> str:
    as_template = _as_template(template)
    missing = [name for name in _PLACEHOLDER.findall(as_template) if values.get(name) is None]
    if missing:
        raise _missing(missing[0], template, context)
    return _PLACEHOLDER.sub(lambda match: str(values[match[1]]), as_template)


def _missing(name: str, template: str, context: Context) -> PolicyError:
    needs = {
        "package": ('a "version" in package.json', "no package.json with a version in app.dir"),
        "tag": ("a pushed tag such as v1.4.2", f"a run for '{harmless(context.ref or 'no branch or tag')}'"),
        "sha7": ("a commit", "no git checkout"),
        "branch": ("a branch", f"a run for '{harmless(context.ref or 'no branch or tag')}'"),
        "number": ("a pull request", f"a run for '{harmless(context.ref or 'no branch or tag')}'"),
    }
    expected, found = needs.get(name, (f"one of {', '.join(PLACEHOLDERS)}", f"{{{harmless(name, 40)}}}"))
    return PolicyError(
        "the version cannot be made",
        subject=f"{_SUBJECT}: {harmless(template)}",
        expected=expected,
        found=found,
        remedy="give that, change `versioning` in the policy, or give --version",
    )
