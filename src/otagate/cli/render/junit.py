"""Judgements as a JUnit report: one test case a check, so that a CI host shows gates where it shows tests.

**Source:** the elements and attributes that GitLab and Jenkins read: ``testsuites``, ``testsuite``, ``testcase``
with ``failure``, ``error`` or ``skipped``, and ``system-out``.
"""

from __future__ import annotations

import json
import re
from collections.abc import Collection, Mapping, Sequence
from xml.etree import ElementTree as ET

from otagate._text import harmless
from otagate.cli.render.gates import is_waived
from otagate.gate.evidence import evidence
from otagate.gate.judge import Check, GateResult, Verdict

_NO_CHARACTERS = re.compile("[\ufffe\uffff]")
"""Left by :func:`harmless`, and refused by XML 1.0 (section 2.2), so that the whole report could not be read."""
_ERRORS = frozenset({Verdict.ERROR, Verdict.NO_DATA, Verdict.STALE})
_FAILED = frozenset({Verdict.ERROR})
_SKIPPED = frozenset({Verdict.INCONCLUSIVE, Verdict.INSUFFICIENT})


def draw(
    suites: Mapping[str, Sequence[GateResult]],
    waived: Mapping[str, Collection[str]] | None = None,
    waiting: Collection[str] = (),
    failed: Mapping[str, str] | None = None,
) -> str:
    """Write a report.

    Args:
        suites: Results by what was judged, such as a rollout's id. A suite without results is written too.
        waived: Metrics whose failures somebody lifted, by the same names.
        waiting: Names of those for which the time of grace runs: that no device has told anything yet is no error there.
        failed: What could not be judged at all, with the reason: a suite each, whose only case is an error.

    Returns:
        An XML document. A failed gate that stops a rollout is a failure; one that only alerts, or is a dry run, passes and says
        so; a source that cannot be read is an error; what is not decided, or was waived, is skipped.
    """
    root = ET.Element("testsuites", name="otagate")
    for name, results in suites.items():
        errors = _FAILED if name in waiting else _ERRORS
        _suite(root, name, results, (waived or {}).get(name, ()), errors)
    for name, reason in (failed or {}).items():
        suite = ET.SubElement(root, "testsuite", name=harmless(name, 200), failures="0", errors="1", skipped="0", tests="1")
        case = ET.SubElement(suite, "testcase", classname="rollout", name="reconcile")
        ET.SubElement(case, "error", message=harmless(reason, 500), type="error")
    ET.indent(root)
    text = ET.tostring(root, encoding="unicode", xml_declaration=True)
    return _NO_CHARACTERS.sub("\ufffd", text) + "\n"


def _suite(
    root: ET.Element, name: str, results: Sequence[GateResult], waived: Collection[str], errors: Collection[Verdict]
) -> None:
    suite = ET.SubElement(root, "testsuite", name=harmless(name, 200))
    for result in results:
        proof = {str(check["name"]): check for check in evidence(result)["checks"]}  # type: ignore[attr-defined]
        for check in result.checks:
            case = ET.SubElement(suite, "testcase", classname=f"gate.{result.metric}", name=check.name)
            _judged(case, result, check, waived, errors)
            ET.SubElement(case, "system-out").text = json.dumps(proof[check.name], indent=2, sort_keys=True)
    for tag, attribute in (("failure", "failures"), ("error", "errors"), ("skipped", "skipped")):
        suite.set(attribute, str(len(suite.findall(f"testcase/{tag}"))))
    suite.set("tests", str(len(suite)))


def _judged(case: ET.Element, result: GateResult, check: Check, waived: Collection[str], errors: Collection[Verdict]) -> None:
    reason = harmless(check.reason, 500)
    if is_waived(result, check, waived):
        ET.SubElement(case, "skipped", message=f"waived: {reason}")
    elif check.verdict is Verdict.FAIL and check.demand.stops:
        ET.SubElement(case, "failure", message=reason, type=check.demand.value)
    elif check.verdict in errors and result.is_gating:
        ET.SubElement(case, "error", message=reason, type=check.verdict.value)
    elif check.verdict in _SKIPPED or check.verdict in _ERRORS:
        ET.SubElement(case, "skipped", message=f"{check.verdict.value}: {reason}")
