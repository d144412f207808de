"""``python -m otagate`` and the console script. ``--version`` answers without loading anything else."""

from __future__ import annotations

import sys

from otagate import __version__


def main() -> None:
    """Run the command line and end the process."""
    if sys.argv[1:] == ["--version"]:
        sys.stdout.write(f"otagate {__version__}\n")
        return
    from otagate.cli.main import main as run  # noqa: PLC0415 - see the module's first line

    run()


if __name__ == "__main__":
    main()
