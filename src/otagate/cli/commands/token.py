"""``otagate token create|list|revoke|audit``: who may ask the update server for what. On the database, never over HTTP."""

from __future__ import annotations

import argparse
from datetime import datetime, timedelta
from typing import TYPE_CHECKING, Any

from otagate._clock import to_text
from otagate._text import harmless, span
from otagate.cli.commands._database import add_database, database_of
from otagate.cli.options import add_dry_run
from otagate.cli.output import CommandEnv, Result
from otagate.cli.render.blocks import Block, Code, Facts, Heading, Line, Table, Tone
from otagate.cli.render.plans import plan_data, plan_view
from otagate.errors import UsageError, VerificationError
from otagate.plan.steps import Plan, Step, StepKind
from otagate.policy.values import duration
from otagate.telemetry.tokens import DEFAULT_LIFE, LONGEST_LIFE, Limit, Scope, Token, Verb, checked_id, expiry

if TYPE_CHECKING:
    from otagate.telemetry.audit import AuditEntry, AuditReport
    from otagate.telemetry.token_store import TokenStore

HELP = "make, list and revoke tokens of the update server, and read its audit"
_USER_CHARS = 64


def configure(parser: argparse.ArgumentParser) -> None:
    """Add the sub-verbs."""
    verbs = parser.add_subparsers(dest="action", required=True, metavar="create|list|revoke|audit")
    create = verbs.add_parser("create", help="make a token and print it, once", description="Make a token and print it, once.")
    _configure_create(create)
    listing = verbs.add_parser("list", help="show all tokens, without their secrets", description="Show all tokens.")
    revoke = verbs.add_parser("revoke", help="take a token back, at once", description="Take a token back, at once.")
    revoke.add_argument("id", metavar="ID", help="the token's id, as `list` shows it")
    audit = verbs.add_parser("audit", help="show what tokens were used for", description="Show what tokens were used for.")
    audit.add_argument("--limit", type=int, default=50, metavar="N", help="only the newest N entries (default: 50)")
    audit.add_argument("--verify", action="store_true", help="check that no entry was changed or removed; otherwise end with 3")
    audit.add_argument("--head", metavar="HEAD", help="with --verify: a head that an earlier check printed must still be there")
    for leaf in (create, listing, revoke, audit):
        add_database(leaf)
    for leaf in (create, revoke):
        add_dry_run(leaf)


def _configure_create(create: argparse.ArgumentParser) -> None:
    create.add_argument("--name", required=True, metavar="TEXT", help="what it is for")
    text = "what it may do: metrics reads counts, device-read sees devices, device-write sets their channels; may be repeated"
    create.add_argument("--verb", action="append", required=True, choices=[str(verb) for verb in Verb], help=text)
    create.add_argument("--app", action="append", default=[], metavar="ID", help="an app that it is for; may be repeated")
    create.add_argument("--all-apps", action="store_true", help="it is for every app of the server")
    create.add_argument("--channel", action="append", default=[], metavar="NAME", help="a channel; may be repeated")
    create.add_argument("--all-channels", action="store_true", help="it is for every channel")
    text = f"how long it is valid, at most {LONGEST_LIFE.days}d (default: {span(DEFAULT_LIFE)})"
    create.add_argument("--expires", metavar="D", default=span(DEFAULT_LIFE), help=text)


def run(args: argparse.Namespace, env: CommandEnv) -> Result:
    """Carry out one sub-verb.

    Raises:
        NotFoundError: There is no such token, or no such database.
        VerificationError: ``audit --verify`` found that the audit was changed.
    """
    match args.action:
        case "create":
            return _create(args, env)
        case "list":
            return _list(args, env)
        case "revoke":
            return _revoke(args, env)
        case _:
            return _audit(args, env)


def _open(args: argparse.Namespace, env: CommandEnv, *, may_make: bool = False) -> TokenStore:
    from otagate.telemetry.token_access import open_tokens  # noqa: PLC0415 - a usage error needs no database library

    text, base = database_of(args, env)
    return open_tokens(text, env.environ, base, may_make=may_make)


def _create(args: argparse.Namespace, env: CommandEnv) -> Result:
    scope = Scope(
        args.name,
        _limit("app", args.app, is_all=args.all_apps),
        _limit("channel", args.channel, is_all=args.all_channels),
        frozenset(Verb(verb) for verb in args.verb),
    )
    life, now = _life(args.expires), env.clock.now()
    ends = expiry(now, life)
    if args.dry_run:
        return _plan(
            f"make the token {scope.name}", f"{', '.join(sorted(scope.verbs))}; apps: {scope.apps}; until {_day(ends)}"
        )
    store = _open(args, env, may_make=True)
    try:
        token, made = store.create(scope, life, actor=_actor(env), now=now)
    finally:
        store.close()
    env.note(
        f"token {token.id} ({scope.name}), valid until {_day(token.expires)}; it is shown this once: keep it where secrets are"
    )
    # The token itself is only in `token` and in what is printed, never in a view: a view may end up in a job's summary.
    view: list[Block] = [Heading(f"made the token {token.id}"), Facts(_facts(token))]
    return Result("otagate/token/v1", {"token": made.text, **_data(token, now)}, view, raw=f"{made.text}\n")


