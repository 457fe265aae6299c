"""Memory of the process: return freed memory to the system, run without the cyclic garbage collector."""

from __future__ import annotations

import contextlib
import ctypes
import gc
import sys
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Iterator


def trim_heap() -> None:
    """Return freed memory to the system where the C library can (malloc_trim): small Python objects do not reuse freed arrays."""
    if sys.platform == "linux":
        trim = getattr(ctypes.CDLL(None), "malloc_trim", None)
        if trim is not None:
            trim(0)


@contextlib.contextmanager
def without_garbage_collection() -> Iterator[None]:
    """Disable the cyclic garbage collector during a block of code that creates no reference cycles."""
    enabled = gc.isenabled()
    gc.disable()
    try:
        yield
    finally:
        if enabled:
            gc.enable()
