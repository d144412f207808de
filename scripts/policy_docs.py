#!/usr/bin/env python3
"""Write docs/policy.md from the policy's JSON Schema. Run it after every change of the schema; a test compares."""

from __future__ import annotations

import json
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

ROOT = Path(__file__).resolve().parent.parent
SCHEMA = ROOT / "src/otagate/policy/schema.json"
TARGET = ROOT / "docs/policy.md"

INTRO = """\
# The policy file

<!-- Written by scripts/policy_docs.py from src/otagate/policy/schema.json. Change those. -->

`otagate.yml` says how an app's web build is made and sealed, where it is stored, which branch ships through which
track, and which numbers must hold. `otagate init` writes a first one. Commands look for `otagate.yml` or
`otagate.yaml` in the current folder and above, up to the repository's top; `--policy FILE` names another.

* `otagate policy check` lists every problem with file, line, column and YAML path, and what is unwise.
* `otagate policy explain` shows every value in effect and where it comes from.
* `otagate policy schema` prints the JSON Schema (draft 2020-12). Editors use it through the first line of the file:
  `# yaml-language-server: $schema=https://otagate.dev/schema/policy/v1.json`, or the path of a saved copy.

The smallest policy that ships something; everything else has a default:

```yaml
version: 1
app: {id: com.example.app}
branches:
  main: {channel: production}
trust: {keys: ["file:.otagate/keys/signing.pub.pem"]}
```

## How the file is read

The file is YAML, read strictly: UTF-8, at most 256 KiB, 20 levels, 20 aliases and one document; no duplicate keys, no
merge keys (`<<`), no tags but the standard ones, no unknown keys. Plain scalars follow YAML 1.2: only `true` and
`false` are booleans, `no`, `on`, `1:30`, `012` and dates are text. Patterns and templates that begin with `*`, `{`,
`[` or `@` need quotes. All problems are reported at once.

Lengths of time are whole numbers with units, largest first: `45s`, `30m`, `2h30m`, `1d`, `2w`, `500ms`; at most 366
days. Shares are percentages such as `5%` or `0.5%`. Sizes are bytes, or `50MB` (decimal) or `50MiB` (binary).

Secrets never stand in the policy. A key is `env:NAME` (an environment variable) or `file:PATH` (relative to the
policy's folder).

## Where everything is kept

`storage` is a folder or a bucket. Of a list the first is the store, and the others are mirrors that get the same.
`documents` moves everything but the bundles to another store, for a bucket that cannot refuse a stale write.
Which options a URL has is in docs/stores.md; one that there is not is an error here, and a key in it is refused
without being shown.

```yaml
storage:
  - s3://acme-updates/shop?region=eu-west-1&public=https://updates.example.com
  - gs://acme-updates-mirror/shop
cdn: {cloudfront: E1A2B3C4D5E6F7}
keep: {releases: 20, age: 90d}
```

Within `[` and `]` a URL with a `?` needs quotes.

## How a commit finds its way

Rules under `branches` are tried from the top; the first that matches decides, and a commit that matches none is left
alone. `*` matches within one part of a name, `**` also across `/`, `?` one character. Patterns that begin with
`tags/` are compared with pushed tags only, those that begin with `pulls/` with the numbers of pull requests only, all
others with branches only: a branch that somebody calls `tags/v1` does not reach the rule of a tag. A channel made
from `{branch}` or `{number}` can never be one that a track or another rule names.

## Which devices a channel serves

`server` is for `otagate serve`. A device follows the channel that an operator gave it, or else the one that it chose
itself, or else `default_channel`. A channel serves every device unless its rules say otherwise.

```yaml
server:
  default_channel: stable
  channels:
    beta: {self_set: true, emulators: false, min_plugin: "6.25.0"}
```

`telemetry` says where counts of devices are read from: the server, with a token, or its database. See docs/gates.md.

## How a version is made

`versioning` is `package`, `tag` or a template. The same commit always gets the same version, because dates are the
commit's. The result must be a strict semantic version (semver.org), and devices compare it, so it should grow:

| placeholder | stands for |
| --- | --- |
| `{date}` | the commit's date in UTC without leading zeros, such as `2026.11.21` |
| `{time}` | the commit's time in UTC as one number, such as `93005` for 09:30:05 |
| `{sha7}` | `g` and the first seven digits of the commit: digits alone with a zero in front would not be allowed |
| `{package}` | the version of package.json |
| `{branch}` | the branch (of a pull request: its own), made fit for a version |
| `{number}` | the number of the pull request |

`"{date}-{time}.{sha7}"` grows with time; `"{date}-{sha7}"` does not within one day, because digits of a commit have
no order.

## What a phase can say of its devices

`holdout` keeps a share of devices on the release before until the phase is over, `gates` names the metrics that count in it,
and `ignore_windows` lets its weights rise at any time. A branch rule with `supersede` ends the rollout that holds the
channel. See docs/rollouts.md.

```yaml
telemetry: {server: "https://updates.example.com"}
branches:
  main: {track: production}
  "hotfix/*": {track: hotfix, supersede: true}
tracks:
  production:
    - {phase: stable, channel: stable, weights: [5%, 25%, 100%], holdout: 5%}
  hotfix:
    - {phase: hotfix, channel: stable, soak: 1h, allow_short_soak: true, ignore_windows: true, gates: [crash_rate]}
```

## When weights may rise, and who is told

`windows` are weekly, in local time with its daylight saving, and end on the day they begin: over midnight, write two. A
freeze is of whole days, both included, or from one local time to another (`2026-12-20T18:00`), and wins. `notify` names
places; their addresses mostly hold a token, so they are references (docs/notifications.md).

```yaml
windows:
  timezone: Europe/Berlin
  allow:
    - {days: [mon, tue, wed, thu], from: 09:00, to: 16:00}
  freeze:
    - {from: 2026-12-20, to: 2027-01-03, reason: holidays}
notify:
  releases: {slack: env:SLACK_WEBHOOK}
  audit: {webhook: env:HOOK_URL, secret: env:HOOK_SECRET, events: ["*"]}
  oncall: {teams: env:TEAMS_URL, events: [gate.failed, rollout.paused]}
```

## Gates

A gate has exactly one kind of threshold:

| key | holds when | needs |
| --- | --- | --- |
| `max` | at most so large a share of the devices is bad | counts |
| `min` | at least so large a share is good | counts |
| `limits` | at most a share takes longer than a length of time | counts for each length: `{over}` in the source's texts |
| `max_increase` | bad devices are at most so much more frequent than with the release before, side by side | `telemetry` |
| `split` | as many devices have the release as its weight says | counts; of `telemetry` only `at_most` |
| `value` | a plain number is within `max` and `min` | a source with `value`; `action` is `pause` at most |

`evidence: prove` passes `max` and `min` only when the devices prove it. `consecutive` goes with `value`. `evaluate` says when
the planned look is, `phases` where the gate counts. A number of `value` has at most 15 digits, so that it stays exact.

```yaml
telemetry: {server: "https://updates.example.com"}
gates:
  crash_rate: {max: 2%, evidence: prove, escalate: {above: 10%, action: rollback}}
  crashes_beside: {max_increase: 50%, source: {telemetry: {metric: crash_rate}}}
  split_check: {split: at_most}
  start_time:
    value: {max: 2500}
    consecutive: 3
    source:
      prometheus:
        url: https://prometheus.example
        value: 'max(app_start_p95_ms{release="{release}"})'
        headers: {Authorization: env:PROMETHEUS_AUTHORIZATION}
```

A source has exactly one kind. `http` and those of other makers are asked for `bad` and `total`, or for `value` alone; only
the placeholders of docs/gates.md are replaced in a query, all other braces are its own. `file:` references of a source are
relative to `app.dir`. Events are not devices: with `capgo`, and with `sentry` that counts sessions, a gate may pause at most.

Without the key `gates` a policy has the six default gates. With it, it has exactly those that are named; what a
default gate leaves out comes from its default. `gates: {}` means none. A policy with tracks whose gates pause or roll
back must say where their numbers come from: `telemetry` for the gates below, `metrics` for all others, or `source` in a
gate (docs/gates.md).

| metric | default |
| --- | --- |
"""


