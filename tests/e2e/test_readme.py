"""The README, word for word: what it tells people to type works, and what it names is there."""

from __future__ import annotations

import json
import os
import re
import shlex
import subprocess
import sys
from pathlib import Path

import pytest

from support.shop import git

pytestmark = pytest.mark.e2e

ROOT = Path(__file__).parents[2]
README = (ROOT / "README.md").read_text("utf-8")
BIN = Path(sys.executable).parent


def section(title: str) -> str:
    found = re.search(rf"^## {re.escape(title)}\n(.*?)(?=^## |\Z)", README, re.MULTILINE | re.DOTALL)
    assert found is not None, title
    return found[1]


def typed(text: str) -> list[str]:
    """Give the command lines of a text's indented blocks, without their comments."""
    lines = re.findall(r"^    (\S.*)$", re.sub(r"^```.*?^```$", "", text, flags=re.MULTILINE | re.DOTALL), re.MULTILINE)
    return [re.sub(r"\s+#.*", "", line) for line in lines]


def run(line: str, folder: Path) -> subprocess.CompletedProcess[str]:
    """Run a line as a person types it, with the installed command on the PATH and no CI around."""
    environ = {"PATH": f"{BIN}{os.pathsep}{os.environ['PATH']}", "HOME": os.environ.get("HOME", "/"), "USER": "reader"}
    return subprocess.run(
        ["/bin/sh", "-c", line], cwd=folder, env=environ, capture_output=True, text=True, timeout=120, check=False
    )


def capacitor_app(folder: Path) -> Path:
    """Make an app as its developer has it before otagate: a configuration, a build script, a first commit."""
    folder.mkdir()
    build = (
        "const fs = require('fs'); fs.mkdirSync('www', {recursive: true});"
        "fs.writeFileSync('www/index.html', '<script src=app.js></script>');"
        "fs.writeFileSync('www/app.js', 'CapacitorUpdater.notifyAppReady()')"
    )
    (folder / "build.js").write_text(build)
    (folder / "package.json").write_text(json.dumps({"name": "a", "version": "1.2.3", "scripts": {"build": "node build.js"}}))
    (folder / "capacitor.config.json").write_text(json.dumps({"appId": "com.example.mine", "appName": "Mine", "webDir": "www"}))
    (folder / ".gitignore").write_text("node_modules\nwww\n")
    git(folder, "init", "-q")
    git(folder, "add", "-A")
    git(folder, "commit", "-qm", "before otagate")
    return folder


def test_start_with_your_own_app_works_as_it_is_written(tmp_path: Path) -> None:
    lines = typed(section("Start with your own app"))
    init = "otagate init --devices 2000"
    verbs = [init, "otagate rehearse", "otagate plan", "otagate run"]
    assert lines == ["pip install '.[server]'", "cd your-app", *verbs]
    app = capacitor_app(tmp_path / "your-app")
    said = {}
    for line in verbs:
        done = run(line + " --devices 60" * (line == "otagate rehearse"), app)  # 2,000 phones take their time
        assert done.returncode == 0, f"{line}: {done.stderr}{done.stdout}"
        assert "Traceback" not in done.stderr
        said[line] = done.stdout
    assert "com.example.mine" in said[init]
    assert "is offered to 100% of beta" in said["otagate rehearse"]
    assert "track production" in said["otagate plan"]
    assert "soaking" in said["otagate run"]
    assert json.loads((app / "capacitor.config.json").read_text())["plugins"]["CapacitorUpdater"]["publicKey"]
    # The same command twice is the same as once; and what init advises works, too.
    again = run("otagate run && otagate history", app)
    assert again.returncode == 0, again.stderr
    assert again.stdout.count("rollout.started") == 1
    assert run("git status --porcelain .otagate", app).stdout == "", "keys and store are to be ignored by git"
    advised = re.findall(r"^\s*\d+\. (git add .*?), and commit$", said[init], re.MULTILINE)
    assert len(advised) == 1, said[init]
    assert run(advised[0], app).returncode == 0
    assert run("otagate status && otagate policy check && otagate policy explain", app).returncode == 0


