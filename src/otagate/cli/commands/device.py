"""``otagate device get|set|unset``: one device's channel, asked of the update server."""

from __future__ import annotations

import argparse
import re

from otagate._text import harmless
from otagate.cli.commands._server import Server, add_server, server_of
from otagate.cli.options import add_dry_run
from otagate.cli.output import CommandEnv, Result
from otagate.cli.render.blocks import Block, Facts, Heading, Line, Tone
from otagate.cli.render.plans import plan_data, plan_view
from otagate.errors import UsageError
from otagate.model import ChannelName
from otagate.plan.steps import Plan, Step, StepKind

HELP = "see a single device, and give it a channel of its own"
_ID = re.compile(r"[0-9A-Fa-f]{8}(?:-[0-9A-Fa-f]{4}){3}-[0-9A-Fa-f]{12}|key:[0-9a-f]{32}", re.ASCII)
_SHOWN = (
    ("channel", "override"),
    ("chosen_channel", "chosen by the device"),
    ("followed_channel", "follows"),
    ("version_name", "runs"),
    ("target", "is to run"),
    ("platform", "platform"),
    ("plugin_version", "plugin"),
    ("version_build", "native version"),
    ("is_test", "test device"),
    ("updated_at", "last seen"),
)


def configure(parser: argparse.ArgumentParser) -> None:
    """Add the sub-verbs."""
    verbs = parser.add_subparsers(dest="action", required=True, metavar="get|set|unset")
    get = verbs.add_parser(
        "get", help="show what the server knows of it", description="Show what the server knows of a device."
    )
    put = verbs.add_parser("set", help="give it a channel", description="Give a device a channel; it wins over every other.")
    unset = verbs.add_parser("unset", help="take that channel back", description="Take a device's channel back.")
    for leaf in (get, put, unset):
        leaf.add_argument("device", metavar="DEVICE_ID", help="the device's id, as the plugin's getDeviceId() gives it")
        add_server(leaf)
    put.add_argument("--channel", required=True, metavar="NAME", help="the channel")
    for leaf in (put, unset):
        add_dry_run(leaf)


def run(args: argparse.Namespace, env: CommandEnv) -> Result:
    """Ask the server.

    Raises:
        AccessError: The token does not allow it.
        NotFoundError: There is no such device or channel.
    """
    if not _ID.fullmatch(args.device):
        raise UsageError("this is not a device id", expected="a UUID, as the plugin's getDeviceId() gives it")
    if args.action == "get":
        return _get(server_of(args, env), args.device)
    channel = str(ChannelName(args.channel)) if args.action == "set" else None
    server = server_of(args, env)
    goal = f"give the device {args.device} the channel {channel}" if channel else f"take the channel of {args.device} back"
    if args.dry_run:
        plan = Plan(goal, (Step(StepKind.ADMIN, goal, detail=server.url),))
        return Result("otagate/plan/v1", plan_data(plan), plan_view(plan, dry_run=True))
    values = {"app_id": server.app, "device_id": args.device}
    if channel:
        server.call("POST", "/device", {**values, "channel": channel}, "set the device's channel")
    else:
        server.call("DELETE", "/device", values, "take the device's channel back")
    view: list[Block] = [Heading(f"done: {goal}"), Line("it holds from the device's next check on", Tone.DIM)]
    return Result("otagate/device-channel/v1", {"app": server.app, "device": args.device, "channel": channel}, view)


def _get(server: Server, device: str) -> Result:
    values = {"app_id": server.app, "device_id": device}
    found = server.call("GET", "/device", values, "read the device")
    pairs = tuple((label, _cell(name, found[name])) for name, label in _SHOWN if found.get(name) not in (None, ""))
    return Result("otagate/device/v1", {"device": found}, [Heading(f"device {device} of {server.app}"), Facts(pairs)])


def _cell(name: str, value: object) -> str:
    if isinstance(value, bool):
        return "yes" if value else "no"
    text = harmless(str(value), 120)
    return f"{text[:16].replace('T', ' ')} UTC" if name == "updated_at" else text
