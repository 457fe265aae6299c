"""pcaplint: judge every TCP opening in a packet capture.

Promises: importing this package costs neither pandas nor pyshark; the public names load what they need on first use.
Must not know: anything the names below do not say.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

__version__ = "0.1.0"

__all__ = ["Report", "__version__", "analyze", "load_rules"]

if TYPE_CHECKING:
    from analyzer.api import analyze
    from analyzer.model import Report
    from analyzer.rules import load as load_rules

_HOME = {"analyze": ("analyzer.api", "analyze"), "Report": ("analyzer.model", "Report"), "load_rules": ("analyzer.rules", "load")}


def __getattr__(name: str) -> Any:  # noqa: ANN401 - the names differ in kind
    """Import a public name on first use."""
    if name not in _HOME:
        message = f"module {__name__!r} has no attribute {name!r}"
        raise AttributeError(message)
    from importlib import import_module

    module, attribute = _HOME[name]
    return getattr(import_module(module), attribute)
