"""``otagate fleet run``: virtual devices against a real server."""

from __future__ import annotations

import argparse
import ssl
import time
from collections.abc import Iterable
from contextlib import closing
from pathlib import Path
from typing import TYPE_CHECKING, Any
from urllib.parse import urlsplit

from otagate._fs import translate
from otagate._text import harmless
from otagate.cli.commands._material import base_of, policy_if_any
from otagate.cli.commands._open import open_policy
from otagate.cli.output import CommandEnv, Result
from otagate.errors import KeyMaterialError, UnavailableError, UsageError
from otagate.policy.model.bundles import SealFormat
from otagate.policy.values import percent, span

if TYPE_CHECKING:
    from otagate.fleet.config import FleetConfig
    from otagate.fleet.run import Fleet

HELP = "let virtual devices ask a server for updates, install them and report"
_MAX_KEY_BYTES = 16 * 1024
_MAX_DEVICES = 1_000_000
_ARRIVALS = ("uniform", "daily", "burst")
_FAULTS = {"boot-failure": "boot", "crash": "crash", "js-error": "error", "corrupt": "integrity"}
_MODES = ("atBackground", "always", "onlyDownload")


def configure(parser: argparse.ArgumentParser) -> None:
    """Add the sub-verb and its arguments."""
    verbs = parser.add_subparsers(dest="action", required=True, metavar="run")
    verb = verbs.add_parser("run", help="run virtual devices against a server")
    verb.add_argument("--against", metavar="URL", required=True, help="the server's address, without /updates")
    verb.add_argument("--devices", metavar="N", type=int, default=100, help="how many (default: 100)")
    verb.add_argument("--app", metavar="ID", help="app id (default: the policy's)")
    text = "the public key that is built into the app, PEM (default: that of the policy's key, when it is at hand)"
    verb.add_argument("--public-key", metavar="FILE", help=text)
    verb.add_argument("--native", metavar="VERSION", default="0.0.1", help="native version of the app (default: 0.0.1)")
    verb.add_argument(
        "--generation",
        metavar="VERSION[=WEIGHT]",
        action="append",
        help="version of the plugin; repeat for a mix (default: 8.51.23)",
    )
    verb.add_argument("--platform", metavar="NAME[=WEIGHT]", action="append", help="android, ios, electron; repeat for a mix")
    verb.add_argument("--channel", metavar="NAME", default="", help="defaultChannel of the app's configuration")
    verb.add_argument("--choose", metavar="NAME=P", action="append", help="so many devices choose this channel by themselves")
    verb.add_argument("--leave", metavar="P", default="0%", help="of them, so many take it back, each time the app is opened")
    verb.add_argument("--auto-update", choices=_MODES, default=_MODES[0], help="when bundles are set (default: atBackground)")
    _configure_faults(verb)
    verb.add_argument("--arrival", choices=_ARRIVALS, default="uniform", help="when apps are opened (default: uniform)")
    verb.add_argument("--sessions", metavar="N", type=float, default=4.0, help="sessions of a device a day (default: 4)")
    verb.add_argument("--duration", metavar="D", default="10m", help="how long, by this machine's clock (default: 10m)")
    verb.add_argument("--speed", metavar="Nx", default="60x", help="how fast the devices' time passes (default: 60x)")
    verb.add_argument("--seed", metavar="N", type=int, default=1, help="of all chance (default: 1)")
    verb.add_argument("--threads", metavar="N", type=int, default=32, help="devices served at once (default: 32)")
    verb.add_argument("--ca", metavar="FILE", help="certificates to trust besides the system's, PEM")


def _configure_faults(verb: argparse.ArgumentParser) -> None:
    for name, text in (
        ("boot-failure", "devices on which a release never says that it is ready"),
        ("crash", "sessions that end in a crash"),
        ("js-error", "sessions with a JavaScript error"),
        ("corrupt", "downloads that arrive with other bytes"),
    ):
        told = f"share of {text}, such as 3%% or, for one release, 1.4.2=3%%; may be repeated"
        verb.add_argument(f"--{name}", metavar="[VERSION=]P", action="append", help=told)
    verb.add_argument("--loss", metavar="P", default="0%", help="share of requests that are lost, or whose answer is")


