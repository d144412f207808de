"""Every code that ``otagate doctor`` can give: what it means and what mends it. Stable; docs/doctor.md lists them."""

from __future__ import annotations

from dataclasses import dataclass
from enum import StrEnum

from otagate.errors import ExitCode


class Severity(StrEnum):
    """How bad a problem is: only an error makes ``doctor`` fail."""

    ERROR = "error"
    WARNING = "warning"
    NOTE = "note"


@dataclass(frozen=True, slots=True)
class Code:
    """What a code stands for.

    Attributes:
        severity: Its usual severity.
        exit_code: What ``doctor`` ends with when this is its gravest error.
        meaning: What is wrong, as a sentence without a final stop.
        fix: What usually mends it, likewise.
    """

    severity: Severity
    exit_code: ExitCode
    meaning: str
    fix: str


def _error(meaning: str, fix: str, exit_code: ExitCode = ExitCode.USAGE) -> Code:
    return Code(Severity.ERROR, exit_code, meaning, fix)


def _warning(meaning: str, fix: str) -> Code:
    return Code(Severity.WARNING, ExitCode.DONE, meaning, fix)


def _note(meaning: str, fix: str) -> Code:
    return Code(Severity.NOTE, ExitCode.DONE, meaning, fix)


CODES: dict[str, Code] = {
    "git.missing": _warning(
        "git is not on the PATH, so only the CI can tell which commit and branch this is", "install git, or name it in PATH"
    ),
    "git.unusable": _error("git does not give the checkout", "do what git's own message says"),
    "extra.missing": _error("the libraries for a store or CDN of the policy are not installed", "install the extra"),
    "policy.missing": _error("there is no policy file", "make one with otagate init, or name it with --policy"),
    "policy.invalid": _error("the policy says something invalid", "correct the line that is named"),
    "policy.warning": _warning("something in the policy is allowed and unwise", "look at the line that is named"),
    "capacitor.config-missing": _warning(
        "there is no Capacitor configuration in app.dir, so the app could not be looked at", "name the app's folder: app.dir"
    ),
    "capacitor.app-id": _warning("the app's own id is not the policy's", "make app.id and appId equal"),
    "capacitor.plugin-missing": _warning(
        "the plugin that installs updates on phones was not found", "install @capgo/capacitor-updater with an exact version"
    ),
    "capacitor.plugin-old": _error(
        "the installed plugin cannot open what otagate seals", "install a version that can, and ship it in the app stores"
    ),
    "capacitor.public-key": _error(
        "the public key in the app does not belong to seal.encryption_key: phones would refuse every update",
        "put the public part of the encryption key into the app's configuration",
    ),
    "key.missing": _error("a key that the policy names is not there", "set the variable or put back the file"),
    "key.invalid": _error("a key cannot be used", "use a key of the kind that is expected"),
    "key.readable": _error("others on this machine can read a private key", "chmod 600 the file"),
    "key.untrusted": _error(
        "the policy does not trust the key that it signs with, or trusts none", "add its public part to trust.keys"
    ),
    "identity.none": _error(
        "nothing here can identify itself to a cloud that the policy names", "let the CI give a token, or log in"
    ),
    "identity.refused": _error(
        "a cloud does not take the identity that is there", "mend the trust between the CI and the cloud (docs/ci.md)"
    ),
    "identity.unreachable": _error(
        "the service that gives out credentials does not answer", "check the network, and try again", ExitCode.UNAVAILABLE
    ),
    "identity.static-key": _warning(
        "a stored cloud key is in use, which does not expire and can leak", "let the CI identify itself (docs/ci.md)"
    ),
    "store.missing": _error("the bucket or container does not exist", "create it, or correct its name in the policy"),
    "store.unreachable": _error(
        "a store does not answer", "check endpoint, region and network, and try again", ExitCode.UNAVAILABLE
    ),
    "store.permission": _error("a permission that otagate needs is missing", "allow what is named (docs/stores.md)"),
    "store.no-conditional-writes": _error(
        "a store does not refuse a second writer, so two pipelines could overwrite each other",
        "use another endpoint or version of the service, or keep the pointers elsewhere: documents: URL in the policy",
    ),
    "store.wrong-bytes": _error(
        "a store gives back other bytes than it was given",
        "use another store, and find out what changes them",
        ExitCode.VERIFICATION,
    ),
    "store.damaged": _error(
        "what is stored is not what otagate wrote there",
        "put it back from a backup, and find out who wrote",
        ExitCode.VERIFICATION,
    ),
    "store.unusable": _error("a store cannot be used as the policy says", "correct the URL in the policy (docs/stores.md)"),
    "store.signing": _warning(
        "an address that was signed for a private bucket does not give its bytes",
        "compare the clocks, and what the identity may do (docs/stores.md); a bucket that the public may read needs none",
    ),
    "store.probe-left": _note("what doctor wrote to try the store could not be removed", "otagate prune takes it"),
    "clock.skew": _warning(
        "this machine's clock and the store's are apart; services refuse requests that are too far off", "set the clock (NTP)"
    ),
    "public.unreachable": _error(
        "the public address does not give what is in the store",
        "check public= and the CDN's origin (docs/cdn.md)",
        ExitCode.UNAVAILABLE,
    ),
    "public.wrong-bytes": _error(
        "the public address gives other bytes than are in the store: phones would refuse them",
        "switch off everything in the CDN that changes content",
        ExitCode.VERIFICATION,
    ),
    "public.headers": _warning("the public address serves with headers that make trouble", "set them in the CDN (docs/cdn.md)"),
    "public.old-pointer": _warning(
        "the CDN still serves an older pointer of a channel",
        "wait, or have the CDN forget it; see cdn: in the policy (docs/cdn.md)",
    ),
    "telemetry.refused": _error(
        "what counts devices does not take the token, or this account", "put a valid token into the variable of telemetry.token"
    ),
    "telemetry.unreachable": _error(
        "what counts devices does not answer: gates have no numbers, and prune refuses",
        "check telemetry in the policy and the network, and try again",
        ExitCode.UNAVAILABLE,
    ),
    "telemetry.damaged": _error(
        "the telemetry database holds what otagate did not write there", "put it back from a backup", ExitCode.VERIFICATION
    ),
    "telemetry.unusable": _error("telemetry cannot be asked as the policy says", "correct telemetry in the policy"),
    "gate.plugin-silent": _warning(
        "the app's plugin does not tell what a gate counts",
        "update the plugin, and ship it in the app stores; or leave the gate out",
    ),
    "gate.source": _error(
        "a metric source of a gate cannot be asked: the gate has no numbers, and holds every rollout",
        "set what is named (docs/gates.md); otagate gate eval asks the source",
    ),
    "notify.unusable": _warning(
        "a place of notify cannot be told; no rollout fails by that", "set what is named (docs/notifications.md)"
    ),
    "pointer.invalid": _error(
        "a channel's pointer does not hold",
        "find out who wrote it, and put the channel's own document back",
        ExitCode.VERIFICATION,
    ),
    "pointer.expired": _error(
        "a channel's pointer has expired: who checks it takes no update from it",
        "otagate reconcile signs it anew",
        ExitCode.VERIFICATION,
    ),
    "pointer.expiring": _warning("a channel's pointer is in the last third of its life", "run otagate reconcile on a schedule"),
    "mirror.lagging": _warning("a mirror lacks releases, or serves an older pointer", "otagate mirror brings it up to date"),
    "mirror.unreachable": _warning("a mirror does not answer or cannot be read", "mend it, then run otagate mirror"),
    "ledger.broken": _error(
        "the ledger's chain is broken: an entry was changed or is gone",
        "compare the store with a backup",
        ExitCode.VERIFICATION,
    ),
    "rollout.stuck": _warning(
        "nobody has reconciled a rollout for long: it goes no further, and its gates are not judged",
        "run otagate reconcile on a schedule (docs/ci.md)",
    ),
}
"""In the order of the checks."""