def test_init_changes_nothing_the_second_time(tmp_path: Path) -> None:
    app = capacitor_app(tmp_path / "your-app")
    assert run("otagate init", app).returncode == 0
    before = {path: path.read_bytes() for path in app.rglob("*") if path.is_file()}
    again = run("otagate init", app)
    assert again.returncode == 0
    assert "nothing was changed" in again.stdout
    assert {path: path.read_bytes() for path in app.rglob("*") if path.is_file()} == before


def test_every_make_target_that_is_named_exists() -> None:
    targets = set(re.findall(r"^([a-z]+):", (ROOT / "Makefile").read_text(), re.MULTILINE))
    pages = [ROOT / "README.md", ROOT / "CONTRIBUTING.md", ROOT / "SECURITY.md", *(ROOT / "docs").rglob("*.md")]
    named = {name for page in pages for name in re.findall(r"(?:^    |`)make ([a-z]+)", page.read_text(), re.MULTILINE)}
    assert {"demo", "test"} <= named <= targets


@pytest.mark.parametrize("target", ["demo", "test", "lint", "bench", "lock", "clean"])
def test_make_targets_run_what_is_there(target: str) -> None:
    told = subprocess.run(["make", "-n", target], cwd=ROOT, capture_output=True, text=True, check=False)
    assert told.returncode == 0, told.stderr
    files = re.findall(r"(?:^|\s)((?:scripts|examples|benchmarks)/[\w./-]+)", told.stdout)
    assert files or target == "clean"
    assert [file for file in files if not (ROOT / file).exists() and file != "benchmarks/out"] == []


def test_the_try_it_commands_are_the_two_of_the_makefile() -> None:
    assert typed(section("Try it")) == ["make demo", "make test"]


def test_every_variable_of_the_table_is_in_the_code_and_the_other_way_round() -> None:
    names = re.findall(r"^\| `([A-Z_]+)` \|", section("Environment variables"), re.MULTILINE)
    assert len(names) >= 4
    code = "\n".join(path.read_text("utf-8") for path in (ROOT / "src").rglob("*") if path.suffix in {".py", ".json"})
    assert [name for name in names if name not in code] == []
    # OTAGATE_* that a person may set: not the inputs and outputs of the CI faces, which docs/ci.md lists.
    ours = set(re.findall(r"\bOTAGATE_(?!INPUT_)[A-Z]+(?:_[A-Z]+)*\b", code)) - {"OTAGATE_"}
    told = README + (ROOT / "docs" / "ci.md").read_text("utf-8") + (ROOT / "docs" / "policy.md").read_text("utf-8")
    assert {name for name in ours if name not in told} == set()


def test_every_file_that_is_named_in_code_style_exists() -> None:
    named = re.findall(r"`((?:src|docs|examples|scripts|tests)/[\w./-]+)`", README)
    assert [name for name in named if not (ROOT / name).exists()] == []


def test_commands_in_code_style_are_understood() -> None:
    # Each `otagate …` with options in the pages: the parser takes it.
    pages = [ROOT / "README.md", *(ROOT / "docs").rglob("*.md")]
    lines = {
        line
        for page in pages
        for line in re.findall(
            r"(?:`|^\$ |^(?=otagate [a-z]+(?:\s+[-#]|$)))(otagate [a-z][^`\n…]*)",
            re.sub(r"\\\n\s*", "", page.read_text("utf-8")).replace("'…'", "'why'"),
            re.MULTILINE,
        )
    }
    assert len(lines) > 10
    from otagate.cli.main import build_parser
    from otagate.errors import UsageError

    wrong = []
    for line in sorted(lines):
        words = shlex.split(line.split(" | ")[0].replace("<", "").replace(">", ""), comments=True)[1:]
        if len(words) < 2 or words[1] == "--help" or any("|" in word or word.isupper() for word in words):
            continue  # a verb alone, a synopsis, or with a placeholder
        try:
            build_parser(words[0]).parse_args(words[1:])
        except UsageError as error:
            wrong.append(f"{line}: {error.what}")
    assert wrong == []
