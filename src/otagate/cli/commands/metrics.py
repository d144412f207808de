"""``otagate metrics get``: what telemetry counted, by release. Reads; changes nothing."""

from __future__ import annotations

import argparse
import re
from datetime import timedelta

from otagate._text import harmless
from otagate.cli.commands._open import channel_of, open_workspace
from otagate.cli.output import CommandEnv, Result
from otagate.errors import UsageError
from otagate.model import Version

HELP = "counts of devices by release: installs, failures, crashes, adoption"
_PLATFORMS = ("android", "electron", "ios")
_PLUGIN = re.compile(r"(?:0|[1-9][0-9]{0,8})(?:\.(?:0|[1-9][0-9]{0,8})){2}", re.ASCII)


def configure(parser: argparse.ArgumentParser) -> None:
    """Add the sub-verb and its arguments."""
    verbs = parser.add_subparsers(dest="action", required=True, metavar="get")
    verb = verbs.add_parser("get", help="show them")
    verb.add_argument(
        "--last", metavar="D", default="24h", help="devices first seen with the release in this time (default: 24h)"
    )
    verb.add_argument("--channel", metavar="NAME", help="only devices that followed this channel (default: all)")
    verb.add_argument("--release", metavar="VERSION", help="only this release (default: the newest 20)")
    verb.add_argument("--platform", choices=_PLATFORMS, help="only this platform (default: all)")
    verb.add_argument("--plugin", metavar="VERSION", help="only this version of the plugin, such as 8.1.0 (default: all)")
    verb.add_argument("--test-devices", action="store_true", help="emulators and development builds instead of real devices")


def run(args: argparse.Namespace, env: CommandEnv) -> Result:
    """Count.

    Raises:
        UsageError: An argument is wrong, or the policy has no `telemetry`.
        AccessError, UnavailableError: Telemetry does not answer.
    """
    # Only a verb that counts pays for what counting needs.
    from otagate.cli.render.metrics import metrics_data, metrics_view  # noqa: PLC0415 - see above
    from otagate.flow.counting import Wanted, gather  # noqa: PLC0415 - see above

    wanted = Wanted(
        last=_last(args.last),
        channel=channel_of(args),
        release=Version(args.release) if args.release else None,
        platform=args.platform,
        plugin=_plugin(args.plugin),
        test=args.test_devices,
    )
    workspace = open_workspace(args, env)
    report = gather(workspace, wanted)
    app = str(workspace.policy.app)
    return Result("otagate/metrics/v1", metrics_data(app, wanted, report), metrics_view(app, wanted, report))


def _last(text: str) -> timedelta:
    from otagate.policy import values  # noqa: PLC0415 - see run

    try:
        return values.span(text)
    except ValueError as error:
        raise UsageError(
            "--last is no length of time", "--last", expected=str(error), found=f"'{harmless(text, 80)}'"
        ) from error


def _plugin(text: str | None) -> str | None:
    if text is not None and not _PLUGIN.fullmatch(text):
        raise UsageError(
            "this is no version of the plugin",
            "--plugin",
            expected="three numbers such as 8.1.0",
            found=f"'{harmless(text, 80)}'",
        )
    return text
