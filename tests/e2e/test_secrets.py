"""No secret comes out anywhere: not on success, not on any failure, not in any form, not to a child's command line."""

from __future__ import annotations

import base64
import json
import os
import shlex
import signal
import subprocess
import sys
import textwrap
import time
from collections.abc import Callable
from pathlib import Path
from urllib.parse import quote

import pytest
from cryptography.hazmat.primitives.serialization import Encoding, NoEncryption, PrivateFormat, load_pem_private_key

from e2e.test_bad_input import CASES, Case
from support import sweeper
from support.metric_server import send, serving
from support.shop import Said, Shop, open_shop
from support.sweeper import Secret, sweep

pytestmark = pytest.mark.e2e

OTAGATE = Path(sys.executable).parent / "otagate"
TOKEN = "tok-5f0c1a7e94b24dd1a0c3-swept"
KEY_FILES = frozenset({"encryption.pem", "signing.pem"})
KEYS = {"OTAGATE_ENCRYPTION_KEY": "encryption.pem", "OTAGATE_SIGNING_KEY": "signing.pem"}


def pkcs8(pem: str) -> str:
    key = load_pem_private_key(pem.encode(), None)
    return key.private_bytes(Encoding.PEM, PrivateFormat.PKCS8, NoEncryption()).decode()


SHAPES: dict[str, Callable[[str], str]] = {
    "lines": lambda pem: pem,
    "crlf": lambda pem: pem.replace("\n", "\r\n"),
    "backslash-n": lambda pem: pem.replace("\n", "\\n"),
    "one-line": lambda pem: pem.replace("\n", " "),
    "no-breaks": lambda pem: pem.replace("\n", ""),
    "quoted": lambda pem: f'"{pem}"',
    "base64": lambda pem: base64.b64encode(pem.encode()).decode(),
    "base64-lines": lambda pem: base64.encodebytes(pem.encode()).decode(),
    "pkcs8": pkcs8,
}


def secrets_of(shop: Shop) -> list[Secret]:
    keys = [sweeper.key(file, shop.path(f".otagate/keys/{file}").read_text()) for file in sorted(KEY_FILES)]
    return [*keys, sweeper.token("token", TOKEN)]


def in_variables(shop: Shop, shape: Callable[[str], str] = SHAPES["lines"]) -> dict[str, str]:
    """Move the keys out of their files into variables, as on a CI."""
    for name, file in KEYS.items():
        shop.edit("otagate.yml", f"file:.otagate/keys/{file}", f"env:{name}")
    return {name: shape(shop.path(f".otagate/keys/{file}").read_text()) for name, file in KEYS.items()}


def github(folder: Path) -> dict[str, str]:
    """Make the variables of a job on GitHub, with its files in ``folder``."""
    folder.mkdir(exist_ok=True)
    files = {name: str(folder / name) for name in ("GITHUB_OUTPUT", "GITHUB_STEP_SUMMARY")}
    return {"CI": "true", "GITHUB_ACTIONS": "true", "GITHUB_REPOSITORY": "a/b", "GITHUB_REF": "refs/heads/main", **files}


def gitlab(folder: Path) -> dict[str, str]:
    folder.mkdir(exist_ok=True)
    job = {"CI": "true", "GITLAB_CI": "true", "CI_PROJECT_DIR": str(folder), "CI_COMMIT_BRANCH": "main"}
    return {**job, "OTAGATE_OUTPUTS": str(folder / "otagate.env")}


def jenkins(folder: Path) -> dict[str, str]:
    folder.mkdir(exist_ok=True)
    job = {"JENKINS_URL": "https://ci.example/", "BRANCH_NAME": "main", "WORKSPACE": str(folder)}
    return {**job, "OTAGATE_OUTPUTS": str(folder / "otagate.properties")}


def installed(shop: Shop, temp: Path, *argv: str, **environ: str) -> Said:
    """Run the installed command in a process of its own."""
    temp.mkdir(exist_ok=True)
    whole = {**shop.environ, "TMPDIR": str(temp), **environ}
    done = subprocess.run([OTAGATE, *argv], cwd=shop.folder, env=whole, capture_output=True, text=True, timeout=60, check=False)
    return Said(done.returncode, done.stdout, done.stderr)


def hits(secrets: list[Secret], said: list[Said], *folders: Path) -> list[str]:
    texts = {f"stdout {at}": one.out.encode() for at, one in enumerate(said)}
    texts |= {f"stderr {at}": one.err.encode() for at, one in enumerate(said)}
    return sweep(secrets, texts, list(folders), KEY_FILES)


