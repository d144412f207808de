"""What to do when the one link that the URL asks for cannot."""

from __future__ import annotations

import pytest

from otagate.errors import AccessError
from otagate.identity.aws import aws_identity
from otagate.identity.azure import azure_identity
from otagate.identity.google import google_identity
from otagate.identity.interface import Kind


def remedies(only: Kind | None) -> list[str]:
    found = []
    for ask in (
        lambda: aws_identity(None, "nobody" if only is Kind.PROFILE else None, only, {"HOME": "/nonexistent"}),
        lambda: google_identity(None, None, only, {"HOME": "/nonexistent"}),
        lambda: azure_identity(None, None, only, {"HOME": "/nonexistent"}),
    ):
        with pytest.raises(AccessError) as caught:
            ask().get()
        found.append(caught.value.remedy or "")
    return found


def test_of_oidc_only_the_ci_is_spoken() -> None:
    for remedy in remedies(Kind.OIDC):
        assert "OTAGATE_OIDC_TOKEN" in remedy
        assert "laptop" not in remedy


def test_of_stored_keys_their_variables_are_named() -> None:
    aws, google, azure = remedies(Kind.ENVIRONMENT)
    assert "AWS_ACCESS_KEY_ID and AWS_SECRET_ACCESS_KEY, or leave out identity=environment" in aws
    assert "GOOGLE_APPLICATION_CREDENTIALS" in google
    assert "AZURE_STORAGE_ACCOUNT_KEY or AZURE_STORAGE_SAS_TOKEN" in azure


def test_of_a_pod_the_platform_is_named() -> None:
    with pytest.raises(AccessError, match=r"of the kind `pod`") as caught:
        aws_identity(None, None, Kind.POD, {})
    assert caught.value.remedy == (
        "run it where the platform gives an identity to the pod, or leave out identity=pod; see docs/stores.md"
    )
