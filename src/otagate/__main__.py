"""``python -m otagate`` and the console script. ``--version`` answers without loading anything else."""

from __future__ import annotations

import sys

from otagate import __version__


def main() -> None:
    """Run the command line and end the process."""
    if sys.argv[1:] == ["--version"] and _version_said():
        return
    from otagate.cli.main import main as run  # noqa: PLC0415 - see the module's first line

    run()


def _version_said() -> bool:
    """Write the version; without a standard output that takes it, leave it to the command line to say so."""
    if sys.stdout is None:
        return False
    try:
        sys.stdout.write(f"otagate {__version__}\n")
        sys.stdout.flush()
    except OSError:
        return False
    return True


if __name__ == "__main__":
    main()
