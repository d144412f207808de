"""What all three CI faces call: named inputs in, one command line out.

``action.yml``, ``gitlab-ci-template.yml`` and ``Jenkinsfile.groovy`` pass each input as a variable ``OTAGATE_INPUT_<NAME>``
and start :mod:`otagate.ci.boot`, which comes here. Nothing is ever pasted into a shell line, and there is no input for free
arguments.
"""

from __future__ import annotations

import os
import re
import stat
import sys
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import NoReturn

from otagate import _fs
from otagate._text import harmless, nearest
from otagate.ci.boot import launch
from otagate.errors import KeyMaterialError, OtagateError, UsageError

PREFIX = "OTAGATE_INPUT_"

FLAGS = ("no-build", "dry-run", "detailed-exitcode", "comment", "all", "lower", "ignore-telemetry", "read-only")
"""Inputs that are ``true``, ``false`` or empty."""

SECRETS = {
    "signing-key": "OTAGATE_SIGNING_KEY",
    "encryption-key": "OTAGATE_ENCRYPTION_KEY",
    "server-token": "OTAGATE_SERVER_TOKEN",
    "github-token": "GITHUB_TOKEN",
}
"""Inputs that are secrets, and the variable that each becomes; the policy refers to the first three by default. They never
become arguments."""

COMMANDS: dict[str, tuple[str, ...]] = {
    "run": ("policy", "version", "no-build", "wait", "junit", "detailed-exitcode", "dry-run"),
    "plan": ("policy", "version", "comment"),
    "upload": ("policy", "version", "no-build", "dry-run"),
    "reconcile": ("policy", "channel", "all", "wait", "junit", "detailed-exitcode", "dry-run"),
    "promote": ("policy", "channel", "release", "weight", "lower", "dry-run"),
    "approve": ("policy", "phase", "channel", "reason", "dry-run"),
    "pause": ("policy", "channel", "reason", "dry-run"),
    "resume": ("policy", "channel", "override", "reason", "dry-run"),
    "abort": ("policy", "channel", "reason", "dry-run"),
    "amend": ("policy", "channel", "weight", "reason", "dry-run"),
    "rollback": ("policy", "channel", "to", "reason", "dry-run"),
    "status": ("policy", "channel", "max-age"),
    "mirror": ("policy", "version", "all", "dry-run"),
    "prune": ("policy", "in-use", "ignore-telemetry", "grace", "wait", "dry-run"),
    "doctor": ("policy", "read-only"),
}
"""The commands that a CI job may call, and the inputs each of them takes besides those of every command."""

COMMON = ("command", "working-directory", *SECRETS)
INPUTS = tuple(dict.fromkeys((*COMMON, *(name for names in COMMANDS.values() for name in names))))
"""Every input, by its one name in all three faces."""

MAX_KEY_BYTES = 64 * 1024
"""A PEM file of an RSA-4096 key has 3.3 kB."""


@dataclass(frozen=True, slots=True)
class Call:
    """One call of the command line.

    Attributes:
        argv: Arguments, beginning with the command.
        environ: The whole environment of the call.
        folder: Where it runs.
    """

    argv: tuple[str, ...]
    environ: Mapping[str, str]
    folder: Path


def main() -> NoReturn:
    """Replace this process by the command that the inputs name; what is wrong with them ends it with one message."""
    try:
        call = make_call(os.environ, Path.cwd())
        os.chdir(call.folder)
    except OtagateError as error:
        _fail(error)
    _mask(call.environ)
    command = launch(sys.executable, Path(__file__).parents[2], "otagate", *call.argv)
    os.execve(sys.executable, command, dict(call.environ))  # noqa: S606 - no shell


def make_call(environ: Mapping[str, str], cwd: Path) -> Call:
    """Turn inputs into a call.

    Args:
        environ: Variables of the job.
        cwd: What ``working-directory`` is relative to.

    Raises:
        UsageError: An input is unknown, has a value that it cannot have, or is not one of this command's; or the job would
            print its secrets.
        KeyMaterialError: A secret names a file that cannot be read.
    """
    _refuse_loud_jobs(environ)
    inputs = _inputs(environ)
    command = inputs.get("command", "run")
    if command not in COMMANDS:
        near = nearest(command, COMMANDS)
        raise UsageError(
            "there is no such command for CI jobs", subject="input command", expected=f"one of {', '.join(COMMANDS)}",
            found=repr(harmless(command)), remedy=f"did you mean `{near}`?" if near else None,
        )  # fmt: skip
    given = {name: value for name, value in inputs.items() if name not in COMMON}
    for name, value in given.items():
        if name not in COMMANDS[command] and not _is_off(name, value):
            takers = ", ".join(verb for verb, names in COMMANDS.items() if name in names)
            raise UsageError(
                f"`{command}` does not take this input", subject=f"input {name}", expected=f"{name} only with {takers}"
            )
    return Call((command, *_arguments(given, COMMANDS[command])), _call_environ(environ, inputs), _folder(inputs, cwd))


