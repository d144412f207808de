"""Options that several verbs share, under the same names everywhere."""

from __future__ import annotations

import argparse
import re
from typing import NoReturn

from otagate._text import harmless, nearest
from otagate.errors import UsageError

FORMATS = ("text", "json", "markdown")
_SECRET = re.compile(
    r"-----BEGIN [A-Z ]*PRIVATE KEY|LS0tLS1CRUdJTiB(?:QUklWQVRF|SU0EgUFJJVkFUR)"  # the second is the first in base64
    r"|MIIE[a-zA-Z0-9+/]{2}IBA[AD]|MC4CAQAwBQYDK2VwBCIEI"  # the DER of private RSA-2048 and ed25519 keys in base64
    r"|\botg_[a-z2-7]{12}_[A-Za-z0-9_-]{43}"
    r"|\bAKIA[0-9A-Z]{16}\b|\bgh[pousr]_[A-Za-z0-9]{30,}|\bglpat-[A-Za-z0-9_-]{20,}"
)

# What argparse says, in all versions of Python that otagate runs on.
_UNKNOWN = re.compile(r"unrecognized arguments: (?:.* )?(?P<option>--[a-z-]+)")
_CHOICE = re.compile(r"invalid choice: '(?P<found>[^']*)' \(choose from (?P<known>.*)\)")
_NO_NUMBER = re.compile(r"argument (?P<option>\S+): invalid (?P<type>int|float) value: '(?P<found>.*)'", re.DOTALL)
_NUMBERS = {"int": "whole number", "float": "number"}


class Parser(argparse.ArgumentParser):
    """An argument parser that raises instead of ending the process, and never completes half a word."""

    def __init__(self, prog: str | None = None, description: str | None = None) -> None:
        super().__init__(prog=prog, description=description, allow_abbrev=False, add_help=False)
        self.add_argument("-h", "--help", action="store_true", help="show this help and do nothing")

    def error(self, message: str) -> NoReturn:
        """Raise the usage error that argparse found, with the word that was probably meant."""
        number = _NO_NUMBER.fullmatch(message)
        if number:
            message = f"{number['option']} takes a {_NUMBERS[number['type']]}, and '{harmless(number['found'], 80)}' is none"
        near = self._meant(message)
        raise UsageError(message, subject=self.prog, remedy=f"did you mean {near}?" if near else f"see `{self.prog} --help`")

    def _meant(self, message: str) -> str | None:
        unknown, choice = _UNKNOWN.search(message), _CHOICE.search(message)
        if choice:
            return nearest(choice["found"], [word.strip(" '") for word in choice["known"].split(",")])
        return nearest(unknown["option"], self._words()) if unknown else None

    def _words(self) -> list[str]:
        """Give the options of this parser and of its sub-verbs."""
        found = [word for action in self._actions for word in action.option_strings]
        for action in self._actions:
            if isinstance(action, argparse._SubParsersAction):  # noqa: SLF001 - argparse has no public way to find them
                found += [word for leaf in action.choices.values() for word in leaf._words()]  # noqa: SLF001 - our own class
        return found


def add_common(parser: argparse.ArgumentParser) -> None:
    """Add what every verb takes."""
    group = parser.add_argument_group("common options")
    group.add_argument("--policy", metavar="FILE", help="the policy file (default: otagate.yml here or in a folder above)")
    group.add_argument("--format", choices=FORMATS, default="text", help="how stdout is written (default: text)")
    group.add_argument("--quiet", action="store_true", help="no progress on stderr; warnings and errors stay")


def add_dry_run(parser: argparse.ArgumentParser) -> None:
    """Add ``--dry-run`` to a verb that changes something."""
    parser.add_argument("--dry-run", action="store_true", help="print the plan and touch nothing")


def add_detailed_exit(parser: argparse.ArgumentParser) -> None:
    """Add ``--detailed-exitcode`` to a verb that may end while something waits."""
    parser.add_argument(
        "--detailed-exitcode",
        action="store_true",
        help="end with 6 while a gate is undecided and with 9 while an approval is awaited, instead of 0",
    )


def refuse_secrets(argv: list[str]) -> None:
    """Refuse a command line with a secret in it: other users of the machine can read it.

    Raises:
        UsageError: An argument looks like a private key or an access token. The message does not repeat it.
    """
    for at, argument in enumerate(argv, 1):
        if _SECRET.search(argument):
            raise UsageError(
                f"argument {at} looks like a secret, and a command line is readable by others",
                expected="a reference such as env:NAME or file:PATH",
                remedy="name an environment variable or a file in the policy, and replace the secret: it may have leaked",
            )
