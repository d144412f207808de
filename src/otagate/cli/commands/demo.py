"""``otagate demo``: a good and a bad release of a small app, with a real server and virtual phones."""

from __future__ import annotations

import argparse
import importlib.util
import shlex
from contextlib import ExitStack
from dataclasses import asdict
from pathlib import Path
from typing import TYPE_CHECKING

from otagate._fs import scratch_folder, translate
from otagate._text import harmless
from otagate.cli.output import CommandEnv, Result
from otagate.cli.render.blocks import Block, Code, Heading, Line, Table, Tone
from otagate.errors import ExitCode, UsageError

if TYPE_CHECKING:
    from otagate.flow.demo.play import Act

HELP = "watch a good and a bad release on a small app, with a real server and virtual phones"
_NEEDED = ("sqlalchemy", "uvicorn", "brotli")
_FEWEST, _MOST = 40, 500


def configure(parser: argparse.ArgumentParser) -> None:
    """Add the verb's own arguments."""
    parser.add_argument("--keep", metavar="DIR", help="do it in this folder, new or empty, and leave everything there")
    parser.add_argument("--devices", metavar="N", type=int, default=60, help="how many phones, 40 to 500 (default: 60)")
    parser.add_argument("--seed", metavar="N", type=int, default=1, help="of all chance (default: 1)")


def run(args: argparse.Namespace, env: CommandEnv) -> Result:
    """Play it.

    Raises:
        UsageError: The extras are not installed, or the arguments cannot be.
        OtagateError: It cannot be played here.
    """
    for module in _NEEDED:
        if importlib.util.find_spec(module) is None:
            remedy = "pip install 'otagate[server,fleet]'"
            raise UsageError("a part of otagate is not installed", module, remedy=remedy)
    if not _FEWEST <= args.devices <= _MOST:
        expected = f"{_FEWEST} to {_MOST}"
        raise UsageError("this number cannot be", "--devices", expected=expected, found=str(args.devices))
    from otagate.flow.demo.play import play  # noqa: PLC0415 - only this verb pays for it

    with ExitStack() as stack:
        folder = _kept(env.cwd / args.keep) if args.keep else stack.enter_context(scratch_folder()) / "demo"
        folder.mkdir(exist_ok=True)
        good, bad = play(folder, env.environ, devices=args.devices, seed=args.seed, note=env.note)
    is_right = (good.stage, bad.stage) == ("completed", "rolled_back")
    data = {"releases": [asdict(good), asdict(bad)], "folder": str(folder) if args.keep else None, "as_meant": is_right}
    code = ExitCode.DONE if is_right else ExitCode.GATE_FAILED
    return Result("otagate/demo/v1", data, _view(good, bad, folder if args.keep else None, is_right=is_right), code)


def _kept(folder: Path) -> Path:
    try:
        folder.mkdir(parents=True, exist_ok=True)
        is_empty = not any(folder.iterdir())
    except OSError as error:
        raise translate(error, "the demo's folder cannot be used", folder) from error
    if not is_empty:
        raise UsageError("the demo needs a folder of its own", harmless(str(folder), 400), expected="a new or empty folder")
    return folder


def _view(good: Act, bad: Act, folder: Path | None, *, is_right: bool) -> list[Block]:
    rows = tuple(
        (act.version, act.stage, f"{act.seconds:.0f}s", str(act.exposed), str(act.failed), str(act.running))
        for act in (good, bad)
    )
    blocks: list[Block] = [
        Heading("two releases, one policy"),
        Table(("release", "its rollout", "after", "phones ran it", "did not start", "have it now"), rows),
        Line(f"{bad.version}: {bad.outcome}", Tone.BAD if is_right else Tone.WARN),
    ]
    if not is_right:
        blocks.append(Line("this is not how it was meant to end; try again when the machine is less busy", Tone.WARN))
    if folder is None:
        return [*blocks, Line("To look at everything that happened: otagate demo --keep DIR, which leaves it all there.")]
    commands = (
        f"cd {shlex.quote(harmless(str(folder), 400))}",
        "otagate status                              # where channels and rollouts stand",
        "otagate history                             # every step, and why",
        "otagate rehearse --fault boot_crash=10%     # weeks of it, in seconds",
        "otagate serve                               # the server again, for phones or `otagate fleet run`",
    )
    return [*blocks, Line("Look at it:"), Code("\n".join(commands), "sh")]
