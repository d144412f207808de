from __future__ import annotations

import io
import os
from collections.abc import Callable
from datetime import UTC, datetime
from pathlib import Path

import pytest

from otagate.ci.interface import Level, Reporter
from otagate.ci.masking import secret_lines
from otagate.ci.reporters import open_reporter
from otagate.ci.reporters.file import GitlabReporter, JenkinsReporter
from otagate.ci.reporters.github import MAX_SUMMARY_BYTES, GithubReporter
from otagate.ci.reporters.plain import PlainReporter
from otagate.errors import AccessError, NotFoundError, OtagateError
from otagate.model import Context

PROVIDERS = ("github", "gitlab", "jenkins", "azure", "git", "none")
HOSTILE = [
    'plain"; curl x',
    "$(id) `id`",
    "a\n::set-output name=x::y",
    "a\r\n::add-mask::b",
    "EOF\nname=evil",
    "%0A::error::x",
    "\x1b]0;title\x07",
    "##[error]x",
    "",
    "ü€𝄞",
]


class StoppedClock:
    def now(self) -> datetime:
        return datetime(2026, 11, 20, tzinfo=UTC)

    def sleep(self, seconds: float) -> None:
        raise NotImplementedError


@pytest.fixture
def stream() -> io.StringIO:
    return io.StringIO()


Opener = Callable[[str], Reporter]


@pytest.fixture
def opener(tmp_path: Path, stream: io.StringIO) -> Opener:
    environ = {
        "GITHUB_OUTPUT": str(tmp_path / "out"),
        "GITHUB_STEP_SUMMARY": str(tmp_path / "summary"),
        "CI_PROJECT_DIR": str(tmp_path),
        "WORKSPACE": str(tmp_path),
    }
    return lambda provider: open_reporter(Context(provider), environ, stream=stream, clock=StoppedClock())


@pytest.mark.parametrize("provider", PROVIDERS)
@pytest.mark.parametrize("text", HOSTILE)
def test_contract_hostile_text_never_makes_a_second_line_or_command(
    opener: Opener, stream: io.StringIO, provider: str, text: str
) -> None:
    reporter = opener(provider)
    reporter.annotate(Level.ERROR, f"bad branch {text}", file=text or None, line=3)
    shown = stream.getvalue()
    assert shown.count("\n") <= 1
    assert not shown.startswith("::set-output")
    assert "\x1b" not in shown
    assert "\x07" not in shown


@pytest.mark.parametrize("provider", PROVIDERS)
def test_contract_every_method_can_be_called_without_the_hosts_files(provider: str, stream: io.StringIO) -> None:
    reporter = open_reporter(Context(provider), {}, stream=stream)
    reporter.outputs({"version": "1.0.0"})
    reporter.summary("### done")
    reporter.annotate(Level.NOTICE, "hello")
    reporter.mask("short")
    ran = False
    with reporter.fold("building"):
        ran = True
    assert ran
    assert "1.0.0" not in stream.getvalue()


@pytest.mark.parametrize("provider", PROVIDERS)
def test_contract_a_fold_lets_failures_through_and_closes(opener: Opener, stream: io.StringIO, provider: str) -> None:
    with pytest.raises(ValueError, match="boom"), opener(provider).fold("building"):
        raise ValueError("boom")
    opened, closed = ("::group::", "::endgroup::") if provider == "github" else ("section_start", "section_end")
    assert stream.getvalue().count(opened) == stream.getvalue().count(closed) <= 1


@pytest.mark.parametrize(
    ("provider", "kind"),
    [
        ("github", GithubReporter),
        ("gitlab", GitlabReporter),
        ("jenkins", JenkinsReporter),
        ("azure", PlainReporter),
        ("none", PlainReporter),
    ],
)
def test_the_provider_chooses(opener: Opener, provider: str, kind: type) -> None:
    assert isinstance(opener(provider), kind)


def parse_github_output(text: str) -> dict[str, str]:
    """Read the file as the runner does."""
    found, lines = {}, text.split("\n")
    while lines and lines != [""]:
        name, _, delimiter = lines.pop(0).partition("<<")
        end = lines.index(delimiter)
        found[name] = "\n".join(lines[:end])
        lines = lines[end + 1 :]
    return found


@pytest.mark.parametrize("text", HOSTILE)
def test_github_outputs_survive_any_value(opener: Opener, tmp_path: Path, text: str) -> None:
    reporter = opener("github")
    reporter.outputs({"version": "1.0.0", "bundle-url": text})
    reporter.outputs({"state": "soaking"})
    with (tmp_path / "out").open(encoding="utf-8", newline="") as file:
        assert parse_github_output(file.read()) == {"version": "1.0.0", "bundle-url": text, "state": "soaking"}