def _list(args: argparse.Namespace, env: CommandEnv) -> Result:
    store, now = _open(args, env), env.clock.now()
    try:
        tokens = store.all()
        store.audit.append("token.listed", _actor(env), {}, now)
    finally:
        store.close()
    rows = tuple((token.id, *(value for _, value in _facts(token)), token.state(now)) for token in tokens)
    headers = ("id", "name", "apps", "channels", "verbs", "expires", "last used", "state")
    view: list[Block] = [Heading("tokens of the update server")]
    view.append(Table(headers, rows) if rows else Line("there are none; `otagate token create` makes one"))
    return Result("otagate/tokens/v1", {"tokens": [_data(token, now) for token in tokens]}, view)


def _revoke(args: argparse.Namespace, env: CommandEnv) -> Result:
    identity = checked_id(args.id)
    if args.dry_run:
        return _plan(f"revoke the token {identity}", "it is refused from then on")
    store = _open(args, env)
    try:
        is_new = store.revoke(identity, actor=_actor(env), now=env.clock.now())
    finally:
        store.close()
    words = f"revoked the token {identity}" if is_new else f"the token {identity} was revoked before"
    return Result("otagate/token-revoked/v1", {"id": identity, "revoked": True, "changed": is_new}, [Heading(words)])


def _audit(args: argparse.Namespace, env: CommandEnv) -> Result:
    if args.limit < 1:
        raise UsageError("this is not a number of entries", "--limit", expected="1 or more", found=str(args.limit))
    if args.head and not args.verify:
        raise UsageError("--head says what to check", expected="--verify with it", remedy="add --verify")
    store = _open(args, env)
    try:
        report = store.audit.verify(args.head) if args.verify else None
        entries = store.audit.newest(args.limit)
        store.audit.append("audit.verified" if args.verify else "audit.read", _actor(env), {}, env.clock.now())
    finally:
        store.close()
    if report is not None and report.problems:
        raise VerificationError(
            "the audit was changed",
            details=report.problems[:20],
            found=f"{len(report.problems)} problems in {report.entries} entries",
            remedy="compare the database with a backup, and revoke the tokens of whoever could write to it",
        )
    return _audit_result(entries, report)


def _audit_result(entries: list[AuditEntry], report: AuditReport | None) -> Result:
    rows = tuple((str(one.seq), one.at[:19].replace("T", " "), one.actor, one.kind, _short(one)) for one in entries)
    view: list[Block] = [Heading("audit of the update server")]
    view.append(Table(("#", "when (UTC)", "who", "what", "details"), rows) if rows else Line("nothing has happened yet"))
    if report is not None:
        view.append(Line(f"the chain of {report.entries} entries is whole", Tone.GOOD))
        view += [Line("Keep its head elsewhere, and give it as --head next time:"), Code(report.head)] if report.head else []
    data = {
        "entries": [{"seq": one.seq, "at": one.at, "actor": one.actor, "kind": one.kind, "data": one.data} for one in entries],
        "chain": None if report is None else {"count": report.entries, "whole": True, "head": report.head},
    }
    return Result("otagate/audit/v1", data, view)


def _short(entry: AuditEntry) -> str:
    words = {name: ",".join(value) if isinstance(value, list) else value for name, value in entry.data.items()}
    return harmless(" ".join(f"{name}={value}" for name, value in sorted(words.items()) if value not in ("", None)), 120)


def _limit(name: str, names: list[str], *, is_all: bool) -> Limit:
    """Read a limit; that nothing is named does not mean everything."""
    if is_all and names:
        raise UsageError(f"--{name} and --all-{name}s exclude each other", remedy="leave out one of them")
    if not is_all and not names:
        raise UsageError(
            f"which {name}s is the token for?", expected=f"--{name}, or --all-{name}s", remedy="name as few as will do"
        )
    return Limit.all() if is_all else Limit.only(*names)


def _life(text: str) -> timedelta:
    try:
        return duration(text)
    except ValueError as error:
        raise UsageError("this is no length of time", "--expires", expected=str(error), found=repr(text[:80])) from error


def _actor(env: CommandEnv) -> str:
    user = env.environ.get("USER") or env.environ.get("LOGNAME") or "unknown"
    return f"command:{harmless(user, _USER_CHARS)}"


def _plan(goal: str, detail: str) -> Result:
    plan = Plan(goal, (Step(StepKind.ADMIN, goal, detail=detail),))
    return Result("otagate/plan/v1", plan_data(plan), plan_view(plan, dry_run=True))


def _data(token: Token, now: datetime) -> dict[str, Any]:
    return {
        "id": token.id,
        **token.scope.data,
        "created": to_text(token.created),
        "expires": to_text(token.expires),
        "last_used": to_text(token.last_used) if token.last_used else None,
        "revoked": to_text(token.revoked) if token.revoked else None,
        "state": token.state(now),
    }


def _facts(token: Token) -> tuple[tuple[str, str], ...]:
    scope = token.scope
    return (
        ("name", scope.name),
        ("apps", str(scope.apps)),
        ("channels", str(scope.channels)),
        ("verbs", ", ".join(sorted(scope.verbs))),
        ("expires", _day(token.expires)),
        ("last used", f"{token.last_used:%Y-%m-%d %H:00}" if token.last_used else "never"),
    )


def _day(instant: datetime) -> str:
    return f"{instant:%Y-%m-%d %H:%M} UTC"
