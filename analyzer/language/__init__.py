"""The expressions in rule files: text to tree, tree to kinds, tree to functions over arrays or over one flow.

Promises: what is unset is unknown; unknown stays unknown through `not`, `and`, `or`, comparisons and sums (Kleene), and
an unknown condition does not hold. Both compilers, arrays and scalars, give the same answers.
Must not know: which rows, variables or rules exist.
"""

from analyzer.language.syntax import ExpressionError, Node, parse, records_of, walk
from analyzer.language.types import Scope, check

__all__ = ["ExpressionError", "Node", "Scope", "check", "parse", "records_of", "walk"]