def render(schema: dict[str, Any], default_gates: dict[str, dict[str, Any]]) -> str:
    """Give the whole page."""
    gates = "".join(f"| `{name}` | `{json.dumps(gate)}` |\n" for name, gate in default_gates.items())
    sections = [_section(key, node, schema) for key, node in schema["properties"].items()]
    return INTRO + gates + "\n## Every key\n\n" + "\n".join(sections)


def _section(key: str, node: dict[str, Any], schema: dict[str, Any]) -> str:
    required = key in schema["required"]
    rows = list(_rows(key, node, schema, is_required=required))
    text = f"### `{key}`\n\n"
    if "properties" in _resolved(node, schema):
        text += f"{node['description']}\n\n"
        del rows[0]
    return text + "| key | value | default | example | meaning |\n| --- | --- | --- | --- | --- |\n" + "".join(rows)


def _rows(path: str, node: dict[str, Any], schema: dict[str, Any], *, is_required: bool = False) -> Iterator[str]:
    full = _resolved(node, schema)
    meaning = full["description"] + (" Required." if is_required else "")
    cells = (f"`{path}`", _kind(full), _json(full, "default"), _json(full, "examples"), meaning)
    yield f"| {' | '.join(_escape(cell) for cell in cells)} |\n"
    if path.endswith(".source"):
        return  # the same as `metrics`, which has a section of its own
    for name, child in full.get("properties", {}).items():
        yield from _rows(f"{path}.{name}", child, schema, is_required=name in full.get("required", ()))
    if isinstance(full.get("additionalProperties"), dict):
        yield from _rows(f"{path}.<name>", full["additionalProperties"], schema)
    items = full.get("items")
    if items and "properties" in _resolved(items, schema):
        yield from _rows(f"{path}[]", items, schema)


