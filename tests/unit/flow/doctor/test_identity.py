"""Which identity is used, what else was looked for, and that a stored key is warned of. No secret is shown."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace
from pathlib import Path

import pytest

from otagate.flow.doctor.identity import check_identity
from otagate.flow.doctor.model import Check
from otagate.flow.doctor.patient import Patient
from support.world import make_policy

SECRET = "wJalrXUtnFEMI-swept-K7MDENG-bPxRfiCYEXAMPLEKEY"
AWS = {"AWS_ACCESS_KEY_ID": "AKIDEXAMPLE", "AWS_SECRET_ACCESS_KEY": SECRET, "AWS_EC2_METADATA_DISABLED": "true"}


def look(tmp_path: Path, environ: Mapping[str, str], storage: str, *mirrors: str) -> tuple[list[Check], Patient]:
    policy = replace(make_policy(tmp_path), storage=storage, mirrors=mirrors)
    patient = Patient(None, tmp_path, {"HOME": str(tmp_path), **environ}, policy=policy)
    return list(check_identity(patient)), patient


def codes(checks: list[Check]) -> list[str]:
    return [found.code for check in checks for found in check.troubles]


@pytest.mark.parametrize(
    ("storage", "environ"),
    [
        ("s3://acme-updates?region=eu-west-1&identity=environment", AWS),
        ("az://updates?account=acme&identity=environment", {"AZURE_STORAGE_ACCOUNT_KEY": "c3dlcHQtc2VjcmV0LWtleQ=="}),
    ],
)
def test_a_stored_key_is_used_and_warned_of(storage: str, environ: dict[str, str], tmp_path: Path) -> None:
    (check,), patient = look(tmp_path, environ, storage)
    assert codes([check]) == ["identity.static-key"]
    assert check.status.value == "warning"
    assert check.detail.startswith("environment: ")
    assert not patient.gone
    assert any(line.endswith("(in use)") for line in check.more)
    assert not any(value in repr(check) for value in (SECRET, "c3dlcHQtc2VjcmV0LWtleQ=="))


@pytest.mark.parametrize(
    "storage",
    [
        "s3://acme-updates?region=eu-west-1&identity=oidc",
        "gs://acme-updates?identity=oidc",
        "az://updates?account=acme&identity=oidc",
    ],
)
def test_no_identity_is_an_error_that_says_what_was_looked_for(storage: str, tmp_path: Path) -> None:
    (check,), patient = look(tmp_path, {}, storage)
    assert codes([check]) == ["identity.none"]
    assert "oidc: " in check.troubles[0].what
    assert patient.gone == {"storage"}


def test_one_identity_of_several_stores_is_shown_once(tmp_path: Path) -> None:
    url = "s3://acme-updates?region=eu-west-1&identity=environment"
    checks, _ = look(tmp_path, AWS, url, url.replace("acme", "other"), "file:/tmp/x")
    assert [check.name for check in checks] == ["storage", "mirrors[0]"]
    assert checks[1].detail == "as storage"


def test_two_stores_without_an_identity_are_both_not_asked(tmp_path: Path) -> None:
    url = "s3://acme-updates?region=eu-west-1&identity=oidc"
    _, patient = look(tmp_path, {}, url, url.replace("acme", "other"))
    assert patient.gone == {"storage", "mirrors[0]"}


def test_an_emulator_needs_none(tmp_path: Path) -> None:
    (check,), _ = look(tmp_path, {}, "gs://acme-updates?endpoint=http://127.0.0.1:4443")
    assert check.status.value == "ok"
    assert "without credentials" in check.detail


def test_a_folder_has_none(tmp_path: Path) -> None:
    assert look(tmp_path, {}, "file:/tmp/x")[0] == []


def test_a_url_that_is_wrong_is_the_policy_s_problem(tmp_path: Path) -> None:
    (check,), _ = look(tmp_path, {}, "s3://acme-updates?regoin=x")
    assert not check.is_made


def test_a_compatible_service_is_not_taken_for_aws(tmp_path: Path) -> None:
    session = {**AWS, "AWS_SESSION_TOKEN": "session-that-is-for-aws"}
    r2 = "s3://acme-updates?endpoint=https://account.r2.cloudflarestorage.com&region=auto"
    (aws, other), patient = look(tmp_path, session, "s3://acme-updates?region=eu-west-1", r2)
    assert aws.detail.startswith("oidc: ")
    assert codes([other]) == ["identity.none"]
    assert len(patient.gone) == 1
