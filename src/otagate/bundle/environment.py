"""Which environment variables a build command sees: a short list, so that keys never reach what a package's script can read."""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping

from otagate._text import harmless
from otagate.errors import BuildError

_PASSED = re.compile(
    r"PATH|HOME|USER|LOGNAME|LANG|LANGUAGE|LC_[A-Z_]+|TZ|TERM|TMPDIR|TMP|TEMP|CI|NODE_.+|XDG_.+|SOURCE_DATE_EPOCH"
    r"|SystemRoot|ComSpec|PATHEXT|USERPROFILE|APPDATA|LOCALAPPDATA|npm_config_.+",
    re.DOTALL,
)
_SECRET = re.compile(r"KEY|TOKEN|SECRET|PASSW|PASSPHRASE|CREDENTIAL|PRIVATE|AUTH|OTP$|^OTAGATE_|^CAPGO_", re.IGNORECASE)
_OWN_KEY = re.compile(r"OTAGATE_.*KEY.*", re.IGNORECASE | re.DOTALL)


def build_environment(environ: Mapping[str, str], extra: Iterable[str]) -> dict[str, str]:
    """Pick the variables that the build command may see.

    Args:
        environ: The environment to pick from.
        extra: ``build.env``: further names. ``*`` at the end matches a prefix, but never a name that looks like a secret:
            such a name must be given in full. otagate's own keys cannot be given at all.

    Raises:
        BuildError: ``extra`` names one of otagate's own keys.
    """
    exact = {name for name in extra if not name.endswith("*")}
    prefixes = tuple(name[:-1] for name in extra if name.endswith("*"))
    own = sorted(name for name in exact if _OWN_KEY.fullmatch(name))
    if own:
        raise BuildError(
            "a build command never sees the keys of otagate",
            "build.env in the policy",
            found=", ".join(harmless(name) for name in own),
            remedy="remove it from build.env; builds run the scripts of every package that they install",
        )
    return {name: value for name, value in environ.items() if _may_pass(name, exact, prefixes)}


def _may_pass(name: str, exact: set[str], prefixes: tuple[str, ...]) -> bool:
    if _OWN_KEY.fullmatch(name):
        return False
    if name in exact:
        return True
    if _SECRET.search(name):
        return False
    return _PASSED.fullmatch(name) is not None or (bool(prefixes) and name.startswith(prefixes))
