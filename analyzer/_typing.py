"""Types of arrays and of answers, as annotations name them.

The element type of an alias is what a function promises or relies on; `Array` promises none.
"""

from __future__ import annotations

from typing import Any, TypeAlias

import numpy as np
import numpy.typing as npt

Array: TypeAlias = npt.NDArray[Any]
"""Elements of a type that depends on the column or the fact."""
IntArray: TypeAlias = npt.NDArray[np.integer[Any]]
Int64Array: TypeAlias = npt.NDArray[np.int64]
BoolArray: TypeAlias = npt.NDArray[np.bool_]
ByteArray: TypeAlias = npt.NDArray[np.uint8]
UInt32Array: TypeAlias = npt.NDArray[np.uint32]
"""Sequence numbers and timestamps, mod 2^32."""
UInt64Array: TypeAlias = npt.NDArray[np.uint64]

Answer: TypeAlias = tuple[Array, BoolArray | None]
"""Values, and where they are known; None where all are."""
