from __future__ import annotations

import pytest

from otagate.errors import UsageError
from otagate.fleet.generations import REPRESENTATIVE, SINCE, Reading, generation


@pytest.mark.parametrize(
    ("version", "reading", "failure", "has", "has_not"),
    [
        ("5.50.2", Reading.KIND, "download_fail", {"hex_checksum", "batches", "keeps_channel"}, {"tells_launches", "requeues"}),
        (
            "6.14.19",
            Reading.MESSAGE,
            "download_fail",
            {"resets_to_builtin"},
            {"hex_checksum", "needs_checksum", "worker_events"},
        ),
        ("6.25.3", Reading.ERROR, "backend_refusal", {"worker_events"}, {"quiet_refusals", "hex_checksum"}),
        ("6.29.9", Reading.ERROR, "download_fail", {"quiet_refusals"}, {"hex_checksum"}),
        ("6.30.0", Reading.ERROR, "download_fail", {"hex_checksum"}, {"batches"}),
        ("6.51.16", Reading.KIND, "download_fail", {"requeues", "tells_launches"}, {"resumes", "gates_download"}),
        (
            "7.51.21",
            Reading.KIND,
            "download_fail",
            {"requeues", "resumes", "tells_deletes"},
            {"gates_download"},
        ),
        ("7.0.50", Reading.MESSAGE, "download_fail", {"resets_to_builtin"}, {"batches", "hex_checksum", "latches_after_429"}),
        ("7.27.4", Reading.ERROR, "backend_refusal", {"latches_after_429"}, {"quiet_refusals"}),
        ("7.27.9", Reading.ERROR, "download_fail", {"needs_checksum"}, {"quiet_refusals"}),
        ("7.28.0", Reading.ERROR, "download_fail", {"quiet_refusals"}, {"hex_checksum", "keeps_channel"}),
        ("7.36.1", Reading.ERROR, "download_fail", {"hex_checksum", "keeps_channel"}, {"reads_kind", "batches"}),
        ("8.41.3", Reading.ERROR, "download_fail", {"strict_checksum", "tells_key_id"}, {"batches", "builtin_is_native"}),
        ("8.45.10", Reading.ERROR, "download_fail", {"batches", "builtin_is_native"}, {"reads_kind"}),
        ("8.45.11", Reading.KIND, "download_fail", {"tells_set_next"}, {"tells_launches", "tells_crashes"}),
        ("8.51.23", Reading.KIND, "download_fail", set(SINCE) - {"latches_after_429"}, set()),
    ],
)
def test_what_a_version_does(version: str, reading: Reading, failure: str, has: set[str], has_not: set[str]) -> None:
    plugin = generation(version)
    assert (plugin.version, plugin.reading, plugin.failure_action) == (version, reading, failure)
    assert has <= plugin.features
    assert not has_not & plugin.features
    assert plugin.has("hex_checksum") == ("hex_checksum" in plugin.features)


@pytest.mark.parametrize("version", ["4.15.0", "9.0.0", "10.0.0", "8.51", "8.51.23-rc.1", "", "8.x.1", "٨.1.1"])
def test_others_are_refused(version: str) -> None:
    with pytest.raises(UsageError, match="generation"):
        generation(version)


def test_the_representatives_differ() -> None:
    plugins = [generation(version) for version in REPRESENTATIVE]
    assert len(
        {(plugin.version.split(".")[0], plugin.features, plugin.reading, plugin.failure_action) for plugin in plugins}
    ) == len(plugins)
