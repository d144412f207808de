"""What went wrong in a bucket, in the words of otagate: what failed, on which object, what to do."""

from __future__ import annotations

from otagate.errors import AccessError, NotFoundError, OtagateError, UnavailableError, UsageError
from otagate.store.objects import DeniedError, NoBucketError, ObjectError, RefusedError, TransientError, UnsupportedError

_CLOCK = "this machine's clock"
CREDENTIALS = "credentials that the service takes"
"""What is expected where no permission is missing but the credentials themselves are refused."""
_CORRECT = "correct the credentials: `otagate doctor` shows where they come from"


def explained(error: ObjectError, doing: str, subject: str) -> OtagateError:
    """Give the error of ours for a bucket's.

    Args:
        error: What the adapter said.
        doing: Completes "cannot …": ``store the blob``.
        subject: The bucket and key.
    """
    what, found = f"cannot {doing}", error.reason
    match error:
        case DeniedError() if error.of_credentials:
            remedy = "set this machine's clock (NTP)" if found.startswith(_CLOCK) else _CORRECT
            return AccessError(what, subject, CREDENTIALS, found, remedy)
        case DeniedError():
            remedy = (
                f"grant {error.permission or 'the permission'} to the identity in use: `otagate doctor` shows which one it is, "
                "and docs/stores.md has the policy to paste"
            )
            return AccessError(what, subject, error.permission or None, found, remedy)
        case NoBucketError():
            remedy = "create it, or correct `storage` in the policy: name, region, account and endpoint"
            return NotFoundError(what, subject, "a bucket that exists", found, remedy)
        case TransientError() | RefusedError():
            remedy = "run the command again: what was sent already is not sent twice"
            if isinstance(error, TransientError) and error.status is None:
                remedy = f"check the network and the store's endpoint and region, then {remedy}"
            return UnavailableError(what, subject, "an answer within the time limit", found, remedy)
        case UnsupportedError():
            return UsageError(what, subject, None, found, "see docs/stores.md for what each store can do")
        case _:
            remedy = "check the options of the store's URL (region, endpoint, path_style, account): `otagate doctor` tries each"
            return UsageError(what, subject, "a request that the service understands", found, remedy)
