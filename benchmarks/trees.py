"""Web builds to measure on, put together from the dist folders of pinned npm packages (package-lock.json)."""

from __future__ import annotations

import os
import shutil
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

HERE = Path(__file__).parent
MODULES = HERE / "node_modules"
IMAGES = HERE.parent / "examples" / "quickstart" / "src" / "images"
INDEX = """<!doctype html>
<html lang="en">
  <head><meta charset="utf-8"><title>Benchmark</title></head>
  <body><script type="module" src="start.js"></script></body>
</html>
"""
START = "window.Capacitor?.Plugins?.CapacitorUpdater?.notifyAppReady();\n"
# What a release would not carry.
LEFT_OUT = (".map", ".d.ts", ".md", ".txt", "package.json")
HUGE_COPIES = 25


@dataclass(frozen=True, slots=True)
class Part:
    """Files to take: a folder or file below node_modules, without the folders named in ``skip``."""

    path: str
    skip: tuple[str, ...] = ()


SMALL = (
    Part("swagger-ui-dist/swagger-ui-bundle.js"),
    Part("swagger-ui-dist/swagger-ui-standalone-preset.js"),
    Part("swagger-ui-dist/swagger-ui.css"),
    Part("three/build/three.core.js"),
    Part("@ionic/core/components"),
    Part("@ionic/core/css"),
)
MEDIUM = (
    Part("monaco-editor/min/vs", skip=("language", "nls")),
    Part("@ionic/core/components"),
    Part("@ionic/core/dist/esm"),
    Part("@ionic/core/css"),
    Part("three/examples/jsm/shaders"),
    Part("three/examples/jsm/tsl"),
)
LARGE = (
    Part("monaco-editor/min"),
    Part("@ionic/core/dist/ionic"),
    Part("@ionic/core/dist/esm"),
    Part("@ionic/core/dist/collection"),
    Part("@ionic/core/components"),
    Part("ionicons/dist/svg"),
    Part("swagger-ui-dist"),
    Part("three/build"),
    Part("three/src"),
    Part("three/examples/jsm"),
)


def files_of(part: Part) -> Iterator[Path]:
    """Walk a part's files in a fixed order."""
    root = MODULES / part.path
    if root.is_file():
        yield root
        return
    for path in sorted(root.rglob("*")):
        inside = path.relative_to(root).parts
        if path.is_file() and not path.name.endswith(LEFT_OUT) and not set(inside) & set(part.skip):
            yield path


def _start(target: Path) -> None:
    """Make a fresh folder with the page that the checks of both tools ask for."""
    shutil.rmtree(target, ignore_errors=True)
    target.mkdir(parents=True)
    (target / "index.html").write_text(INDEX)
    (target / "start.js").write_text(START)


def assemble(target: Path, parts: tuple[Part, ...]) -> Path:
    """Copy parts, the sample app's pictures and a start page into a fresh folder."""
    _start(target)
    shutil.copytree(IMAGES, target / "images")
    for part in parts:
        for source in files_of(part):
            copy = target / source.relative_to(MODULES)
            copy.parent.mkdir(parents=True, exist_ok=True)
            shutil.copyfile(source, copy)
    return target


def multiply(target: Path, source: Path, copies: int) -> Path:
    """Make a tree so large that it would show if memory grew with it: many copies of one, as hard links."""
    _start(target)
    for number in range(copies):
        shutil.copytree(source, target / f"copy{number:02}", copy_function=os.link)
    return target


def weigh(folder: Path) -> tuple[int, int]:
    """Count the files below a folder and their bytes."""
    sizes = [path.stat().st_size for path in folder.rglob("*") if path.is_file()]
    return len(sizes), sum(sizes)
