"""Find and load the policy: all problems of the file in one error, or a complete Policy."""

from __future__ import annotations

import hashlib
from dataclasses import replace
from pathlib import Path

from otagate._fs import translate
from otagate._text import harmless
from otagate.errors import OtagateError, UsageError
from otagate.model import AppId
from otagate.policy.app import AppFacts, read_app
from otagate.policy.build import app_root, build_policy
from otagate.policy.findings import Findings
from otagate.policy.model.policy import Policy
from otagate.policy.problems import Problem, problem_lines, raise_for
from otagate.policy.strict_yaml import MAX_BYTES, Document, parse


def load_policy(path: Path) -> Policy:
    """Load a policy.

    Raises:
        PolicyError: Something in it is wrong; ``details`` has one line for each problem, sorted by place.
        UsageError: There is no such file.
        AccessError: It may not be read.
        UnavailableError: It could not be read.
    """
    path = path.absolute()
    raw = _read(path)
    document = parse(raw)
    if document.data is None:
        raise_for(document.problems, path)
    # Other problems of the YAML are shown together with what can be judged of the rest.
    findings = _check(document, path.parent)
    facts = _facts(path, findings)
    raise_for(_errors(document, findings), path)
    policy = _build(document, path, raw, facts)
    return replace(policy, warnings=(*problem_lines(findings.warnings, path), *facts.warnings))


def _build(document: Document, path: Path, raw: bytes, facts: AppFacts) -> Policy:
    from otagate.policy.explain import origins  # noqa: PLC0415 - only for a policy that is right

    policy = build_policy(document.data, path, hashlib.sha256(raw).hexdigest(), facts)
    return replace(policy, origins=origins(policy, document, facts))


def _read(path: Path) -> bytes:
    try:
        with path.open("rb") as stream:
            return stream.read(MAX_BYTES + 1)
    except FileNotFoundError as error:
        remedy = "run `otagate init`, or name another file with --policy"
        raise UsageError("there is no such policy file", subject=harmless(str(path)), remedy=remedy) from error
    except OSError as error:
        raise translate(error, "the policy cannot be read", path) from error


def _check(document: Document, folder: Path) -> Findings:
    from otagate.policy import (  # noqa: PLC0415 - not for `find_policy` alone
        check_devices,
        check_gates,
        check_phases,
        check_rest,
        check_stores,
        check_tracks,
        check_windows,
    )

    findings = Findings(document)
    for check in (
        check_tracks.check_branches,
        check_tracks.check_tracks,
        check_gates.check_gates,
        check_phases.check_phases,
        check_devices.check_server,
        check_devices.check_telemetry,
        check_devices.check_counted,
        check_windows.check_windows,
        check_windows.check_notify,
        check_rest.check_secrets,
        check_rest.check_seal,
        check_rest.check_native,
        check_rest.check_versioning,
        check_stores.check_cdn,
        check_stores.check_keep,
    ):
        check(findings)
    check_stores.check_stores(findings, folder)
    return findings


def _errors(document: Document, findings: Findings) -> list[Problem]:
    from otagate.policy.validate import schema_problems  # noqa: PLC0415 - brings jsonschema

    # Where a check has more to say than the schema, it alone speaks; a value that YAML refused has been reported already.
    said = {problem.path for problem in (*findings.errors, *document.problems)}
    from_schema = [problem for problem in schema_problems(document) if problem.path not in said or not problem.path]
    return [*document.problems, *from_schema, *findings.errors]


def _facts(path: Path, findings: Findings) -> AppFacts:
    """Read the app's own files, and check what the policy needs of them."""
    root = app_root(findings.text("app", "dir") or ".", path)
    try:
        if not root.is_dir():
            findings.error(("app", "dir"), "there is no such folder", found=f"'{harmless(str(root))}'")
            return AppFacts()
        facts = read_app(root)
    except OSError as error:
        findings.error(
            ("app", "dir"), "this folder cannot be read", found=error.strerror, remedy="check its name and permissions"
        )
        return AppFacts()
    if "id" not in findings.mapping("app"):
        _check_app_id(facts, findings)
    return facts


def _check_app_id(facts: AppFacts, findings: Findings) -> None:
    if facts.app_id is None:
        expected = "`id` here, or `appId` in capacitor.config.json, .ts or .js"
        findings.error(("app",), "the app has no id", expected=expected, remedy="write `app: {id: com.example.app}`")
        return
    try:
        AppId(facts.app_id.value)
    except OtagateError as error:
        findings.error(("app",), f"{error.what} ({facts.app_id.source})", expected=error.expected, found=error.found)