def run(args: argparse.Namespace, env: CommandEnv) -> Result:
    """Run the fleet and say what happened.

    Raises:
        UsageError: The arguments cannot be.
        UnavailableError: The server never answered.
    """
    from otagate.fleet.http_transport import HttpTransport  # noqa: PLC0415 - only this verb pays for it
    from otagate.fleet.live import run_live  # noqa: PLC0415 - likewise
    from otagate.fleet.run import Fleet  # noqa: PLC0415 - likewise

    config = _config(args, env)
    length, speed = _seconds("--duration", args.duration), _speed(args.speed)
    threads = _within("--threads", args.threads, 1, 1024)
    label = f"{config.size} devices"

    def on_progress(part: float) -> None:
        env.progress(label, round(part * 1000), 1000)

    with closing(HttpTransport(connections=threads, verify=_trust(args.ca, env.cwd))) as transport:
        # The server's clock is the machine's, however fast the devices' runs.
        fleet, began = Fleet(config, transport, args.seed, start=time.time(), stamp=lambda _at: time.time()), time.monotonic()
        try:
            run_live(fleet, duration_s=length, speed=speed, threads=threads, on_progress=on_progress)
        except KeyboardInterrupt:
            # Whoever has seen enough wants the table all the same.
            length = time.monotonic() - began
            env.warn(f"interrupted after {length:.0f}s; what happened until then:")
        fleet.settle()
    if fleet.traffic.requests and not any(status for _what, status in fleet.traffic.answers):
        remedy = "see whether the server runs and the address is right"
        raise UnavailableError("the server did not answer once", harmless(args.against, 200), remedy=remedy)
    return _result(fleet, length, speed)


def _config(args: argparse.Namespace, env: CommandEnv) -> FleetConfig:
    from otagate.fleet.config import Arrival, AutoUpdate, Faults, FleetConfig  # noqa: PLC0415 - only this verb pays for it

    shares = {name: _faults(f"--{option}", getattr(args, option.replace("-", "_"))) for option, name in _FAULTS.items()}
    versions = {version for found in shares.values() for version in found if version}

    def faults_of(version: str) -> Faults:
        given: dict[str, Any] = {name: found.get(version, found.get("", 0.0)) for name, found in shares.items()}
        return Faults(**given)

    chooses = {name: _share("--choose", value) for name, value in _pairs("--choose", args.choose or ())}
    return FleetConfig(
        app=args.app or open_policy(args, env).app.value,
        base=_base(args.against),
        size=_within("--devices", args.devices, 1, _MAX_DEVICES),
        public_key=_key(env.cwd / args.public_key) if args.public_key else _own_key(args, env),
        generations=_mix("--generation", args.generation or ["8.51.23"]),
        platforms=_mix("--platform", args.platform or ["android=6", "ios=4"]),
        native=args.native,
        channel=args.channel,
        chooses=chooses,
        leaves=_share("--leave", args.leave),
        arrival=Arrival(args.arrival),
        auto_update=AutoUpdate(args.auto_update),
        sessions_per_day=args.sessions,
        loss=_share("--loss", args.loss),
        faults={version: faults_of(version) for version in versions},
        other_faults=faults_of(""),
        keep_answers=False,
    ).checked()


def _result(fleet: Fleet, length: float, speed: float) -> Result:
    from otagate.cli.render.fleet import fleet_data, fleet_view  # noqa: PLC0415 - only this verb pays for it

    data: dict[str, Any] = fleet_data(fleet, length, speed)
    return Result("otagate/fleet/v1", data, fleet_view(data))


