"""``otagate serve``: the update server that phones ask."""

from __future__ import annotations

import argparse
import re
from contextlib import nullcontext
from datetime import timedelta
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING
from urllib.parse import urlsplit

from otagate._text import harmless
from otagate.cli.commands._database import add_database, database_of
from otagate.cli.output import CommandEnv, Result
from otagate.cli.render.blocks import Line
from otagate.errors import UsageError
from otagate.policy.find import find_policy
from otagate.policy.load import load_policy
from otagate.policy.values import duration

if TYPE_CHECKING:
    from otagate.flow.serve import ServeOptions
    from otagate.server.transport.options import RunOptions

HELP = "answer phones: which release, from the channels; take in what they tell"
_HOST = re.compile(r"[A-Za-z0-9.-]+|\[[0-9A-Fa-f:.]+\]", re.ASCII)


def configure(parser: argparse.ArgumentParser) -> None:
    """Add the verb's own options."""
    parser.add_argument("--host", default="127.0.0.1", metavar="ADDRESS", help="listen here (default: 127.0.0.1; all: 0.0.0.0)")
    parser.add_argument(
        "--port", type=int, default=8000, metavar="N", help="listen on this port; 0: a free one (default: 8000)"
    )
    parser.add_argument("--workers", type=int, default=1, metavar="N", help="processes (default: 1)")
    parser.add_argument(
        "--also", action="append", default=[], metavar="FILE", help="serve the app of this policy, too; may be repeated"
    )
    _configure_data(parser)
    _configure_front(parser)
    _configure_limits(parser)


def _configure_data(parser: argparse.ArgumentParser) -> None:
    group = parser.add_argument_group("data")
    add_database(group)
    group.add_argument("--secret", metavar="REF", help="env:NAME or file:PATH with the secret that device ids are hashed with")
    group.add_argument(
        "--keep", default="90d", metavar="D", help="forget devices and counts after so long; 0: never (default: 90d)"
    )
    group.add_argument("--poll", default="2s", metavar="D", help="read the channels every so often (default: 2s)")
    group.add_argument("--max-stale", default="1h", metavar="D", help="serve so long without reaching the store (default: 1h)")


def _configure_front(parser: argparse.ArgumentParser) -> None:
    group = parser.add_argument_group("towards phones")
    group.add_argument("--public-url", metavar="URL", help="how phones reach this server (default: as each request says)")
    group.add_argument(
        "--downloads",
        choices=("auto", "own", "public", "signed"),
        default="auto",
        help="where phones fetch bundles: here, or at the store's public or signed addresses (default: auto)",
    )
    group.add_argument("--tls-cert", metavar="FILE", help="serve https with this certificate chain (PEM)")
    group.add_argument("--tls-key", metavar="FILE", help="the certificate's key (PEM)")
    group.add_argument(
        "--trusted-proxy",
        action="append",
        default=[],
        metavar="CIDR",
        help="believe X-Forwarded-For of this proxy; may be repeated",
    )
    group.add_argument("--metrics-public", action="store_true", help="/metrics needs no token")
    group.add_argument("--log-format", choices=("text", "json"), default="text", help="how stderr is written (default: text)")
    group.add_argument("--ready-file", metavar="FILE", help="write port and processes here, as JSON, when all workers answer")


def _configure_limits(parser: argparse.ArgumentParser) -> None:
    group = parser.add_argument_group("limits of each worker")
    group.add_argument(
        "--rate-address",
        default="50:200",
        metavar="RATE",
        help="update checks of one address: a second, and at once (default: 50:200; 0: no limit); other routes follow from it",
    )
    group.add_argument(
        "--rate-app", default="0", metavar="RATE", help="requests of one app of each kind (default: 0, no limit)"
    )
    group.add_argument("--max-connections", type=int, default=4096, metavar="N", help="open connections (default: 4096)")
    group.add_argument(
        "--max-connections-per-address", type=int, default=512, metavar="N", help="of one address (default: 512)"
    )
    group.add_argument("--in-flight", type=int, default=512, metavar="N", help="requests being answered (default: 512)")
    group.add_argument(
        "--drain", default="10s", metavar="D", help="time to end what was begun, when told to stop (default: 10s)"
    )


