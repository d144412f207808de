"""What the app's own files say: app id and web folder from Capacitor's configuration, versions from npm's files.

**Source:** Capacitor 8 looks for capacitor.config.ts, then .js, then .json; npm's lock file format 3 lists packages by path.
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from otagate import _canonical
from otagate._text import harmless, size

PLUGIN = "@capgo/capacitor-updater"
CONFIG_NAMES = ("capacitor.config.ts", "capacitor.config.js", "capacitor.config.json")
"""In Capacitor's own order: the first that exists is the one it reads."""

_MAX_CONFIG_BYTES = 1024 * 1024
_MAX_LOCK_BYTES = 64 * 1024 * 1024
_COMMENT = re.compile(r"""("(?:\\.|[^"\\\n])*"|'(?:\\.|[^'\\\n])*'|`(?:\\.|[^`\\])*`)|//[^\n]*|/\*.*?\*/""", re.DOTALL)
_LITERAL = r"""(?:^|[{{,\s])['"]?{key}['"]?\s*:\s*(?P<quote>['"`])(?P<value>[^'"`\\\n$]{{1,512}})(?P=quote)"""
_EXACT_VERSION = re.compile(r"[\^~=v\s]*([0-9]+\.[0-9]+\.[0-9]+(?:-[0-9A-Za-z.-]+)?)")


@dataclass(frozen=True, slots=True)
class Fact:
    """A value with where it was read, such as ``capacitor.config.json: appId``."""

    value: str
    source: str


@dataclass(frozen=True, slots=True)
class AppFacts:
    """What was found; None where a file does not say it.

    Attributes:
        config: The Capacitor configuration file, or None.
        warnings: What could not be read, as sentences.
    """

    config: Path | None = None
    app_id: Fact | None = None
    web_dir: Fact | None = None
    plugin_version: Fact | None = None
    warnings: tuple[str, ...] = ()


def read_app(root: Path) -> AppFacts:
    """Read what the app in ``root`` says about itself. Files that are missing or odd give None and a warning, no error."""
    warnings: list[str] = []
    config = next((root / name for name in CONFIG_NAMES if (root / name).is_file()), None)
    said = _config_values(config, warnings) if config else {}
    for key in ("appId", "webDir"):
        if config is not None and not warnings and key not in said:
            warnings.append(f"{config.name}: no plain `{key}` was found in it; say it in the policy when it is needed")
    facts = {key: Fact(value, f"{config.name}: {key}") for key, value in said.items() if config}
    return AppFacts(config, facts.get("appId"), facts.get("webDir"), _plugin_version(root, warnings), tuple(warnings))


def package_version(root: Path) -> str | None:
    """Give ``version`` of the app's package.json, or None when there is none."""
    version = _json_object(root / "package.json", _MAX_CONFIG_BYTES, []).get("version")
    return version if isinstance(version, str) and version else None


def _config_values(config: Path, warnings: list[str]) -> dict[str, str]:
    keys = ("appId", "webDir")
    if config.suffix == ".json":
        loaded = _json_object(config, _MAX_CONFIG_BYTES, warnings)
        return {key: loaded[key] for key in keys if isinstance(loaded.get(key), str) and loaded[key]}
    try:
        text = _read(config, _MAX_CONFIG_BYTES).decode("utf-8")
    except (OSError, ValueError) as error:
        warnings.append(f"{config.name}: it cannot be read ({_why(error)})")
        return {}
    code = _COMMENT.sub(lambda match: match[1] or " ", text)
    found = {key: re.findall(_LITERAL.format(key=key), code) for key in keys}
    # Code is not run: only one plain text is believed, not a choice between several.
    return {key: hits[0][1] for key, hits in found.items() if len({hit[1] for hit in hits}) == 1}


def _plugin_version(root: Path, warnings: list[str]) -> Fact | None:
    for folder in _upwards(root):
        installed = _json_object(folder / "node_modules" / PLUGIN / "package.json", _MAX_CONFIG_BYTES, warnings)
        if isinstance(installed.get("version"), str):
            return Fact(installed["version"], f"node_modules/{PLUGIN}/package.json: version")
    for folder in _upwards(root):
        lock = _json_object(folder / "package-lock.json", _MAX_LOCK_BYTES, warnings)
        for packages, name in (("packages", f"node_modules/{PLUGIN}"), ("dependencies", PLUGIN)):
            entry = lock.get(packages)
            locked = entry.get(name) if isinstance(entry, dict) else None
            if isinstance(locked, dict) and isinstance(locked.get("version"), str):
                return Fact(locked["version"], f"package-lock.json: {name}")
    return _wanted_version(_json_object(root / "package.json", _MAX_CONFIG_BYTES, warnings))


def _wanted_version(package: dict[str, Any]) -> Fact | None:
    for group in ("dependencies", "devDependencies"):
        wanted = package.get(group)
        spec = wanted.get(PLUGIN) if isinstance(wanted, dict) else None
        match = _EXACT_VERSION.fullmatch(spec) if isinstance(spec, str) else None
        if match:
            return Fact(match[1], f"package.json: {group}")
    return None


def _upwards(root: Path) -> Iterator[Path]:
    """Give the folder and those above it up to the repository's top: npm workspaces keep packages there."""
    for folder in (root, *root.parents):
        yield folder
        if (folder / ".git").exists():
            return


def _json_object(path: Path, limit: int, warnings: list[str]) -> dict[str, Any]:
    """Read a JSON object; a missing file is an empty one, an odd one too, with a warning."""
    try:
        loaded = _canonical.loads(_read(path, limit), max_bytes=limit)
    except (FileNotFoundError, NotADirectoryError):
        return {}
    except (OSError, ValueError) as error:
        warnings.append(f"{path.name}: it cannot be read ({_why(error)})")
        return {}
    return loaded if isinstance(loaded, dict) else {}


def _read(path: Path, limit: int) -> bytes:
    with path.open("rb") as stream:
        raw = stream.read(limit + 1)
    if len(raw) > limit:
        message = f"larger than {size(limit)}"
        raise ValueError(message)
    return raw.removeprefix(b"\xef\xbb\xbf")


def _why(error: Exception) -> str:
    return harmless(error.strerror or "no access" if isinstance(error, OSError) else str(error), 120)
