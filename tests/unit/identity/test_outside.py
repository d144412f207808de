"""Machine and programs, as they really are."""

from __future__ import annotations

import subprocess
from pathlib import Path

import pytest

from otagate.identity import _outside
from otagate.identity._outside import Finished, find_program, machine_fact, run_program


def test_facts_of_the_machine(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / "sys_vendor").write_bytes(b"Amazon EC2\xff\n")
    monkeypatch.setattr(_outside, "_MACHINE_FACTS", tmp_path)
    assert machine_fact("sys_vendor").startswith("Amazon EC2")
    assert machine_fact("product_uuid") == ""


def test_programs_see_the_given_environment_only(tmp_path: Path) -> None:
    path = tmp_path / "say"
    path.write_text('#!/bin/sh\necho "$1 $NAME"\necho no >&2\nexit 3\n')
    path.chmod(0o755)
    environ = {"PATH": str(tmp_path), "NAME": "x"}
    assert find_program("say", environ) == str(path)
    assert run_program(["say", "$NAME;"], environ, 10) == Finished(3, "$NAME; x\n", "no\n")
    assert run_program(["none"], environ, 10) is None
    assert find_program("say", {}) is None


def test_programs_that_hang_are_ended(tmp_path: Path) -> None:
    path = tmp_path / "hang"
    path.write_text("#!/bin/sh\nexec /bin/sleep 60\n")
    path.chmod(0o755)
    with pytest.raises(subprocess.TimeoutExpired):
        run_program(["hang"], {"PATH": str(tmp_path)}, 0.05)
