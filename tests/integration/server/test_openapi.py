from __future__ import annotations

import json
import re
import subprocess
import sys
from pathlib import Path

import httpx
import pytest

from otagate.server.http.answer import Problem
from otagate.server.http.openapi.document import document
from otagate.server.http.routes import ROUTES
from support.measured import unmeasured
from support.served import APP, DIGEST
from support.served_process import served

pytestmark = pytest.mark.integration
SEED = "20261121"
CASES = 2000
# Of the apps and bundles that the server has, so that what is behind the names is reached, too.
CONFIG = f"""
[parameters]
app = "{APP}"
"query.app_id" = "{APP}"
digest = "{DIGEST.hex}"
"""


@pytest.mark.timeout(240)
def test_the_document_is_true(tmp_path: Path) -> None:
    config = tmp_path / "schemathesis.toml"
    config.write_text(CONFIG)
    with served(tmp_path, measures=False) as server:
        # Not among the checks: that everything of the right shape is accepted. An end may be before its start, and a channel
        # may be one that nobody has.
        command = [
            *(str(Path(sys.executable).with_name("st")), "--config-file", str(config), "run", f"{server.url}/openapi.json"),
            *("--seed", SEED, "--max-examples", "10", "--phases", "examples,coverage,fuzzing", "--continue-on-failure"),
            *("--checks", "all", "--exclude-checks", "positive_data_acceptance", "--no-shrink", "--warnings", "off"),
            *("--header", f"authorization: Bearer {server.token}"),
        ]
        found = subprocess.run(
            command, capture_output=True, text=True, cwd=tmp_path, env=unmeasured(), timeout=200, check=False
        )
        with httpx.Client(base_url=server.url, trust_env=False) as client:
            page = client.get("/metrics", headers={"authorization": server.token}).text
    assert found.returncode == 0, found.stdout[-8000:]
    made = re.search(r"(\d+) generated, (\d+) passed", found.stdout)
    assert made, found.stdout[-2000:]
    assert int(made[1]) >= CASES
    # ... and by the server's own account.
    statuses = set(re.findall(r'otagate_requests_total\{route="[a-z_]+",status="(\d+)"\}', page))
    assert statuses >= {"200", "400", "401", "404", "405", "429"}
    assert not {status for status in statuses if status.startswith("5")}


def test_the_document_is_well_formed_and_names_every_path() -> None:
    whole = document()
    for reference in set(re.findall(r'"#/([^"]+)"', json.dumps(whole))):
        found = whole
        for name in reference.split("/"):
            found = found[name]
        assert found
    paths = {path.replace("{digest}", "") for path in whole["paths"]}
    assert paths == {path for path in ROUTES if path != "/device/"} | {"/bundles/sha256/"}
    for path, route in ROUTES.items():
        if path != "/device/":
            methods = set(whole["paths"][path]) - {"parameters"}
            assert {method.upper() for method in methods} == set(route.methods)


def test_every_refusal_that_the_code_knows_is_documented() -> None:
    from otagate.server.http import answer

    known = {problem.status for problem in vars(answer).values() if isinstance(problem, Problem)}
    assert {str(status) for status in known} <= set(document()["components"]["responses"])
