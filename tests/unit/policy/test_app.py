from __future__ import annotations

import json
from pathlib import Path

import pytest

from otagate.policy.app import Fact, package_version, read_app

PLUGIN = "@capgo/capacitor-updater"


def write(folder: Path, name: str, content: object) -> None:
    path = folder / name
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(content if isinstance(content, str) else json.dumps(content))


def test_nothing_there_is_nothing_found(tmp_path: Path) -> None:
    (tmp_path / ".git").mkdir()
    facts = read_app(tmp_path)
    assert (facts.config, facts.app_id, facts.web_dir, facts.plugin_version, facts.warnings) == (None, None, None, None, ())


def test_json_configuration(tmp_path: Path) -> None:
    write(tmp_path, "capacitor.config.json", {"appId": "com.example.app", "webDir": "www"})
    facts = read_app(tmp_path)
    assert facts.app_id == Fact("com.example.app", "capacitor.config.json: appId")
    assert facts.web_dir == Fact("www", "capacitor.config.json: webDir")
    assert facts.warnings == ()


TS = """\
import type { CapacitorConfig } from '@capacitor/cli';
// appId: 'com.commented.out'
/* webDir: 'no' */
const config: CapacitorConfig = {
  appId: 'com.example.app', // appId: "com.other"
  "webDir": `www`,
  server: { url: "https://x/appId: 'y'" },
};
export default config;
"""


@pytest.mark.parametrize("name", ["capacitor.config.ts", "capacitor.config.js"])
def test_plain_texts_are_read_from_code_that_is_not_run(name: str, tmp_path: Path) -> None:
    write(tmp_path, name, TS)
    write(tmp_path, "capacitor.config.json", {"appId": "com.not.read"})
    facts = read_app(tmp_path)
    assert facts.app_id == Fact("com.example.app", f"{name}: appId")
    assert facts.web_dir == Fact("www", f"{name}: webDir")
    assert facts.warnings == ()


@pytest.mark.parametrize(
    "code",
    [
        "export default { appId: process.env.APP_ID, webDir: 'www' }",
        "export default { appId: isDev ? 'com.a.dev' : 'com.a.app', webDir: 'www' }",
        "export default { appId: `com.${name}.app`, webDir: 'www' }",
        "const a = { appId: 'com.a.dev' }; const b = { appId: 'com.a.app' }; export default { webDir: 'www' }",
        "export default { myappId: 'com.a.app', webDir: 'www' }",
    ],
)
def test_what_is_not_one_plain_text_is_not_guessed(code: str, tmp_path: Path) -> None:
    write(tmp_path, "capacitor.config.ts", code)
    facts = read_app(tmp_path)
    assert facts.app_id is None
    assert facts.web_dir is not None
    assert facts.warnings == ("capacitor.config.ts: no plain `appId` was found in it; say it in the policy when it is needed",)


@pytest.mark.parametrize("content", ["{", "[1]", '{"appId": 5}', '{"appId": "a", "appId": "b"}', "\x00", "[" * 100_000])
def test_odd_json_gives_a_warning_and_no_value(content: str, tmp_path: Path) -> None:
    write(tmp_path, "capacitor.config.json", content)
    facts = read_app(tmp_path)
    assert facts.app_id is None
    assert facts.warnings
    assert all(warning.startswith("capacitor.config.json: ") for warning in facts.warnings)


def test_a_configuration_that_is_not_text_gives_a_warning(tmp_path: Path) -> None:
    (tmp_path / "capacitor.config.ts").write_bytes(b"\xff\xfe")
    assert "it cannot be read" in read_app(tmp_path).warnings[0]
    (tmp_path / "capacitor.config.ts").write_bytes(b" " * (1024 * 1024 + 1))
    assert "larger than 1.0 MiB" in read_app(tmp_path).warnings[0]


def test_the_plugin_is_found_where_npm_put_it(tmp_path: Path) -> None:
    write(tmp_path, "package.json", {"version": "1.0.0", "dependencies": {PLUGIN: "^8.51.1"}})
    assert read_app(tmp_path).plugin_version == Fact("8.51.1", "package.json: dependencies")
    write(tmp_path, "package-lock.json", {"packages": {f"node_modules/{PLUGIN}": {"version": "8.51.2"}}})
    assert read_app(tmp_path).plugin_version == Fact("8.51.2", f"package-lock.json: node_modules/{PLUGIN}")
    write(tmp_path, f"node_modules/{PLUGIN}/package.json", {"version": "8.51.23"})
    assert read_app(tmp_path).plugin_version == Fact("8.51.23", f"node_modules/{PLUGIN}/package.json: version")


def test_the_plugin_is_found_in_a_workspace_above_but_not_above_the_repository(tmp_path: Path) -> None:
    write(tmp_path, "package-lock.json", {"dependencies": {PLUGIN: {"version": "7.1.0"}}})
    app = tmp_path / "repo/apps/shop"
    app.mkdir(parents=True)
    found = read_app(app).plugin_version
    assert found is not None
    assert found.value == "7.1.0"
    (tmp_path / "repo/.git").mkdir()
    assert read_app(app).plugin_version is None


@pytest.mark.parametrize("spec", ["latest", "workspace:*", ">=8 <9", "8.x", 5, None])
def test_a_range_is_no_version(spec: object, tmp_path: Path) -> None:
    (tmp_path / ".git").mkdir()
    write(tmp_path, "package.json", {"devDependencies": {PLUGIN: spec}})
    assert read_app(tmp_path).plugin_version is None


def test_the_packages_own_version(tmp_path: Path) -> None:
    assert package_version(tmp_path) is None
    write(tmp_path, "package.json", {"version": "1.4.2"})
    assert package_version(tmp_path) == "1.4.2"
    write(tmp_path, "package.json", {"version": 5})
    assert package_version(tmp_path) is None
