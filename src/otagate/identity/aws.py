"""Who otagate is to AWS, and to services that speak its S3."""

from __future__ import annotations

from collections.abc import Mapping

from otagate.identity._outside import Outside
from otagate.identity.interface import AwsKeys, Identity, Kind


def aws_identity(
    role: str | None,
    profile: str | None,
    only: Kind | None,
    environ: Mapping[str, str],
    *,
    outside: Outside | None = None,
) -> Identity[AwsKeys]:
    """Find who we are to AWS. Nothing is asked of the network before the first ``get``.

    Args:
        role: The ARN of the role to take with the CI's token; by default ``AWS_ROLE_ARN``.
        profile: The profile of ``~/.aws``; by default ``AWS_PROFILE``, then ``default``.
        only: One link to use, or None for the first that can.
        environ: The environment of the process.
        outside: Replaces clock, network and machine in tests.

    Raises:
        AccessError: No link can give credentials.
        UsageError: The role is not a role's ARN, or an address in the environment may not be used.
    """
    raise NotImplementedError
