"""Every store that otagate supports passes the probe, and is left as it was found."""

from __future__ import annotations

from pathlib import Path

import pytest

from otagate.store.probe import probe_documents
from support.stores import ADAPTERS, CONTENT_TOKENS


@pytest.mark.parametrize("adapter", sorted(ADAPTERS))
def test_a_store_that_is_supported_passes(adapter: str, tmp_path: Path) -> None:
    documents = ADAPTERS[adapter](tmp_path)().documents
    report = probe_documents(documents)
    assert report.ok, report.failed
    assert report.left == ()
    assert list(documents.keys("probe/")) == []
    tokens = next(finding for finding in report.findings if finding.name == "old-bytes")
    assert tokens.ok == (adapter not in CONTENT_TOKENS)