def _base(text: str) -> str:
    try:
        parts = urlsplit(text)
        is_fine = parts.scheme in {"http", "https"} and bool(parts.hostname) and not (parts.query or parts.fragment)
        has_secret = parts.password is not None or parts.username is not None
    except ValueError:
        is_fine = has_secret = False
    if not is_fine or has_secret:
        found = None if has_secret else repr(harmless(text, 200))
        raise UsageError("this is no server's address", "--against", expected="such as http://127.0.0.1:8080", found=found)
    return text.rstrip("/").removesuffix("/updates")


def _share(option: str, text: str) -> float:
    try:
        return float(percent(text))
    except ValueError as error:
        raise UsageError("this is no share", option, expected=str(error), found=repr(harmless(text, 40))) from error


def _faults(option: str, entries: Iterable[str] | None) -> dict[str, float]:
    """Read shares by version; ``""`` is every other."""
    found = {}
    for entry in entries or ():
        version, sign, value = entry.rpartition("=")
        if sign and not version:
            raise UsageError("this names no release", option, expected="3% or VERSION=3%", found=repr(harmless(entry, 60)))
        found[version] = _share(option, value)
    return found


def _seconds(option: str, text: str) -> float:
    try:
        return span(text).total_seconds()
    except ValueError as error:
        raise UsageError("this is not a length of time", option, expected=str(error), found=repr(harmless(text, 40))) from error


def _speed(text: str) -> float:
    try:
        factor = float(text.removesuffix("x"))
    except ValueError:
        factor = 0.0
    if not 0 < factor <= 100_000:  # noqa: PLR2004 - a year in five minutes
        raise UsageError("this is no speed", "--speed", expected="such as 1x or 60x", found=repr(harmless(text, 40)))
    return factor


def _mix(option: str, entries: Iterable[str]) -> dict[str, float]:
    mix: dict[str, float] = {}
    for entry in entries:
        name, _sign, weight = entry.partition("=")
        try:
            mix[name] = float(weight or "1")
        except ValueError as error:
            found = repr(harmless(entry, 60))
            raise UsageError("this is no part of a mix", option, expected="NAME or NAME=WEIGHT", found=found) from error
    return mix


def _pairs(option: str, entries: Iterable[str]) -> list[tuple[str, str]]:
    pairs = []
    for entry in entries:
        name, sign, value = entry.partition("=")
        if not name or not sign:
            raise UsageError("this names no share", option, expected="NAME=5%", found=repr(harmless(entry, 60)))
        pairs.append((name, value))
    return pairs


def _within(option: str, value: int, least: int, most: int) -> int:
    if not least <= value <= most:
        raise UsageError("this number cannot be", option, expected=f"{least} to {most}", found=str(value))
    return value


def _key(path: Path) -> str:
    try:
        with path.open("rb") as stream:
            body = stream.read(_MAX_KEY_BYTES)
    except OSError as error:
        raise translate(error, "cannot read the public key", path) from error
    return body.decode("utf-8", "replace")


def _own_key(args: argparse.Namespace, env: CommandEnv) -> str | None:
    """Give the public key of the policy's app, when the policy is of that app and its key is at hand."""
    policy = policy_if_any(args, env)
    reference = policy.seal.encryption_key if policy is not None and policy.seal.format is SealFormat.CAPGO else None
    if policy is None or reference is None or args.app not in {None, policy.app.value}:
        return None
    from otagate.cli.commands.keys import device_key  # noqa: PLC0415 - only without --public-key

    try:
        return device_key(reference, env, base_of(policy, env))["public"]
    except KeyMaterialError as error:
        env.warn(f"devices cannot open sealed bundles: {error.what}: {error.subject}; give --public-key")
        return None


def _trust(name: str | None, cwd: Path) -> ssl.SSLContext | bool:
    if name is None:
        return True
    path = cwd / name
    try:
        trust = ssl.create_default_context()
        trust.load_verify_locations(cafile=str(path))
    except ssl.SSLError as error:
        subject = harmless(str(path), 400)
        raise UsageError("this is no certificate", subject, expected="certificates in PEM") from error
    except OSError as error:
        raise translate(error, "cannot read the certificates", path) from error
    return trust
