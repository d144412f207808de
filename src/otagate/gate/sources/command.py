"""Counts from the standard output of a command."""

from __future__ import annotations

import os
import selectors
import signal
import subprocess
import time
from collections.abc import Mapping
from datetime import timedelta
from pathlib import Path

from otagate._text import harmless, span
from otagate.gate.interface import Measurement, MetricQuery, SourceError
from otagate.gate.sources import _fill, _secrets, _shape
from otagate.policy.model.sources import CommandSource

_PASSED = frozenset(
    {
        *("PATH", "HOME", "USER", "LOGNAME", "SHELL", "LANG", "LANGUAGE", "TZ", "TERM", "TMPDIR", "CI"),
        *("HTTP_PROXY", "HTTPS_PROXY", "NO_PROXY", "http_proxy", "https_proxy", "no_proxy", "SSL_CERT_FILE", "SSL_CERT_DIR"),
    }
)
_PASSED_PREFIXES = ("LC_", "XDG_", "METRICS_")
_TAIL_LINES = 5
_TAIL_BYTES = 4096


def allowed_environment(environ: Mapping[str, str]) -> dict[str, str]:
    """Choose what a metric command sees: what programs need to run, and ``METRICS_*`` for its own credentials.

    Signing keys and other secrets of the CI job never reach it.
    """
    return {name: value for name, value in environ.items() if name in _PASSED or name.startswith(_PASSED_PREFIXES)}


class CommandMetrics:
    """See MetricSource. Runs an argument list, never a shell, in a process group of its own."""

    def __init__(self, spec: CommandSource, root: Path, environ: Mapping[str, str]) -> None:
        """Run ``spec.argv`` in ``root``."""
        self._spec = spec
        self._root = root
        self._environ = allowed_environment(environ)
        self._secrets = _secrets.words_of(value for name, value in self._environ.items() if name.startswith("METRICS_"))

    def read(self, query: MetricQuery) -> Measurement:
        """See MetricSource.read; one try, as only the command knows whether another makes sense."""
        argv = [_fill.plain(argument, query) for argument in self._spec.argv]
        subject = f"command {harmless(' '.join(argv))}"
        try:
            child = self._start(argv)
        except (OSError, ValueError) as error:  # ValueError: a null byte in an argument
            raise SourceError(
                "a metric command cannot be started",
                subject=subject,
                found=getattr(error, "strerror", None) or harmless(str(error)),
                remedy="check its name and that it can be executed",
            ) from error
        with child:
            try:
                output = _collect(child, self._spec.timeout, subject, self._secrets)
            except BaseException:
                _end(child)
                raise
        try:
            return _shape.measurement(output, query, subject=subject, told_over=_fill.asks_over(*self._spec.argv))
        except SourceError as error:
            raise _secrets.guarded(error, output, self._secrets) from error

    def _start(self, argv: list[str]) -> subprocess.Popen[bytes]:
        return subprocess.Popen(  # noqa: S603 - the policy's own command, as an argument list
            argv,
            cwd=self._root,
            env=self._environ,
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            start_new_session=True,
        )


def _collect(child: subprocess.Popen[bytes], timeout: timedelta, subject: str, secrets: tuple[str, ...]) -> bytes:
    deadline = time.monotonic() + timeout.total_seconds()
    output, errors = _drain(child, deadline, subject, timeout)
    try:
        code = child.wait(max(0.0, deadline - time.monotonic()))
    except subprocess.TimeoutExpired as error:
        raise _too_slow(subject, timeout) from error
    if code != 0:
        lines = harmless_lines(errors, secrets)
        how = f"signal {signal.Signals(-code).name}" if code < 0 else f"exit code {code}"
        raise SourceError("a metric command failed", subject=subject, found=f"{how}{f': {lines}' if lines else ''}")
    return output


def _drain(child: subprocess.Popen[bytes], deadline: float, subject: str, timeout: timedelta) -> tuple[bytes, bytes]:
    """Read both pipes until the command has closed them; of stderr only the tail is kept."""
    output, errors = bytearray(), bytearray()
    with selectors.DefaultSelector() as waiting:
        for stream, into in ((child.stdout, output), (child.stderr, errors)):
            if stream is not None:
                waiting.register(stream, selectors.EVENT_READ, into)
        while waiting.get_map():
            left = deadline - time.monotonic()
            ready = waiting.select(left) if left > 0 else []
            if not ready:
                raise _too_slow(subject, timeout)
            for key, _ in ready:
                piece = os.read(key.fd, 65536)
                key.data.extend(piece)
                if not piece:
                    waiting.unregister(key.fileobj)
            if len(output) > _shape.MAX_BYTES:
                raise _shape.broken(subject, f"more than {_shape.MAX_BYTES} bytes", expected="one JSON object")
            del errors[:-_TAIL_BYTES]
    return bytes(output), bytes(errors)


def harmless_lines(errors: bytes, secrets: tuple[str, ...]) -> str:
    """Give the last lines of what the command said on stderr, on one line and without its credentials."""
    text = errors.decode("utf-8", "replace").strip()
    # The first word of a tail may be the end of a credential, which would not be known again.
    whole = text if len(errors) < _TAIL_BYTES else text.split(None, 1)[-1]
    lines = _secrets.hidden(whole, secrets).splitlines()[-_TAIL_LINES:]
    return " | ".join(harmless(line.strip()) for line in lines)


def _too_slow(subject: str, timeout: timedelta) -> SourceError:
    return SourceError(
        "a metric command took too long",
        subject=subject,
        found=f"no end after {span(timeout)}; it was stopped",
        remedy="make it faster, or raise `timeout` of the source",
    )


def _end(child: subprocess.Popen[bytes]) -> None:
    """End a command that was not waited for, with everything that it started."""
    # Once it was waited for, its number may belong to somebody else's group.
    if child.returncode is None:
        os.killpg(child.pid, signal.SIGKILL)
