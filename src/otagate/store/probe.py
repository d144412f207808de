"""Does a store really refuse a second writer? Asked of the store itself, because lists of what services promise are wrong.

Some services that speak a cloud's protocol ignore conditions, or check them and write in two steps. On such a store two
pipelines would overwrite each other and neither would notice, so otagate keeps no document there.
**Source:** docs/adr/0004-compare-and-swap.md.
"""

from __future__ import annotations

from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass

from otagate.errors import UsageError
from otagate.store.interface import DocumentStore
from otagate.store.probe_checks import CHECKS, WRITERS, Finding, Room

PROBE_VERSION = 1
"""Grows when a check is added that a store may fail: what passed an older probe is asked again."""


@dataclass(frozen=True, slots=True)
class ProbeReport:
    """Everything that the probe showed.

    Attributes:
        findings: One a check, in a fixed order.
        left: Keys of probe documents that could not be removed and may be there still, sorted; usually none.
    """

    findings: tuple[Finding, ...]
    left: tuple[str, ...] = ()

    @property
    def ok(self) -> bool:
        """Whether documents can be kept in this store."""
        return not self.failed

    @property
    def failed(self) -> tuple[Finding, ...]:
        """The findings for which it cannot."""
        return tuple(finding for finding in self.findings if finding.matters and not finding.ok)


def probe_documents(documents: DocumentStore) -> ProbeReport:
    """Try a store with some 75 small requests below ``probe/``, and remove what was written, also after a failure.

    Raises:
        AccessError: A permission to read or write documents is missing. (Without that to delete, they stay: see ``left``.)
        UnavailableError: The store did not answer.
    """
    with ThreadPoolExecutor(WRITERS, thread_name_prefix="probe") as pool:
        room = Room(documents, pool)
        try:
            findings = [*map(room.look, CHECKS), *room.races()]
        finally:
            left = room.leave()
    return ProbeReport(tuple(findings), left)


def refusal(report: ProbeReport, where: str) -> UsageError:
    """Make the error for a store that failed the probe; ``where`` names it to people."""
    return UsageError(
        "this store does not refuse a second writer, so two pipelines could overwrite each other",
        where,
        expected="conditional writes, checked and carried out in one step",
        found=", ".join(finding.name for finding in report.failed),
        remedy="use another endpoint or version of the service, or keep the pointers elsewhere: documents: URL in the policy",
        details=tuple(f"{finding.name}: {finding.found}" for finding in report.failed),
    )