def test_github_delimiters_differ_each_time(opener: Opener, tmp_path: Path) -> None:
    opener("github").outputs({"a": "1", "b": "2"})
    delimiters = {line.partition("<<")[2] for line in (tmp_path / "out").read_text().splitlines() if "<<" in line}
    assert len(delimiters) == 2


def test_github_a_lone_surrogate_of_a_file_name_can_be_written(opener: Opener, tmp_path: Path) -> None:
    opener("github").outputs({"bundle-url": "x\udcff"})
    opener("github").summary("x\udcff")
    assert "x" in (tmp_path / "out").read_text()
    assert "x" in (tmp_path / "summary").read_text()


def test_github_output_names_are_checked(opener: Opener) -> None:
    with pytest.raises(OtagateError, match="not the name of an output"):
        opener("github").outputs({"a<<b\nc": "1"})


def test_github_annotation_format(opener: Opener, stream: io.StringIO) -> None:
    opener("github").annotate(Level.WARNING, "100%\nsecond", file="a,b:c.yml", line=7)
    assert stream.getvalue() == "::warning file=a%2Cb%3Ac.yml,line=7,title=otagate::100%25%0Asecond\n"


def test_github_a_line_without_a_file_is_left_out(opener: Opener, stream: io.StringIO) -> None:
    opener("github").annotate(Level.NOTICE, "x", line=7)
    assert stream.getvalue() == "::notice title=otagate::x\n"


def test_github_shows_ten_annotations_of_each_level(opener: Opener, stream: io.StringIO) -> None:
    reporter = opener("github")
    for n in range(15):
        reporter.annotate(Level.ERROR, f"e{n}")
        reporter.annotate(Level.WARNING, f"w{n}")
    assert stream.getvalue().count("::error ") == stream.getvalue().count("::warning ") == 10
    assert "e14" not in stream.getvalue()


def test_github_summaries_add_up_and_are_cut_at_whole_lines(opener: Opener, tmp_path: Path) -> None:
    reporter = opener("github")
    reporter.summary("### one")
    row = "| é" + "x" * 997 + "|\n"
    reporter.summary(row * 2000)
    reporter.summary("### never seen\n" * 10)
    data = (tmp_path / "summary").read_bytes()
    assert len(data) <= MAX_SUMMARY_BYTES
    lines = data.decode().rstrip("\n").split("\n")
    assert lines[0] == "### one"
    assert {line + "\n" for line in lines[1:-2]} == {row}
    assert "cut" in lines[-1]
    assert "never" not in data.decode()


PEM = "-----BEGIN PRIVATE KEY-----\nMC4CAQAwBQYDK2VwBCIEIABC\nZWFzdGVyLWVnZy1saW5l\nab==\n-----END PRIVATE KEY-----\n"


def test_github_masks_each_line_of_a_key(opener: Opener, stream: io.StringIO) -> None:
    opener("github").mask(PEM)
    assert stream.getvalue().split() == ["::add-mask::MC4CAQAwBQYDK2VwBCIEIABC", "::add-mask::ZWFzdGVyLWVnZy1saW5l"]


def test_github_a_mask_is_understood_after_an_unfinished_line(opener: Opener, stream: io.StringIO) -> None:
    stream.write("\x1b[0mno line break")
    opener("github").mask("supersecret")
    assert "::add-mask::supersecret" in stream.getvalue().splitlines()


def test_github_commands_of_a_build_are_inert_inside_a_fold_and_ours_are_not(opener: Opener, stream: io.StringIO) -> None:
    reporter = opener("github")
    with reporter.fold("building\n::error::x"):
        stream.write("::set-output name=version::9.9.9\n")
        reporter.mask("supersecret")
        reporter.annotate(Level.ERROR, "broken")
    reporter.annotate(Level.NOTICE, "after")
    lines = stream.getvalue().splitlines()
    assert lines[0] == "::group::building\\x0a::error::x"
    word = lines[1].removeprefix("::stop-commands::")
    assert len(word) > 30
    heard, is_open = [], True
    for line in lines[1:]:  # as the runner listens
        if line.startswith("::stop-commands::"):
            is_open = False
        elif line == f"::{word}::":
            is_open = True
        elif is_open and line.startswith("::"):
            heard.append(line)
    assert heard == [
        "::add-mask::supersecret",
        "::error title=otagate::broken",
        "::endgroup::",
        "::notice title=otagate::after",
    ]


