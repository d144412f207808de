"""GitLab and Jenkins: outputs as lines of a file that the job hands on.

**Source:** docs.gitlab.com/ci/yaml/artifacts_reports (dotenv: names, values, 5 KB, 50 variables) and
docs.gitlab.com/ci/jobs/job_logs (collapsible sections). Jenkins knows no such file: its step reads the lines itself.
"""

from __future__ import annotations

import re
import secrets
from collections.abc import Iterator, Mapping
from contextlib import AbstractContextManager, contextmanager, nullcontext
from pathlib import Path
from typing import IO

from otagate import _fs
from otagate._clock import Clock
from otagate._text import harmless
from otagate.ci.interface import Level

# GitLab's dotenv takes no spaces, quotes or line breaks, and later jobs would expand a dollar sign.
_DOTENV_VALUE = re.compile(r"[!#%&()*+,./0-9:;<=>?@A-Z\[\]^_a-z{|}~-]{0,1000}", re.ASCII)
_PROPERTY_VALUE = re.compile(r"[^\x00-\x1f\x7f\x85\u2028\u2029\ud800-\udfff]{0,100000}")


class _LineFile:
    """Keeps ``name=value`` lines of a file; values that the format cannot carry are left out with a warning."""

    def __init__(self, path: Path | None, stream: IO[str], allowed: re.Pattern[str]) -> None:
        self._path, self._stream, self._allowed = path, stream, allowed

    def update(self, values: Mapping[str, str]) -> None:
        """Write values over what stands in the file."""
        if self._path is None:
            return
        try:
            lines = self._path.read_text("utf-8", "replace").splitlines() if self._path.exists() else []
            merged = dict(line.split("=", 1) for line in lines if "=" in line) | self._fitting(values, self._path.name)
            _fs.atomic_write(self._path, "".join(f"{name}={value}\n" for name, value in merged.items()).encode())
        except OSError as error:
            raise _fs.translate(error, "cannot write the outputs of this job", self._path) from error

    def _fitting(self, values: Mapping[str, str], file: str) -> dict[str, str]:
        for name, value in values.items():
            if not self._allowed.fullmatch(value):
                self._stream.write(f"warning: output {name} is left out: {file} cannot carry its value\n")
        return {name: value for name, value in values.items() if self._allowed.fullmatch(value)}


class GitlabReporter:
    """A dotenv report: ``bundle-url`` becomes the variable ``OTAGATE_BUNDLE_URL`` of later jobs."""

    def __init__(self, output_file: Path | None, stream: IO[str], clock: Clock) -> None:
        self._file = _LineFile(output_file, stream, _DOTENV_VALUE)
        self._stream, self._clock = stream, clock

    def outputs(self, values: Mapping[str, str]) -> None:
        """See Reporter.outputs."""
        self._file.update({"OTAGATE_" + name.upper().replace("-", "_"): value for name, value in values.items()})

    def summary(self, markdown: str) -> None:
        """See Reporter.summary. GitLab's jobs have no page for it."""

    def annotate(self, level: Level, message: str, file: str | None = None, line: int | None = None) -> None:
        """See Reporter.annotate. GitLab shows the job's log only, where the command line has said it."""

    def mask(self, secret: str) -> None:
        """See Reporter.mask. GitLab masks by a variable's setting; a running job cannot add to it."""

    @contextmanager
    def fold(self, title: str) -> Iterator[None]:
        """See Reporter.fold."""
        section = f"otagate_{secrets.token_hex(4)}"
        self._section(f"section_start:{self._now()}:{section}[collapsed=true]", harmless(title))
        try:
            yield
        finally:
            self._section(f"section_end:{self._now()}:{section}", "")

    def _now(self) -> int:
        return int(self._clock.now().timestamp())

    def _section(self, mark: str, title: str) -> None:
        self._stream.write(f"\x1b[0K{mark}\r\x1b[0K{title}\n")
        self._stream.flush()


class JenkinsReporter:
    """A file of ``name=value`` lines, for the step in ``Jenkinsfile.groovy``."""

    def __init__(self, output_file: Path | None, stream: IO[str]) -> None:
        self._file = _LineFile(output_file, stream, _PROPERTY_VALUE)

    def outputs(self, values: Mapping[str, str]) -> None:
        """See Reporter.outputs."""
        self._file.update(values)

    def summary(self, markdown: str) -> None:
        """See Reporter.summary. Jenkins has no page for it without a plugin."""

    def annotate(self, level: Level, message: str, file: str | None = None, line: int | None = None) -> None:
        """See Reporter.annotate. Jenkins shows the console only, where the command line has said it."""

    def mask(self, secret: str) -> None:
        """See Reporter.mask. Jenkins masks what its credentials binding hands out."""

    def fold(self, title: str) -> AbstractContextManager[None]:
        """See Reporter.fold. The console does not fold, and obeys nothing that is printed."""
        return nullcontext()
