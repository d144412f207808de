"""The text of a first policy: short enough to read whole, with a comment wherever there is a choice. Pure."""

from __future__ import annotations

import json
import re

from otagate.flow.init_detect import Surroundings
from otagate.flow.init_fleet import Fitted
from otagate.flow.init_rollout import gates_text, rollout_text

SCHEMA_URL = "https://otagate.dev/schema/policy/v1.json"

_PLAIN_URL = re.compile(r"[a-z0-9]+:[A-Za-z0-9._+=@?&%/-][A-Za-z0-9._+=@?&%/:-]*", re.ASCII)
"""What YAML reads as text without quotes."""

_TEMPLATE = """\
# yaml-language-server: $schema={schema}
#
# What otagate does with this app's commits. Every key: `otagate policy schema`, docs/policy.md.
# Every value in effect, and where it comes from: `otagate policy explain`.
version: 1

app:
  id: {app_id}

build:
{build}

# A release's version; it should grow from release to release, and is never used twice.
# Others: package (the version of package.json), tag (the pushed tag without its v).
versioning: {versioning}

# The zip is encrypted and signed with keys that `otagate init` made. Their folder is in .gitignore: keep a copy in a safe
# place. On a CI, store both as secrets and write env:OTAGATE_ENCRYPTION_KEY and env:OTAGATE_SIGNING_KEY here.
seal:
  format: capgo
  encryption_key: file:.otagate/keys/encryption.pem
  signing_key: file:.otagate/keys/signing.pem

# Whose signatures are believed. This is the public part of signing.pem.
trust:
  keys: ["{trust}"]

# Where releases and channels are kept. A folder is enough to try everything on one machine. A CI needs a bucket; it gets there
# by its own identity, without a stored key (docs/stores.md):
#   s3://BUCKET/PREFIX?region=eu-west-1&public=https://updates.example.com
#   gs://BUCKET/PREFIX?public=https://updates.example.com
#   az://CONTAINER/PREFIX?account=ACCOUNT&public=https://updates.example.com
storage: {storage}

# The first pattern that matches decides; a branch that matches none is left alone.
branches:
  {main}: {{track: production}}
  develop: {{channel: development}} # at once, without phases and gates
  # "release/*": {{track: production, start_at: beta}}
  # "pulls/*": {{channel: "pr-{{number}}"}}

# `otagate run` puts a release into the first phase and stops at its soak; `otagate reconcile`, run again later or on a
# schedule, carries it on. Nothing goes further by itself.
{rollout}
# Where the numbers of the gates come from: a JSON file for each metric, such as {{"bad": 3, "total": 1200}}; or a command, or
# an HTTP address (docs/gates.md). While there are none, a release waits in its phase and is then paused: no data is never
# taken for good news. To ship without gates for now, write `gates: {{}}` below.
metrics:
  file: ".otagate/metrics/{{release}}/{{metric}}.json"
# Phones that ask your own `otagate serve` for updates are counted there; then no metrics are needed:
# telemetry: {{server: "https://updates.example.com"}}

{gates}"""


def policy_text(found: Surroundings, app_id: str, trust: str, storage: str, fitted: Fitted | None = None) -> str:
    """Write the policy for an app.

    Args:
        found: What is around.
        app_id: A checked app id.
        trust: The public signing key, ``ed25519:<base64>``.
        storage: A checked URL of a store.
        fitted: The rollout, where the number of devices is known.
    """
    return _TEMPLATE.format(
        schema=SCHEMA_URL,
        app_id=app_id,
        build=_build(found),
        versioning=_versioning(found),
        trust=trust,
        storage=storage if _PLAIN_URL.fullmatch(storage) else json.dumps(storage, ensure_ascii=False),
        main=found.main_branch,
        rollout=rollout_text(fitted),
        gates=gates_text(fitted),
    )


def _build(found: Surroundings) -> str:
    if found.build_command:
        command = f"  command: {found.build_command}"
    else:
        command = "  # command: npm run build # left out: what is in `output` is used as it is"
    output = found.app.web_dir.value if found.app.web_dir else "dist"
    # JSON's quotes are YAML's, too: a folder of any name is safe.
    return f"{command}\n  output: {json.dumps(output, ensure_ascii=False)} # Capacitor's webDir"


def _versioning(found: Surroundings) -> str:
    if found.has_commit or not found.package_version:
        return '"{date}-{time}.{sha7}" # date and time of the commit'
    return "package"