# --- the sweeper itself -----------------------------------------------------------------------------------------------------


def body_line(pem: str) -> str:
    """Give one line from the middle of a key."""
    lines = [line for line in pem.splitlines() if "-----" not in line]
    return lines[len(lines) // 2]


def as_bytes(shape: Callable[[str], str]) -> Callable[[str], bytes]:
    return lambda pem: shape(pem).encode()


PLANTED: dict[str, Callable[[str], bytes]] = {
    **{name: as_bytes(shape) for name, shape in SHAPES.items()},
    "der": lambda pem: base64.b64decode("".join(line for line in pem.splitlines() if "-----" not in line)),
    "hex": lambda pem: PLANTED["der"](pem).hex().encode(),
    "upper-hex": lambda pem: PLANTED["der"](pem).hex().upper().encode(),
    "base64url": lambda pem: base64.urlsafe_b64encode(PLANTED["der"](pem)),
    "percent": lambda pem: quote(pem, safe="").encode(),
    "one-line-of-it": lambda pem: f"line 7: {body_line(pem)} is damaged".encode(),
    "in-json": lambda pem: json.dumps({"found": pem}).encode(),
    "in-an-envelope": lambda pem: json.dumps({"payload": base64.b64encode(json.dumps([pem]).encode()).decode()}).encode(),
}


@pytest.mark.parametrize("form", PLANTED)
@pytest.mark.parametrize("file", sorted(KEY_FILES))
def test_the_sweeper_finds_a_key_that_was_planted(tmp_path: Path, file: str, form: str) -> None:
    shop = open_shop(tmp_path / "shop")
    pem = shop.path(f".otagate/keys/{file}").read_text()
    planted = b"something before " + PLANTED[form](pem) + b" and after"
    assert sweeper.found_in(planted, secrets_of(shop)) == [file]
    shop.path(".otagate/store/planted.json").write_bytes(planted)
    assert len(sweep(secrets_of(shop), {}, [shop.folder], KEY_FILES)) == 1


def test_the_sweeper_finds_a_token_and_leaves_public_keys_alone(tmp_path: Path) -> None:
    shop = open_shop(tmp_path / "shop")
    for form in (TOKEN, quote(TOKEN), TOKEN.encode().hex(), base64.b64encode(b"Bearer " + TOKEN.encode()).decode()):
        assert sweeper.found_in(f"x{form}y".encode(), secrets_of(shop)) == ["token"]
    public = b"".join(shop.path(f".otagate/keys/{name}.pub.pem").read_bytes() for name in ("encryption", "signing"))
    assert sweeper.found_in(public, secrets_of(shop)) == []


# --- every way to fail ------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("case", CASES, ids=lambda case: case.id)
def test_no_failure_shows_a_secret(case: Case, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    shop = open_shop(tmp_path / "shop")
    secrets = secrets_of(shop)
    case.arrange(shop)
    environ = {**github(tmp_path / "ci"), "SOME_TOKEN": TOKEN, **dict(case.environ)}
    said = [shop.run(*case.argv, **environ), shop.run(*case.argv, "--format", "json", **environ)]
    assert said[0].code == case.code, said[0].err
    annotated = Said(0, *capsys.readouterr())  # the host's commands go to the process's own stderr
    assert hits(secrets, [*said, annotated], tmp_path) == []


# --- success, with keys in every shape --------------------------------------------------------------------------------------

ROUND: tuple[tuple[tuple[str, ...], int], ...] = (
    (("policy", "check"), 0),
    (("policy", "explain"), 0),
    (("keys", "show"), 0),
    (("plan",), 0),
    (("build",), 0),
    (("bundle", "-o", "out.zip", "--manifest", "files.json"), 0),
    (("encrypt", "out.zip", "-o", "out.sealed"), 0),
    (("sign", "files.json", "--type", "application/json", "-o", "files.dsse.json"), 0),
    (("upload", "--dry-run"), 0),
    (("run",), 0),
    (("verify", "2.0.0", "--public-key", ".otagate/keys/encryption.pub.pem"), 0),
    (("status",), 0),
    (("gate", "eval"), 6),
    (("reconcile",), 0),
    (("pause", "--reason", "lunch"), 0),
    (("resume",), 0),
    (("approve",), 5),
    (("promote", "--channel", "other", "--release", "2.0.0"), 0),
    (("rollback", "--channel", "other"), 0),
    (("rollback",), 0),
    (("history",), 0),
)


def second_release(shop: Shop) -> None:
    shop.edit("package.json", "1.0.0", "2.0.0")
    shop.path("dist/app.js").write_text("CapacitorUpdater.notifyAppReady(); // 2")
    shop.commit()


@pytest.mark.parametrize("shape", SHAPES)
def test_no_verb_shows_a_key_of_any_shape(shape: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    shop = open_shop(tmp_path / "shop")
    secrets = secrets_of(shop)
    environ = {**github(tmp_path / "ci"), **in_variables(shop, SHAPES[shape])}
    second_release(shop)
    formats = ("text", "json", "markdown")
    said = []
    for at, (argv, code) in enumerate(ROUND):
        said.append(shop.run(*argv, "--format", formats[at % 3], **environ))
        assert said[-1].code == code, f"{argv}: {said[-1].err}"
    assert (tmp_path / "ci" / "GITHUB_OUTPUT").stat().st_size > 0
    assert (tmp_path / "ci" / "GITHUB_STEP_SUMMARY").stat().st_size > 0
    said.append(Said(0, *capsys.readouterr()))
    assert hits(secrets, said, tmp_path) == []


@pytest.mark.parametrize("host", [gitlab, jenkins])
def test_no_file_of_a_ci_host_holds_a_key(host: Callable[[Path], dict[str, str]], tmp_path: Path) -> None:
    shop = open_shop(tmp_path / "shop")
    secrets = secrets_of(shop)
    environ = {**host(tmp_path / "ci"), **in_variables(shop), "SOME_TOKEN": TOKEN, "OTAGATE_GITLAB_TOKEN": TOKEN}
    second_release(shop)
    said = [shop.run(*argv, **environ) for argv in (("run",), ("reconcile",), ("rollback",), ("status",), ("promote",))]
    assert [one.code for one in said] == [0, 0, 0, 0, 2], said
    assert "2.0.0" in Path(environ["OTAGATE_OUTPUTS"]).read_text()
    assert hits(secrets, said, tmp_path) == []


@pytest.mark.parametrize("output_format", ["text", "json", "markdown"])
@pytest.mark.parametrize("argv", [("keys", "create"), ("init",)], ids=lambda argv: argv[0])
def test_new_keys_go_to_their_files_and_nowhere_else(argv: tuple[str, ...], output_format: str, tmp_path: Path) -> None:
    app = tmp_path / "app"
    app.mkdir()
    (app / "capacitor.config.json").write_text('{"appId": "com.example.shop", "webDir": "dist"}')
    shop = Shop(app)
    said = [shop.run(*argv, "--format", output_format), shop.run("keys", "show", "--format", output_format)]
    assert [one.code for one in said] == [0, 0], said
    assert sorted(path.name for path in app.rglob("*") if path.name in KEY_FILES) == sorted(KEY_FILES)
    assert hits(secrets_of(shop), said, tmp_path) == []


@pytest.mark.parametrize("code", [0, 3, 2], ids=["opens", "does-not-open", "no-key"])
def test_sealing_for_recipients_shows_no_key(code: int, tmp_path: Path) -> None:
    shop = open_shop(tmp_path / "shop")
    secrets = secrets_of(shop)
    shop.edit("otagate.yml", "format: capgo", "format: aes-256-gcm\n  recipients: [file:.otagate/keys/encryption.pub.pem]")
    shop.edit("otagate.yml", "  encryption_key: file:.otagate/keys/encryption.pem\n", "")
    second_release(shop)
    said = [shop.run("upload")]
    assert said[0].code == 0, said
    statement = ".otagate/store/apps/com.example.shop/releases/2.0.0.json"
    blob = max(
        (path for path in shop.path(".otagate/store/blobs").rglob("*") if path.is_file()), key=lambda p: p.stat().st_mtime_ns
    )
    shop.path("a.sealed").write_bytes(blob.read_bytes()[:-1] + b"\0" if code == 3 else blob.read_bytes())
    key = "env:MISSING" if code == 2 else "file:.otagate/keys/encryption.pem"
    said.append(shop.run("decrypt", "a.sealed", "-o", "b.zip", "--statement", statement, "--key", key))
    assert said[-1].code == code, said[-1]
    assert shop.path("b.zip").exists() is (code == 0)
    seal = ("--seal", "aes-256-gcm", "--recipient", "file:.otagate/keys/encryption.pub.pem", "--version", "3.0.0")
    said += [shop.run("bundle", "-o", "c.zip"), shop.run("encrypt", "c.zip", *seal)]  # the app is the policy's
    assert [one.code for one in said[-2:]] == [0, 0], said[-1]
    assert hits(secrets, said, tmp_path) == []


BROKEN: dict[str, Callable[[str], str]] = {
    "cut": lambda pem: pem[: len(pem) * 2 // 3],
    "first-line-lost": lambda pem: pem.split("\n", 1)[1],
    "a-character-changed": lambda pem: pem.replace(body_line(pem), "!" + body_line(pem)[1:]),
    "a-line-lost": lambda pem: pem.replace(body_line(pem) + "\n", ""),
    "twice": lambda pem: pem + pem,
    "bare-base64": lambda pem: "".join(line for line in pem.splitlines() if "-----" not in line),
    "hex": lambda pem: PLANTED["der"](pem).hex(),
    "spaces-in-front": lambda pem: f"key={pem}",
    "wrong-label": lambda pem: pem.replace("PRIVATE KEY", "CERTIFICATE"),
}


@pytest.mark.parametrize("how", BROKEN)
@pytest.mark.parametrize("verb", ["upload", "keys"])
def test_a_broken_key_is_refused_without_being_shown(how: str, verb: str, tmp_path: Path) -> None:
    shop = open_shop(tmp_path / "shop")
    secrets = secrets_of(shop)
    environ = in_variables(shop, BROKEN[how])
    second_release(shop)
    argv = ("keys", "show") if verb == "keys" else (verb,)
    said = [shop.run(*argv, **environ), shop.run(*argv, "--format", "json", **environ)]
    allowed = {2, 0} if how == "spaces-in-front" else {2}
    assert {one.code for one in said} <= allowed, said
    assert all("bug in otagate" not in one.err for one in said)
    assert hits(secrets, said, tmp_path) == []


@pytest.mark.parametrize("option", ["--key", "--trust", "--reason", "--version", "--policy"])
def test_a_key_on_the_command_line_is_not_repeated(option: str, tmp_path: Path) -> None:
    shop = open_shop(tmp_path / "shop")
    secrets = secrets_of(shop)
    for shape in SHAPES.values():
        pem = shape(shop.path(".otagate/keys/signing.pem").read_text())
        said = shop.run("verify" if option == "--trust" else "sign", "package.json", option, pem)
        assert said.code == 2, said
        assert hits(secrets, [said]) == []


@pytest.mark.parametrize("place", ["signing_key: file:.otagate/keys/signing.pem", "keys: [file:.otagate/keys/signing.pub.pem]"])
def test_a_key_in_the_policy_is_not_repeated(place: str, tmp_path: Path) -> None:
    shop = open_shop(tmp_path / "shop")
    secrets = secrets_of(shop)
    pem = shop.path(".otagate/keys/signing.pem").read_text()
    name = place.split(":", maxsplit=1)[0]
    for value in (pem, PLANTED["der"](pem).hex(), PLANTED["base64url"](pem).decode(), "env:" + pem, "file:" + pem):
        quoted = json.dumps(value)
        policy = shop.path("otagate.yml").read_text()
        shop.edit("otagate.yml", place, f"{name}: [{quoted}]" if name == "keys" else f"{name}: {quoted}")
        said = [shop.run("policy", "check"), shop.run("keys", "show"), shop.run("status", "--format", "json")]
        assert said[0].code == 2 or said[1].code == 2, said
        assert hits(secrets, said) == []
        shop.path("otagate.yml").write_text(policy)


# --- what children see ------------------------------------------------------------------------------------------------------

SPY = """
import os, sys, pathlib
out = pathlib.Path(sys.argv[1])
out.mkdir(exist_ok=True)
with (out / f"env-{os.getpid()}").open("wb") as file:
    file.write(b"\\n".join(b"%s=%s" % pair for pair in os.environb.items()))
for place in pathlib.Path("/proc").glob("[0-9]*/cmdline"):
    try:
        text = place.read_bytes()
    except OSError:
        continue
    if b"otagate" in text or b"git" in text or b"spy" in text:
        (out / f"cmdline-{os.getpid()}-{place.parent.name}").write_bytes(text)
"""


def spying_on_git(folder: Path) -> str:
    """Put a git first on the PATH that leaves its environment and arguments in ``folder``; give that PATH."""
    folder.mkdir()
    tool = folder / "git"
    real = subprocess.run(["which", "git"], capture_output=True, text=True, check=True).stdout.strip()
    tool.write_text(f'#!/bin/sh\nenv > "{folder}/git-env-$$"\necho "$@" > "{folder}/git-args-$$"\nexec {real} "$@"\n')
    tool.chmod(0o755)
    return f"{folder}{os.pathsep}{os.environ['PATH']}"


@pytest.fixture
def spied(tmp_path: Path) -> Shop:
    """Give an app whose build and whose metrics look around and print all that they see, and then fail."""
    shop = open_shop(tmp_path / "shop")
    shop.path("spy.py").write_text(SPY)
    shop.path("loud.py").write_text(SPY + "for item in os.environ.items(): print(*item, file=sys.stderr)\nsys.exit(3)\n")
    loud = json.dumps([sys.executable, "loud.py", str(tmp_path / "seen")])
    build = json.dumps(f"env; {shlex.quote(sys.executable)} spy.py {tmp_path / 'seen'}")
    shop.edit("otagate.yml", "build: {output: dist}", f"build: {{output: dist, command: {build}, env: [KEY_COPY, MY_SIGNING]}}")
    shop.edit("otagate.yml", "metrics: {file: metrics.json}", f"metrics: {{command: {loud}}}")
    second_release(shop)
    return shop


def test_children_see_no_key_and_command_lines_hold_none(spied: Shop, tmp_path: Path) -> None:
    secrets = secrets_of(spied)
    environ = {**github(tmp_path / "ci"), **in_variables(spied), "METRICS_TOKEN": "another-word"}
    environ |= {"SOME_TOKEN": TOKEN, "GITHUB_TOKEN": TOKEN, "OTAGATE_GITLAB_TOKEN": TOKEN}
    environ |= {"PATH": spying_on_git(tmp_path / "git")}
    said = [installed(spied, tmp_path / "temp", *argv, **environ) for argv in (("run",), ("gate", "eval"), ("init", "--force"))]
    assert [one.code for one in said] == [0, 6, 2], said
    seen = sorted(path.name.split("-")[0] for path in (tmp_path / "seen").iterdir())
    assert seen.count("env") >= 3, "the build and the metrics were to leave what they saw"
    assert seen.count("cmdline") >= 3
    assert list((tmp_path / "git").glob("git-env-*")), "git was not asked"
    assert hits(secrets, said, tmp_path) == []
    assert list((tmp_path / "temp").iterdir()) == [], "temporary files stay"


def test_a_build_does_not_get_a_key_under_another_name(spied: Shop, tmp_path: Path) -> None:
    secrets = secrets_of(spied)
    spied.edit("otagate.yml", "file:.otagate/keys/signing.pem", "env:MY_SIGNING")
    pem = spied.path(".otagate/keys/signing.pem").read_text()
    environ = {"MY_SIGNING": pem, "KEY_COPY": pem}
    said = installed(spied, tmp_path / "temp", "build", **environ)
    assert said.code == 0, said.err
    assert hits(secrets, [said], tmp_path) == []
    assert "MY_SIGNING" not in said.err
    assert "PATH=" in said.err, "the build was to print its environment"


def test_a_build_may_not_ask_for_otagate_s_keys(spied: Shop, tmp_path: Path) -> None:
    secrets = secrets_of(spied)
    environ = in_variables(spied)
    spied.edit("otagate.yml", "env: [KEY_COPY, MY_SIGNING]", "env: [OTAGATE_SIGNING_KEY]")
    said = installed(spied, tmp_path / "temp", "build", **environ)
    assert said.code == 2
    assert "OTAGATE_SIGNING_KEY" in said.err
    assert hits(secrets, [said], tmp_path) == []


def test_a_failing_build_that_prints_its_environment_shows_no_key(spied: Shop, tmp_path: Path) -> None:
    secrets = secrets_of(spied)
    environ = {**github(tmp_path / "ci"), **in_variables(spied), "SOME_TOKEN": TOKEN}
    spied.edit("otagate.yml", 'command: "env;', 'command: "env >&2; exit 9;')
    formats = ("text", "json", "markdown")
    said = [installed(spied, tmp_path / "temp", "run", "--format", name, **environ) for name in formats]
    assert {one.code for one in said} == {2}
    assert hits(secrets, said, tmp_path) == []


@pytest.mark.parametrize("how", [signal.SIGTERM, signal.SIGINT, signal.SIGKILL], ids=lambda how: how.name)
def test_a_killed_run_leaves_no_key_behind(how: signal.Signals, spied: Shop, tmp_path: Path) -> None:
    secrets = secrets_of(spied)
    spied.edit("otagate.yml", 'command: "env;', 'command: "echo $$ > started; sleep 200;')
    temp = tmp_path / "temp"
    temp.mkdir()
    environ = {**spied.environ, **github(tmp_path / "ci"), **in_variables(spied), "TMPDIR": str(temp), "SOME_TOKEN": TOKEN}
    with subprocess.Popen(
        [OTAGATE, "run"], cwd=spied.folder, env=environ, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True
    ) as process:
        deadline = time.monotonic() + 90
        while (
            not (spied.path("started").exists() and spied.path("started").read_text().strip()) and time.monotonic() < deadline
        ):
            time.sleep(0.02)
        process.send_signal(how)
        if how is signal.SIGKILL:
            process.wait(90)
            os.killpg(int(spied.path("started").read_text()), how)  # who is killed so cannot end its build
        out, err = process.communicate(timeout=90)
    said = Said(process.returncode, out, err)
    if how is not signal.SIGKILL:
        assert said.code == 130
        assert list(temp.iterdir()) == [], "temporary files stay"
    assert hits(secrets, [said], tmp_path) == []


def test_a_metric_command_s_own_credential_does_not_come_back(spied: Shop, tmp_path: Path) -> None:
    secrets = secrets_of(spied)
    environ = {**github(tmp_path / "ci"), "METRICS_TOKEN": TOKEN}
    spied.path("loud.py").write_text(
        textwrap.dedent("""\
            import os, sys
            print("cannot log in with", os.environ["METRICS_TOKEN"], file=sys.stderr)
            sys.exit(1)
        """)
    )
    said = [installed(spied, tmp_path / "temp", *argv, **environ) for argv in (("run",), ("gate", "eval"), ("history",))]
    assert [one.code for one in said] == [0, 6, 0], said
    assert "cannot log in with" in said[1].out + said[1].err
    assert hits(secrets, said, tmp_path) == []


# --- what servers say -------------------------------------------------------------------------------------------------------

ANSWERS: dict[str, tuple[int, str, str]] = {
    "error": (500, "text/plain", "{}"),
    "refused": (401, "application/json", '{{"error": "{}"}}'),
    "page": (200, "text/html", "<html>{}</html>"),
    "text": (200, "application/json", "{}"),
    "count-is-text": (200, "application/json", '{{"bad": "{}", "total": 5}}'),
    "total-is-text": (200, "application/json", '{{"bad": 1, "total": "{}"}}'),
    "key": (200, "application/json", '{{"{}": 1}}'),
    "newest": (200, "application/json", '{{"bad": 1, "total": 5, "newest_at": "{}"}}'),
    "redirect": (302, "text/plain", "{}"),
    "twice-the-key": (200, "application/json", '{{"{0}": 1, "{0}": 2}}'),
}


@pytest.mark.parametrize("answer", ANSWERS)
def test_a_server_that_repeats_the_credential_does_not_get_it_printed(answer: str, tmp_path: Path) -> None:
    status, kind, body = ANSWERS[answer]
    asked: list[str] = []

    def respond(request: object, _: bytes) -> None:
        asked.append(request.headers["Authorization"])  # type: ignore[attr-defined]
        said_back = body.format(request.headers["Authorization"])  # type: ignore[attr-defined]
        headers = {"Content_Type": kind, "Retry_After": "0", "Location": f"/{TOKEN}"}
        send(request, said_back.encode(), status=status, **headers)  # type: ignore[arg-type]

    shop = open_shop(tmp_path / "shop")
    secrets = secrets_of(shop)
    with serving(respond) as url:
        source = {"url": f"{url}/{{metric}}", "bad": "bad", "total": "total", "newest_at": "newest_at"}
        source["headers"] = {"Authorization": "env:METRICS_AUTHORIZATION"}  # type: ignore[assignment]
        shop.edit("otagate.yml", "metrics: {file: metrics.json}", f"metrics: {{http: {json.dumps(source)}}}")
        second_release(shop)
        environ = {**github(tmp_path / "ci"), "METRICS_AUTHORIZATION": f"Bearer {TOKEN}"}
        verbs = (("run",), ("gate", "eval", "--format", "json"), ("history", "--format", "json"))
        said = [shop.run(*argv, **environ) for argv in verbs]
    assert [one.code for one in said] == [0, 6, 0], said
    assert asked[0] == f"Bearer {TOKEN}"
    assert hits(secrets, said, tmp_path) == []
