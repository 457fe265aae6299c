"""`pcaplint` and `python -m analyzer`."""

from __future__ import annotations

import gc
import sys
from typing import Final

_SELDOM: Final = (100_000, 50, 1_000)


def main() -> None:
    """Run the command line and end the process with its status."""
    from analyzer.cli import run, streams

    streams.open_closed()

    # The process ends with its report and makes few cycles; to look for them among millions of values takes a tenth of its time.
    gc.set_threshold(*_SELDOM)
    status = run(sys.argv[1:])
    streams.drop_unwritten_errors()
    sys.exit(status)


if __name__ == "__main__":
    main()
