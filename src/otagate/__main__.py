"""``python -m otagate`` and the console script. ``--version`` answers without loading anything else."""

from __future__ import annotations

import os
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
    try:
        # Past the buffer: what it did not get rid of would be tried again when the process ends.
        return sys.stdout is not None and os.write(sys.stdout.fileno(), f"otagate {__version__}\n".encode()) > 0
    except OSError:
        return False


if __name__ == "__main__":
    main()
