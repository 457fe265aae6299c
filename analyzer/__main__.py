"""`pcaplint` and `python -m analyzer`."""

from __future__ import annotations

import sys


def main() -> None:
    """Run the command line and end the process with its status."""
    from analyzer.cli import run

    sys.exit(run(sys.argv[1:]))


if __name__ == "__main__":
    main()