def test_gitlab_outputs_are_variables_and_merge(opener: Opener, tmp_path: Path, stream: io.StringIO) -> None:
    reporter = opener("gitlab")
    reporter.outputs({"version": "1.0.0", "state": "rolling"})
    reporter.outputs({"bundle-url": "https://cdn.example/b?x=1&y=2", "state": "soaking"})
    expected = "OTAGATE_VERSION=1.0.0\nOTAGATE_STATE=soaking\nOTAGATE_BUNDLE_URL=https://cdn.example/b?x=1&y=2\n"
    assert (tmp_path / "otagate.env").read_text() == expected
    assert stream.getvalue() == ""


@pytest.mark.parametrize("value", ["two words", "a\nOTAGATE_X=1", "$CI_JOB_TOKEN", '"q"', "x" * 1001, "ü", "a\\b"])
def test_gitlab_leaves_out_what_a_dotenv_cannot_carry(opener: Opener, tmp_path: Path, stream: io.StringIO, value: str) -> None:
    opener("gitlab").outputs({"result": value, "state": "soaking"})
    assert (tmp_path / "otagate.env").read_text() == "OTAGATE_STATE=soaking\n"
    assert "OTAGATE_RESULT is left out" in stream.getvalue()


def test_gitlab_folds(opener: Opener, stream: io.StringIO) -> None:
    with opener("gitlab").fold("building"):
        stream.write("x\n")
    first, _, last = stream.getvalue().splitlines()[0], None, stream.getvalue().rstrip("\n").split("\n")[-1]
    assert first.startswith("\x1b[0Ksection_start:1795132800:otagate_")
    assert stream.getvalue().split("\n")[0].endswith("[collapsed=true]\r\x1b[0Kbuilding")
    assert "section_end:1795132800:otagate_" in last


def test_jenkins_outputs_are_lines(opener: Opener, tmp_path: Path, stream: io.StringIO) -> None:
    opener("jenkins").outputs({"version": "1.0.0", "bundle-url": "two words = ü", "result": "a\nversion=9"})
    assert (tmp_path / "otagate.properties").read_text("utf-8") == "version=1.0.0\nbundle-url=two words = ü\n"
    assert "result is left out" in stream.getvalue()


@pytest.mark.parametrize("provider", ["gitlab", "jenkins"])
def test_a_chosen_output_file_wins(tmp_path: Path, provider: str, stream: io.StringIO) -> None:
    chosen = tmp_path / "here"
    chosen.write_bytes(b"\xff broken\nOLD=1\n")
    open_reporter(Context(provider), {"OTAGATE_OUTPUTS": str(chosen)}, stream=stream).outputs({"state": "done"})
    assert chosen.read_text().splitlines()[0] == "OLD=1"
    assert chosen.read_text().lower().endswith("state=done\n")


@pytest.mark.parametrize("provider", ["github", "gitlab", "jenkins"])
def test_a_file_that_cannot_be_written_is_named(tmp_path: Path, provider: str, stream: io.StringIO) -> None:
    missing = str(tmp_path / "no" / "file")
    reporter = open_reporter(Context(provider), {"OTAGATE_OUTPUTS": missing, "GITHUB_OUTPUT": missing}, stream=stream)
    with pytest.raises((NotFoundError, AccessError), match="no/file"):
        reporter.outputs({"state": "done"})


def test_a_summary_file_that_cannot_be_looked_at_is_named(tmp_path: Path, stream: io.StringIO) -> None:
    path = tmp_path / ("x" * 300)
    reporter = open_reporter(Context("github"), {"GITHUB_STEP_SUMMARY": str(path)}, stream=stream)
    with pytest.raises(OtagateError, match="GitHub reads"):
        reporter.summary("x")


def test_the_stream_is_standard_error_by_default(capsys: pytest.CaptureFixture[str]) -> None:
    open_reporter(Context("github"), dict(os.environ)).annotate(Level.NOTICE, "hello")
    captured = capsys.readouterr()
    assert captured.out == ""
    assert captured.err == "::notice title=otagate::hello\n"


def test_secret_lines() -> None:
    assert secret_lines(PEM) == ["MC4CAQAwBQYDK2VwBCIEIABC", "ZWFzdGVyLWVnZy1saW5l"]
    assert secret_lines(PEM.replace("\n", "\\n")) == secret_lines(PEM)
    assert secret_lines("short") == []
