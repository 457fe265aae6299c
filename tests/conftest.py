"""What tests of all parts share."""

from __future__ import annotations

import ctypes
import os
import sys
from typing import TYPE_CHECKING, Final

import pytest

if TYPE_CHECKING:
    from collections.abc import Iterator

pytest_plugins = ["pytester"]

_VERSION_3: Final = 0x20080522
_OVERRIDE: Final = 1 << 1 | 1 << 2
"""CAP_DAC_OVERRIDE and CAP_DAC_READ_SEARCH, by which root may read and search everything (capabilities(7))."""


class _Header(ctypes.Structure):
    _fields_ = (("version", ctypes.c_uint32), ("pid", ctypes.c_int))


class _Data(ctypes.Structure):
    _fields_ = (("effective", ctypes.c_uint32), ("permitted", ctypes.c_uint32), ("inheritable", ctypes.c_uint32))


@pytest.fixture
def unprivileged() -> Iterator[None]:
    """Let file modes hold for this thread, and those it starts, also when the tests are run by root."""
    if os.geteuid() != 0:
        yield
        return
    if sys.platform != "linux":
        pytest.skip("root may read everything")
    libc = ctypes.CDLL(None, use_errno=True)
    header, data = _Header(_VERSION_3, 0), (_Data * 2)()
    if libc.capget(ctypes.byref(header), ctypes.byref(data)):
        pytest.skip("the capabilities of this process cannot be read")
    before = data[0].effective
    data[0].effective = before & ~_OVERRIDE
    if libc.capset(ctypes.byref(header), ctypes.byref(data)):
        pytest.skip("the capabilities of this process cannot be changed")
    try:
        yield
    finally:
        data[0].effective = before
        libc.capset(ctypes.byref(header), ctypes.byref(data))
