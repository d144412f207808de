"""Install otagate's locked dependencies into a private environment, and run ``otagate.ci.face`` there.

The CI faces start this file with whatever Python the machine has, before anything is installed: it uses the standard library
only, and its syntax stays readable for older Pythons so that they get a message and not a traceback.

Nothing of otagate is built or installed: the environment gets the locked dependencies (with hashes, wheels only), and otagate
runs from the source that this file is part of. Environments are kept per lock file and Python.
"""

from __future__ import annotations

import hashlib
import importlib.util
import os
import re
import shutil
import subprocess
import sys
import tempfile
import venv
from collections.abc import Mapping, Sequence
from pathlib import Path

NEEDED = (3, 11)
USAGE, UNAVAILABLE = 2, 7
"""Exit codes of :class:`otagate.errors.ExitCode`, which cannot be imported yet."""

SOURCE = Path(__file__).resolve().parents[2]
LOCK = SOURCE.parent / "requirements" / "runtime.txt"
COMMENT_LOCK = LOCK.with_name("comment.txt")
"""With the libraries that write comments; other jobs do without them."""
STORE_LOCKS = (
    (re.compile(r"(?<![a-z0-9])s3://|\bcloudfront\b"), "s3.txt"),
    (re.compile(r"(?<![a-z0-9])gs://|\bcloud_cdn\b|\bgoogle_monitoring\b|\bauth\W+google\b"), "gcs.txt"),
    (re.compile(r"(?<![a-z0-9])az://|\bfront_door\b"), "azure.txt"),
    (re.compile(r"\bdatabase\b"), "server.txt"),
    (re.compile(r"\bapprise\b"), "notify.txt"),
)
"""What in a policy asks for the libraries of a cloud, of telemetry's database or of notifications; others do without them."""
POLICY_NAMES = ("otagate.yml", "otagate.yaml")
_COMMENT = re.compile(r"(?m)(?:^|\s)#.*")
_MAX_POLICY = 256 * 1024
"""As otagate.policy has these."""

_NOT_FOR_PIP = ("OTAGATE_", "ACTIONS_ID_TOKEN_")
"""Our inputs and keys, and what asks GitHub for a token. Not the clouds' own variables: a company's index may need them."""

# Runs a module of a source folder in a Python that is isolated (-I) from the folder we stand in, which holds the app's files,
# and from PYTHON* variables: either could otherwise add modules.
_LAUNCHER = """\
import runpy, sys
sys.path.insert(0, sys.argv.pop(1))
runpy.run_module(sys.argv.pop(1), run_name="__main__", alter_sys=True)
"""


def launch(python: str, source: Path, module: str, *arguments: str) -> list[str]:
    """Give the command that runs ``module`` of ``source`` isolated."""
    return [python, "-I", "-c", _LAUNCHER, str(source), module, *arguments]


class BootError(Exception):
    """A failure with the exit code that it ends in."""

    def __init__(self, message: str, code: int) -> None:
        super().__init__(message)
        self.code = code


def main() -> None:
    """Prepare the environment and go on in it."""
    try:
        python = str(prepare(os.environ, choose_locks(os.environ, Path.cwd())))
    except BootError as error:
        sys.stderr.write(f"error: {error}\n")
        sys.exit(error.code)
    os.execv(python, launch(python, SOURCE, "otagate.ci.face"))  # noqa: S606 - no shell


def choose_locks(environ: Mapping[str, str], cwd: Path) -> tuple[Path, ...]:
    """Give the lock files of what this job needs, by its inputs and by the stores that its policy names.

    Each is complete in itself, and what they share they have in the same version.
    """
    base = COMMENT_LOCK if environ.get("OTAGATE_INPUT_COMMENT", "").strip() == "true" else LOCK
    text = _COMMENT.sub("", _policy_text(environ, cwd))
    return (base, *(LOCK.with_name(name) for pattern, name in STORE_LOCKS if pattern.search(text)))


def _policy_text(environ: Mapping[str, str], cwd: Path) -> str:
    """Read the policy as text, without understanding it; of one that cannot be read otagate itself will speak."""
    folder = cwd / (environ.get("OTAGATE_INPUT_WORKING_DIRECTORY", "").strip() or ".")
    given = environ.get("OTAGATE_INPUT_POLICY", "").strip()
    for path in [folder / given] if given else _candidates(folder):
        try:
            with path.open("rb") as stream:
                return stream.read(_MAX_POLICY).decode("utf-8", "replace")
        except (OSError, ValueError):
            continue
    return ""


