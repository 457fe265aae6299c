"""`pcaplint` and `python -m analyzer`."""

from __future__ import annotations

import gc
import sys
from typing import Final

_GC_THRESHOLDS: Final = (100_000, 50, 1_000)


def main() -> None:
    """Run the command line and exit with its status."""
    from analyzer.cli import run, streams

    streams.open_closed()

    # The process creates few reference cycles and ends with its report; the default thresholds cost a tenth of its time.
    gc.set_threshold(*_GC_THRESHOLDS)
    status = run(sys.argv[1:])
    streams.drop_unwritten_errors()
    sys.exit(status)


if __name__ == "__main__":
    main()
