"""The guided tour that ``make demo`` gives: a real app goes from a commit to the stable channel, and a bad release is stopped.

Everything happens in ``.demo/`` at the project's root, which is made anew each time and kept afterwards to look around in.
Nothing leaves this machine but what ``npm ci`` fetches.
"""

from __future__ import annotations

import json
import os
import shutil
import subprocess
import sys
import time
from pathlib import Path

HERE = Path(__file__).resolve().parent
PROJECT = HERE.parent.parent
BIN = Path(sys.executable).parent  # the private environment: its otagate, its node and npm, nobody else's
LEFT_OUT = ("node_modules", "dist", ".otagate", "faults", "demo.py", "art", "__pycache__")
# What tells otagate that a CI runs it, and which commit: here it is to look at the sample's own repository.
CI_MARKS = {
    *("GITHUB_ACTIONS", "GITLAB_CI", "JENKINS_URL", "BUILD_TAG", "TF_BUILD", "BUILD_BUILDURI", "BITBUCKET_BUILD_NUMBER"),
    *("CIRCLECI", "CODEBUILD_BUILD_ID", "CODEBUILD_CI", "BUILD_ID"),
}
BOLD, DIM, OFF = ("\033[1m", "\033[2m", "\033[0m") if sys.stdout.isatty() and not os.environ.get("NO_COLOR") else ("", "", "")


def say(text: str) -> None:
    print(f"\n{BOLD}{text}{OFF}", flush=True)


def run(folder: Path, *argv: str, expect: int = 0) -> None:
    """Show a command, run it, and stop the tour when it ends otherwise than it should."""
    print(f"{DIM}$ {' '.join(argv)}{OFF}", flush=True)
    environ = {name: value for name, value in os.environ.items() if name not in CI_MARKS}
    environ["PATH"] = f"{BIN}{os.pathsep}{os.environ.get('PATH', '')}"
    code = subprocess.run(argv, cwd=folder, env=environ, check=False).returncode
    if code != expect:
        sys.exit(f"this should have ended with {expect}, and ended with {code}: {' '.join(argv)}")
    if expect:
        print(f"{DIM}(exit code {code}){OFF}", flush=True)


def commit(folder: Path, message: str) -> None:
    who = ("-c", "user.name=Demo", "-c", "user.email=demo@example.com", "-c", "commit.gpgsign=false")
    for argv in (("git", "add", "-A"), ("git", *who, "commit", "-qm", message)):
        subprocess.run(argv, cwd=folder, check=True)


def make_app(folder: Path) -> None:
    """Copy the sample app into a repository of its own, as a team would have it."""
    shutil.rmtree(folder, ignore_errors=True)
    shutil.copytree(HERE, folder, ignore=shutil.ignore_patterns(*LEFT_OUT))
    (folder / ".gitignore").write_text("node_modules/\ndist/\n.otagate/\nfaults/\n")
    subprocess.run(("git", "init", "-q", "-b", "main"), cwd=folder, check=True)
    commit(folder, "The first release")


def change_app(folder: Path) -> None:
    """Make the second release: its build has the other switch, and phones older than 2022 do not like it."""
    package = folder / "package.json"
    data = json.loads(package.read_text())
    data["version"] = "1.1.0"
    data["scripts"]["build"] = data["scripts"]["build:v2"]
    package.write_text(json.dumps(data, indent=2) + "\n")
    (folder / "faults").mkdir()
    (folder / "faults" / "1.1.0").write_text("0.25")
    commit(folder, "The second release")


def main() -> None:
    began = time.monotonic()
    app = PROJECT / ".demo" / "app"
    say("1. A Capacitor app in a git repository, with its dependencies.")
    make_app(app)
    run(app, "npm", "ci", "--loglevel=error", "--no-audit", "--no-fund")
    say("2. Keys. The private parts stay in .otagate/keys, which git ignores; phones and otagate know the public parts.")
    run(app, "otagate", "keys", "create")
    say("3. What the policy would do with this commit. Nothing is touched.")
    run(app, "otagate", "plan")
    say("4. Do it: build, bundle, seal, publish, then internal, beta and stable in steps, gated on (simulated) phones.")
    run(app, "otagate", "run", "--wait")
    run(app, "otagate", "verify", "1.0.0", "--public-key", ".otagate/keys/encryption.pub.pem")
    say("5. The next release crashes on old phones. Colleagues have new ones, so it gets past them. Then come the volunteers.")
    change_app(app)
    run(app, "otagate", "run", "--wait", expect=8)
    say("6. The gate stopped it: no stable phone ever saw it, and beta has the first release back.")
    run(app, "otagate", "status")
    say("7. All that happened, in a chain of records that cannot be changed unnoticed.")
    run(app, "otagate", "history")
    say(f"That took {time.monotonic() - began:.0f} seconds. The app and its store are in .demo/app; look around:")
    print("  cd .demo/app && ../../.venv/bin/otagate status --format json")
    print("  otagate.yml is the whole policy; .otagate/store is all that a phone or another machine would see.", flush=True)


if __name__ == "__main__":
    main()