def _refuse_loud_jobs(environ: Mapping[str, str]) -> None:
    if environ.get("GITLAB_CI") and environ.get("CI_DEBUG_TRACE", "").lower() in {"true", "1", "yes"}:
        raise UsageError(
            "this job prints every variable, keys among them, into its log",
            subject="CI_DEBUG_TRACE",
            found="true",
            remedy="unset CI_DEBUG_TRACE, and replace the keys if earlier jobs had it on",
        )


def _inputs(environ: Mapping[str, str]) -> dict[str, str]:
    found = {
        name.removeprefix(PREFIX).lower().replace("_", "-"): value.strip()
        for name, value in environ.items()
        if name.startswith(PREFIX) and value.strip()
    }
    for name in sorted(set(found) - set(INPUTS)):
        near = nearest(name, INPUTS)
        raise UsageError(
            "there is no such input", subject=harmless(name), expected=f"one of {', '.join(INPUTS)}",
            remedy=f"did you mean `{near}`?" if near else None,
        )  # fmt: skip
    return found


def _arguments(given: Mapping[str, str], names: tuple[str, ...]) -> list[str]:
    options, positional = [], []
    for name in names:
        value = given.get(name)
        if value is None:
            continue
        if name == "phase":
            positional = ["--", value]
        elif name == "override":
            options += [f"--override={metric}" for metric in re.split(r"[\s,]+", value) if metric]
        elif name in FLAGS or (name == "wait" and value in {"true", "false"}):
            options += [f"--{name}"] if _flag(name, value) else []
        else:
            # One word, so that a value that begins with a dash is still a value.
            options.append(f"--{name}={value}")
    return options + positional


def _flag(name: str, value: str) -> bool:
    if value not in {"true", "false"}:
        raise UsageError(
            "this input is neither true nor false",
            subject=f"input {name}",
            expected="true or false",
            found=repr(harmless(value)),
        )
    return value == "true"


def _is_off(name: str, value: str) -> bool:
    # What is off changes nothing, so faces may pass all switches always.
    return value == "false" if name == "wait" else name in FLAGS and not _flag(name, value)


def _call_environ(environ: Mapping[str, str], inputs: Mapping[str, str]) -> dict[str, str]:
    result = {name: value for name, value in environ.items() if not name.startswith(PREFIX)}
    for name, variable in SECRETS.items():
        if name == "github-token" and inputs.get("comment") != "true":
            continue  # the action always has one to give; who has no use for it does not get it
        value = inputs.get(name) or environ.get(variable, "").strip()
        if value:
            result[variable] = _secret(name, variable, value, environ)
    return result


def _secret(name: str, variable: str, value: str, environ: Mapping[str, str]) -> str:
    if value.startswith("/") and "\n" not in value:
        return _secret_file(name, Path(value))  # GitLab's variables of type File, and Jenkins' file credentials
    if environ.get("GITLAB_CI") and "\n" in value:
        raise UsageError(
            "GitLab cannot mask a value of several lines, so this key could end up in a log",
            subject=variable,
            remedy="make it a protected variable of type File; or base64 in one line, masked and protected",
        )
    return value


def _secret_file(name: str, path: Path) -> str:
    try:
        if not stat.S_ISREG(path.stat().st_mode) or path.stat().st_size > MAX_KEY_BYTES:
            raise KeyMaterialError(
                "this is not a key file", subject=f"input {name}", expected=f"a file of at most {MAX_KEY_BYTES} bytes"
            )
        return path.read_text("utf-8")
    except (OSError, UnicodeDecodeError) as error:
        raise KeyMaterialError(
            "the key file cannot be read",
            subject=f"input {name}",
            found=(os.strerror(error.errno) if error.errno else "an unknown failure")
            if isinstance(error, OSError)
            else "not text",
            remedy="give the key itself, or the absolute path of a PEM file that the job may read",
        ) from error


def _folder(inputs: Mapping[str, str], cwd: Path) -> Path:
    folder = cwd / inputs.get("working-directory", ".")
    try:
        os.stat(f"{folder}/.")  # noqa: PTH116 - Path drops the dot, which proves a folder that may be entered
    except OSError as error:
        raise _fs.translate(error, "the working directory cannot be entered", folder, missing=UsageError) from error
    return folder


def _mask(environ: Mapping[str, str]) -> None:
    # The runner masks what it knows as a secret; a key that an earlier step fetched from a vault it does not know.
    keys = [environ[variable] for variable in SECRETS.values() if variable in environ]
    if keys and environ.get("GITHUB_ACTIONS") == "true":
        from otagate.ci.report import reporter_here  # noqa: PLC0415 - only jobs with keys pay for it

        reporter = reporter_here(environ)
        for key in keys:
            reporter.mask(key)


def _fail(error: OtagateError) -> NoReturn:
    from otagate.ci.report import reporter_here, tell_failure  # noqa: PLC0415 - only a failure pays for it

    sys.stderr.write(f"error: {error}\n")
    tell_failure(reporter_here(os.environ), error)
    sys.exit(error.exit_code)


if __name__ == "__main__":
    main()