def _resolved(node: dict[str, Any], schema: dict[str, Any]) -> dict[str, Any]:
    """Put a definition under the keys that stand beside its reference."""
    if "$ref" not in node:
        return node
    return {**schema["$defs"][node["$ref"].removeprefix("#/$defs/")], **node}


def _kind(node: dict[str, Any]) -> str:
    if "enum" in node:
        return ", ".join(f"`{value}`" for value in node["enum"])
    words = {
        "object": "mapping",
        "array": "list",
        "string": "text",
        "integer": "number",
        "number": "number",
        "boolean": "true, false",
        "null": "null",
    }
    kinds = {"duration": "time", "span": "time", "percent": "share", "share": "share", "size": "size", "weight": "share"}
    if node.get("x-kind") in kinds:
        return f"{kinds[node['x-kind']]} ({node['x-unit']})"
    types = node.get("type", [])
    kind = " or ".join(words[one] for one in (types if isinstance(types, list) else [types])) or "number"
    return f"{kind} ({node['x-unit']})" if "x-unit" in node else kind


def _json(node: dict[str, Any], key: str) -> str:
    if key not in node:
        return ""
    value = node[key][0] if key == "examples" else node[key]
    return f"`{value if isinstance(value, str) else json.dumps(value, ensure_ascii=False)}`"


def _escape(cell: str) -> str:
    return cell.replace("|", "\\|").replace("\n", " ")


def main() -> None:
    """Write the page."""
    sys.path.insert(0, str(ROOT / "src"))
    from otagate.policy.defaults import DEFAULT_GATES  # noqa: PLC0415 - after the path is set

    TARGET.write_text(render(json.loads(SCHEMA.read_text(encoding="utf-8")), DEFAULT_GATES), encoding="utf-8")


if __name__ == "__main__":
    main()