def _candidates(folder: Path) -> list[Path]:
    found: list[Path] = []
    folder = Path(os.path.abspath(folder))  # noqa: PTH100 - as otagate itself looks; resolve() fails on links in a circle
    for above in (folder, *folder.parents):
        found += [above / name for name in POLICY_NAMES]
        if (above / ".git").exists():
            break
    return found


def prepare(environ: Mapping[str, str], locks: Sequence[Path]) -> Path:
    """Give the Python of a complete environment, made now if it is not there yet.

    Raises:
        BootError: Python is too old, there is no private folder, or the installation failed.
    """
    _check_python(sys.version_info[:2])
    home = _home(environ)
    try:
        identity = f"{sys.version}\n{sys.executable}\n".encode() + b"".join(lock.read_bytes() for lock in locks)
        final = home / hashlib.sha256(identity).hexdigest()[:16]
        if not final.exists():
            _make(home, final, locks)
    except OSError as error:
        message = (
            f"cannot prepare a private environment below {home}: {error.strerror}\n  try: set OTAGATE_HOME to another folder"
        )
        raise BootError(message, UNAVAILABLE) from error
    return final / "bin" / "python"


def _check_python(version: tuple[int, ...]) -> None:
    if version < NEEDED:
        found, needed = (".".join(map(str, number)) for number in (version, NEEDED))
        message = (
            f"this Python is too old: {sys.executable}\n  expected: {needed} or newer\n  found: {found}\n"
            "  try: a step with actions/setup-python before this one, or an image that brings a newer python3"
        )
        raise BootError(message, USAGE)


def _home(environ: Mapping[str, str]) -> Path:
    """Choose a folder that no other branch's job writes into, and outside of the work tree that the job builds."""
    for name, below in (("OTAGATE_HOME", ""), ("RUNNER_TEMP", "otagate"), ("WORKSPACE_TMP", "otagate")):
        if environ.get(name):
            return Path(environ[name]) / below
    message = (
        "there is no private folder for otagate's own files\n  try: set OTAGATE_HOME to a folder that only this job can write"
    )
    raise BootError(message, USAGE)


def _make(home: Path, final: Path, locks: Sequence[Path]) -> None:
    home.mkdir(mode=0o700, parents=True, exist_ok=True)
    # Made aside and renamed when complete: a job that is killed leaves no half environment, and two at once do no harm.
    temp = Path(tempfile.mkdtemp(prefix="new-", dir=home))
    try:
        with_pip = importlib.util.find_spec("pip") is None
        venv.EnvBuilder(symlinks=True, with_pip=with_pip).create(temp)
        _install(temp, locks, with_pip=with_pip)
        try:
            temp.rename(final)
        except OSError:
            if not final.exists():  # otherwise another job was first, with the same content
                raise
    finally:
        shutil.rmtree(temp, ignore_errors=True)


def _install(env: Path, locks: Sequence[Path], *, with_pip: bool) -> None:
    python = str(env / "bin" / "python")
    # -I also here: a folder `pip` in the app must not be taken for the installer.
    pip = [python, "-I", "-m", "pip"] if with_pip else [sys.executable, "-I", "-m", "pip", "--python", python]
    options = ["--require-hashes", "--only-binary=:all:", "--no-deps", "--no-compile"]
    command = [*pip, "--no-input", "--no-color", "--disable-pip-version-check", "--quiet", "install", *options]
    command += [argument for lock in locks for argument in ("-r", str(lock))]
    # pip's own settings (a mirror or a proxy of the company) apply, but it has no use for our inputs and keys. What it says
    # goes to the log: standard output carries the result only.
    environ = {name: value for name, value in os.environ.items() if not name.startswith(_NOT_FOR_PIP)}
    done = subprocess.run(command, stdout=sys.stderr, env=environ, check=False)  # noqa: S603 - no shell
    if done.returncode != 0:
        files = ", ".join(map(str, locks))
        message = (
            f"pip could not install otagate's locked dependencies: {files}\n  found: exit code {done.returncode}, see above\n"
            "  try: run the job again; behind a proxy or a mirror, set PIP_INDEX_URL"
        )
        raise BootError(message, UNAVAILABLE)


if __name__ == "__main__":
    main()
