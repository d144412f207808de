from __future__ import annotations

from pathlib import Path

from otagate.policy.references import references
from support.policies import load

TEXT = """\
telemetry: {server: "https://u.example.com", token: "env:METRICS"}
cdn: {webhook: "env:PURGE"}
gates:
  crash_rate: {}
  errors: {max: 1%, source: {http: {url: "https://m", bad: a, total: b, headers: {Authorization: "env:HEADER", Accept: text}}}}
  slow: {value: {max: 1}, source: {prometheus: {url: "https://p", value: "{release}", headers: {Authorization: "env:HEADER"}}}}
  hits: {max: 1%, source: {datadog: {api_key: "env:API", application_key: "file:app", bad: "{release}", total: t}}}
notify: {a: {webhook: "env:HOOK", secret: "env:SECRET"}}
"""


def test_every_reference_is_given_once_and_nothing_else(tmp_path: Path) -> None:
    found = references(load(tmp_path, TEXT))
    own = ("env:OTAGATE_ENCRYPTION_KEY", "env:OTAGATE_SIGNING_KEY", "file:k", "env:PURGE")
    others = ("env:METRICS", "env:HEADER", "env:API", "file:app", "env:HOOK", "env:SECRET")
    assert found == (*own, *others)
