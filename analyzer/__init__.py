"""pcaplint: judge every TCP opening in a packet capture.

Importing the package imports neither pandas nor pyshark; the public names load what they need on first use.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

__version__ = "0.1.0"

__all__ = ["Report", "__version__", "analyze", "load_rules"]

if TYPE_CHECKING:
    from analyzer.api import analyze
    from analyzer.model import Report
    from analyzer.rules import load as load_rules

_MODULES = {"analyze": ("analyzer.api", "analyze"), "Report": ("analyzer.model", "Report"), "load_rules": ("analyzer.rules", "load")}


def __getattr__(name: str) -> Any:  # noqa: ANN401 - the names differ in type
    """Return a public name, imported on first use."""
    if name not in _MODULES:
        message = f"module {__name__!r} has no attribute {name!r}"
        raise AttributeError(message)
    from importlib import import_module

    module, attribute = _MODULES[name]
    return getattr(import_module(module), attribute)
