"""Each kind of source has its adapter."""

from __future__ import annotations

from decimal import Decimal
from pathlib import Path

import pytest

from otagate.gate.sources.command import CommandMetrics
from otagate.gate.sources.file import FileMetrics
from otagate.gate.sources.http import HttpMetrics
from otagate.gate.sources.registry import open_source, open_sources
from otagate.policy.model import CommandSource, FileSource, GateSpec, HttpSource, Source


@pytest.mark.parametrize(
    ("spec", "kind"),
    [
        (FileSource("x.json"), FileMetrics),
        (CommandSource(("x",)), CommandMetrics),
        (HttpSource("https://metrics.test/", "bad", "total"), HttpMetrics),
    ],
)
def test_source_opens_without_reading(spec: Source, kind: type) -> None:
    assert type(open_source(spec, root=Path("/nowhere"), environ={})) is kind


def test_gates_without_source_are_left_out() -> None:
    gates = [GateSpec("a", max=Decimal(1), source=FileSource("x.json")), GateSpec("b", max=Decimal(1))]
    assert list(open_sources(gates, root=Path(), environ={})) == ["a"]
