"""The sample app builds through our own runner, gives the same bytes wherever it stands, and has a second release in it."""

from __future__ import annotations

import json
import os
import shutil
from collections.abc import Callable
from pathlib import Path

import pytest

from otagate.bundle.archive import write_archive
from otagate.bundle.build import run_build
from otagate.bundle.collect import collect
from otagate.model import Bundle
from otagate.policy.model.bundles import BuildSpec, BundleSpec
from support import js

# The first to run installs npm packages, which takes as long as the network takes.
pytestmark = [pytest.mark.integration, pytest.mark.timeout(js.INSTALL_SECONDS)]

APP = js.ROOT / "examples" / "quickstart"
FIRST, SECOND = "npm run build", "npm run build:v2"


@pytest.fixture(scope="module")
def build(tmp_path_factory: pytest.TempPathFactory) -> Callable[..., tuple[Bundle, Path]]:
    """Give a function that builds a fresh copy of the app, in a folder of its own, and bundles it."""
    modules = js.npm_ci(APP)

    def make(command: str, **variables: str) -> tuple[Bundle, Path]:
        copy = tmp_path_factory.mktemp("somewhere") / "app"
        shutil.copytree(APP, copy, ignore=shutil.ignore_patterns("node_modules", "dist", ".otagate"))
        (copy / "node_modules").symlink_to(modules)
        lines: list[str] = []
        environ = {**os.environ, **js.environ(), **variables}
        run_build(BuildSpec(command=command, env=tuple(variables)), copy, environ, lines.append)
        assert any("built in" in line for line in lines), lines
        return write_archive(collect(copy / "dist", BundleSpec()), copy.parent / "bundle.zip"), copy / "dist"

    return make


@pytest.fixture(scope="module")
def first(build: Callable[..., tuple[Bundle, Path]]) -> tuple[Bundle, Path]:
    return build(FIRST)


@pytest.fixture(scope="module")
def second(build: Callable[..., tuple[Bundle, Path]]) -> tuple[Bundle, Path]:
    return build(SECOND)


def test_two_builds_in_two_folders_are_the_same_bytes(
    first: tuple[Bundle, Path], build: Callable[..., tuple[Bundle, Path]]
) -> None:
    assert build(FIRST)[0] == first[0]


def test_the_second_release_differs(first: tuple[Bundle, Path], second: tuple[Bundle, Path]) -> None:
    assert first[0].content != second[0].content
    assert first[0].archive != second[0].archive


def test_the_variable_does_what_the_second_script_does(
    second: tuple[Bundle, Path], build: Callable[..., tuple[Bundle, Path]]
) -> None:
    assert build(FIRST, VITE_RELEASE="2")[0] == second[0]


def test_most_of_the_second_release_is_on_devices_already(first: tuple[Bundle, Path], second: tuple[Bundle, Path]) -> None:
    before = {file.digest for file in first[0].files}
    shared = sum(file.size for file in second[0].files if file.digest in before)
    assert shared > 0.8 * sum(file.size for file in second[0].files)


def test_the_output_is_worth_bundling(first: tuple[Bundle, Path]) -> None:
    paths = [file.path for file in first[0].files]
    assert "index.html" in paths
    assert sum(path.endswith(".js") for path in paths) >= 5
    assert sum(path.endswith((".jpg", ".png")) for path in paths) >= 5
    assert not [path for path in paths if path.endswith(".map")]


def test_nothing_in_it_is_fetched_from_elsewhere(first: tuple[Bundle, Path]) -> None:
    folder = first[1]
    page = (folder / "index.html").read_text()
    assert "//" not in page.replace("<!--", "")
    assert 'src="./assets/' in page


def test_the_plugin_is_pinned() -> None:
    package = json.loads((APP / "package.json").read_text())
    lock = json.loads((APP / "package-lock.json").read_text())["packages"]
    assert package["dependencies"]["@capgo/capacitor-updater"] == "8.51.23"
    assert lock["node_modules/@capgo/capacitor-updater"]["version"] == "8.51.23"


@pytest.mark.parametrize("folder", ["examples/quickstart", "tests/js", "benchmarks"])
def test_lock_files_pin_by_hash_and_name_no_registry(folder: str) -> None:
    lock = json.loads((js.ROOT / folder / "package-lock.json").read_text())["packages"]
    installed = {name: entry for name, entry in lock.items() if name}
    assert len(installed) > 5
    assert {name for name, entry in installed.items() if not entry["integrity"].startswith("sha512-")} == set()
    assert {name for name, entry in installed.items() if "resolved" in entry} == set()