def run(args: argparse.Namespace, env: CommandEnv) -> Result:
    """Serve until told to stop.

    Raises:
        UsageError: An option cannot be, or the extra is not installed.
        OtagateError: What it is to serve cannot be opened.
    """
    from otagate.server.transport.runner import check_installed, serve  # noqa: PLC0415 - only this verb needs it

    check_installed()
    from otagate.flow.serve import make_app  # noqa: PLC0415 - needs the extra
    from otagate.server.http.prometheus import shared_folder  # noqa: PLC0415 - likewise

    how = _run_options(args, env)
    what = _serve_options(args, env)
    # Workers count into one folder, which must be there before any of them begins.
    with shared_folder() if how.workers > 1 else nullcontext():
        serve(how, partial(make_app, what, dict(env.environ)))
    return Result("otagate/serve/v1", {"stopped": True}, [Line("stopped; everything that was acknowledged is kept")])


def _serve_options(args: argparse.Namespace, env: CommandEnv) -> ServeOptions:
    from otagate.flow.serve import ServeOptions, check_policies  # noqa: PLC0415 - needs the extra
    from otagate.server.http.options import HttpOptions  # noqa: PLC0415
    from otagate.server.http.rates import Limits, Rate  # noqa: PLC0415

    files = (env.cwd / args.policy if args.policy else find_policy(env.cwd), *(env.cwd / one for one in args.also))
    policies = [load_policy(file) for file in files]
    check_policies(policies)
    for policy in policies:
        for warning in policy.warnings:
            env.warn(warning)
    database, base = database_of(args, env)
    stale = _span("--max-stale", args.max_stale)
    limits = Limits.of(Rate.parse(args.rate_address), Rate.parse(args.rate_app))
    return ServeOptions(
        policies=files,
        database=database,
        base=base,
        secret=args.secret,
        poll=_span("--poll", args.poll),
        max_stale=stale,
        base_url=None if args.public_url is None else _checked_url(args.public_url),
        downloads=args.downloads,
        keep=None if args.keep == "0" else _span("--keep", args.keep),
        metrics_public=args.metrics_public,
        http=HttpOptions.within(args.in_flight, limits=limits, stale_s=min(60.0, stale.total_seconds())),
    )


def _run_options(args: argparse.Namespace, env: CommandEnv) -> RunOptions:
    from otagate.server.transport.options import RunOptions  # noqa: PLC0415 - only this verb needs it

    return RunOptions(
        host=args.host,
        port=args.port,
        workers=args.workers,
        tls_cert=_path(args.tls_cert, env),
        tls_key=_path(args.tls_key, env),
        trusted_proxies=tuple(args.trusted_proxy),
        max_connections=args.max_connections,
        max_connections_per_address=args.max_connections_per_address,
        in_flight=args.in_flight,
        drain_s=_span("--drain", args.drain).total_seconds(),
        ready_file=_path(args.ready_file, env),
        log_format=args.log_format,
    )


def _path(text: str | None, env: CommandEnv) -> Path | None:
    return None if text is None else env.cwd / text


def _span(option: str, text: str) -> timedelta:
    try:
        found = duration(text)
    except ValueError as error:
        raise UsageError(
            "this is not a duration", option, expected="such as 2s, 10m, 24h or 90d", found=harmless(text, 40)
        ) from error
    if not found:
        raise UsageError("this must take some time", option, expected="such as 2s, 10m, 24h or 90d", found=harmless(text, 40))
    return found


def _checked_url(text: str) -> str:
    try:
        parts = urlsplit(text)
        is_plain = not (parts.query or parts.fragment or "@" in parts.netloc)
        is_good = (
            is_plain
            and parts.scheme in {"http", "https"}
            and bool(_HOST.fullmatch(parts.hostname or ""))
            and (parts.port or 1) > 0
        )
    except ValueError:
        is_good = False
    if not is_good:
        raise UsageError(
            "this is not the address of a server",
            "--public-url",
            expected="https://HOST[:PORT][/PATH]",
            found=harmless(text, 200),
        )
    return text.rstrip("/")
