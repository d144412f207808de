"""docs/self-hosting.md and docs/telemetry.md say what the server does; the files to copy are what their programs take."""

from __future__ import annotations

import importlib.util
import json
import re
import shutil
import subprocess
from pathlib import Path
from typing import Any

import pytest
import yaml

from otagate.cli.main import build_parser
from otagate.policy.load import load_policy
from otagate.server.http.rates import Limits, RouteClass
from otagate.server.http.routes import ROUTES
from otagate.server.transport.limits import Limits as Transport
from otagate.telemetry.engine import READERS
from support.js import modules

ROOT = Path(__file__).parents[2]
PAGE = (ROOT / "docs" / "self-hosting.md").read_text("utf-8")
FILES = ROOT / "examples" / "self-hosted"


def marked(mark: str) -> str:
    (text,) = re.findall(rf"^<!-- {mark} -->\n(?:```\w+\n(.*?)^```$)", PAGE, re.MULTILINE | re.DOTALL)
    return str(text)


def test_the_page_on_telemetry_is_what_the_tables_say() -> None:
    spec = importlib.util.spec_from_file_location("telemetry_docs", ROOT / "scripts" / "telemetry_docs.py")
    assert spec is not None
    assert spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    assert (ROOT / "docs" / "telemetry.md").read_text("utf-8") == module.render(), "run scripts/telemetry_docs.py"


def test_the_contents_and_links_within_lead_somewhere() -> None:
    titles = {
        re.sub(r"[^\w -]", "", title.lower()).strip().replace(" ", "-")
        for title in re.findall(r"^##+ (.+)$", PAGE, re.MULTILINE)
    }
    links = set(re.findall(r"\]\(#([\w-]+)\)", PAGE))
    assert len(links) >= 15
    assert links <= titles


@pytest.mark.integration
def test_the_app_s_configuration_has_keys_that_the_plugin_knows() -> None:
    package = modules() / "@capgo" / "capacitor-updater"
    (known,) = json.loads((package / "dist" / "docs.json").read_text("utf-8"))["pluginConfigs"]
    names = {entry["name"] for entry in known["properties"]}
    shown = json.loads(marked("capacitor"))["plugins"]["CapacitorUpdater"]
    section = PAGE.partition("\n## The app\n")[2].partition("\n## ")[0]
    explained = set(re.findall(r"^\| `(\w+)` \|", section, re.MULTILINE))
    assert set(shown) <= explained <= names
    assert {shown[key].removeprefix("https://updates.example.com") for key in ("updateUrl", "channelUrl", "statsUrl")} <= set(
        ROUTES
    )


def test_every_option_of_serve_that_is_named_exists() -> None:
    parser = build_parser("serve")
    options = {option for action in parser._actions for option in action.option_strings}
    named = set(re.findall(r"otagate serve (?:[^`\n]*?)(--[a-z-]+)", PAGE)) | {
        word for text in re.findall(r"`(--[a-z-]+)(?: [^`]*)?`", PAGE) for word in [text]
    }
    others = {"--head", "--test-devices"}  # of token audit, of metrics get
    assert len(named) >= 15
    assert named - others <= options


def test_rates_are_the_code_s() -> None:
    rows = re.findall(
        r"^\| (?:`/([a-z_]+)/?`|operators') \| [\d.a-z]+ \| ([\d.]+) a second, (\d+) at once \|$", PAGE, re.MULTILINE
    )
    routes = {"bundles": RouteClass.DOWNLOADS, "": RouteClass.ADMIN}
    told = {routes.get(name) or RouteClass(name): (float(per_s), int(burst)) for name, per_s, burst in rows}
    assert told == {route: (rate.per_s, rate.burst) for route, rate in Limits().address.items()}


def test_limits_are_the_code_s() -> None:
    limits, section = Transport(), PAGE.partition("\n## Limits and rates\n")[2].partition("\n## ")[0]
    assert f"headers {limits.head // 1024} KiB and {limits.head_s:.0f} s" in section
    assert (
        f"bodies {limits.body // 1024} KiB (`/stats` 512 KiB) with {limits.body_s:.0f} s and one more for each KiB" in section
    )
    assert f"{limits.keep_alive_s:.0f} s idle" in section
    assert f"{limits.pipeline} pipelined requests" in section
    assert f"below {limits.keep_alive_s:.0f} seconds, the server's own" in PAGE
    words = {5: "five"}
    assert f"Each worker holds up to {words[1 + READERS]} connections" in PAGE


def test_the_policy_to_copy_has_no_warnings() -> None:
    assert load_policy(FILES / "otagate.yml").warnings == ()


def test_the_unit_starts_a_command_that_there_is() -> None:
    unit = (FILES / "otagate.service").read_text("utf-8")
    match = re.search(r"^ExecStart=/opt/otagate/bin/otagate serve ((?:.*\\\n)*.*)$", unit, re.MULTILINE)
    assert match
    args = build_parser("serve").parse_args(match[1].replace("\\\n", " ").split())
    assert (args.workers, args.database, args.secret) == (2, "sqlite:////var/lib/otagate/telemetry.sqlite", "file:%d/secret")
    seconds = int(re.findall(r"^TimeoutStopSec=(\d+)$", unit, re.MULTILINE)[0])
    assert seconds >= Transport().drain_s + Transport().stop_s
    handles = int(re.findall(r"^LimitNOFILE=(\d+)$", unit, re.MULTILINE)[0])
    assert handles > 2 * args.max_connections


def test_the_containers_start_a_command_that_there_is() -> None:
    compose: dict[str, Any] = yaml.safe_load((FILES / "compose.yaml").read_text("utf-8"))
    server = compose["services"]["server"]
    verb, *words = server["command"]
    args = build_parser(verb).parse_args(words)
    assert args.trusted_proxy == [compose["networks"]["default"]["ipam"]["config"][0]["subnet"]]
    assert (server["read_only"], server["cap_drop"]) == (True, ["ALL"])
    assert set(server["secrets"]) <= set(compose["secrets"])
    volumes = [volume for service in compose["services"].values() for volume in service.get("volumes", ())]
    mounted = {volume.partition(":")[0] for volume in volumes if volume.startswith("./")}
    assert mounted == {"./otagate.yml", "./Caddyfile"}
    recipe = (FILES / "Containerfile").read_text("utf-8")
    for lock in re.findall(r"/src/(requirements/\w+\.txt)", recipe):
        assert (ROOT / lock).is_file()
    (command,) = re.findall(r"^CMD (.*)$", recipe, re.MULTILINE)
    verb, *words = json.loads(command)
    assert build_parser(verb).parse_args(words).host == "0.0.0.0"


@pytest.mark.integration
@pytest.mark.skipif(shutil.which("systemd-analyze") is None, reason="there is no systemd here")
def test_systemd_takes_the_unit(tmp_path: Path) -> None:
    unit = tmp_path / "otagate.service"
    text = (FILES / "otagate.service").read_text("utf-8")
    unit.write_text(text.replace("/opt/otagate/bin/otagate", "/bin/true"))
    done = subprocess.run(["systemd-analyze", "verify", unit], capture_output=True, text=True, timeout=60, check=False)
    assert (done.returncode, done.stderr) == (0, "")
