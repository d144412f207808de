from __future__ import annotations

from dataclasses import fields
from pathlib import Path
from typing import Any

import pytest

from otagate.errors import UsageError
from otagate.server.transport.options import RunOptions
from otagate.server.transport.worker import limits_of


@pytest.mark.parametrize(
    ("given", "named"),
    [
        ({"port": -1}, "--port"),
        ({"port": 65536}, "--port"),
        ({"workers": 0}, "--workers"),
        ({"workers": 65}, "--workers"),
        ({"max_connections": 0}, "--max-connections"),
        ({"max_connections_per_address": 0}, "--max-connections-per-address"),
        ({"in_flight": 0}, "--in-flight"),
        ({"drain_s": -0.1}, "--drain"),
        ({"tls_key": Path("a")}, "--tls-key"),
        ({"log_format": "xml"}, "--log-format"),
    ],
)
def test_what_cannot_be_is_refused_by_its_option(given: dict[str, Any], named: str) -> None:
    with pytest.raises(UsageError) as caught:
        RunOptions(**given)
    assert caught.value.subject == named


def test_bounds_come_from_the_options() -> None:
    options = RunOptions(max_connections=7, max_connections_per_address=6, in_flight=5, drain_s=4)
    limits = limits_of(options)
    assert (limits.connections, limits.per_address, limits.in_flight, limits.drain_s) == (7, 6, 5, 4)
    assert limits.keep_alive_s == 15
    assert limits_of(RunOptions(trusted_proxies=("10.0.0.1",))).keep_alive_s > 60


def test_defaults_serve_this_machine_only() -> None:
    options = RunOptions()
    assert (options.host, options.workers) == ("127.0.0.1", 1)
    assert len(fields(options)) == 12
