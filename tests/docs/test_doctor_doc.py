"""docs/doctor.md lists exactly the codes that doctor can give, and every code is given somewhere."""

from __future__ import annotations

import importlib.util
import re
from pathlib import Path

from otagate.flow.doctor.codes import CODES

ROOT = Path(__file__).parents[2]


def test_the_page_is_what_the_table_says() -> None:
    spec = importlib.util.spec_from_file_location("doctor_docs", ROOT / "scripts" / "doctor_docs.py")
    assert spec is not None
    assert spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    assert (ROOT / "docs" / "doctor.md").read_text() == module.render(), "run scripts/doctor_docs.py"


def test_every_code_is_given_and_no_other() -> None:
    pages = [path.read_text() for path in (ROOT / "src/otagate/flow/doctor").glob("*.py") if path.name != "codes.py"]
    given = {code for text in pages for code in re.findall(r'"([a-z]+\.[a-z-]+)"', text)}
    assert set(CODES) - given == set()
    assert {code for code in given if code.partition(".")[0] in {name.partition(".")[0] for name in CODES}} - set(CODES) <= {
        "google.auth"
    }
