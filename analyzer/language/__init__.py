"""The expressions in rule files: parse to a tree, check its types, compile it to functions.

A value that was not captured is unknown. Unknown propagates through `not`, `and`, `or`, comparisons and sums (Kleene logic), and a
condition that is unknown does not hold. Expressions are never evaluated as Python. The package depends on no rule, variable or record.
"""

from analyzer.language.syntax import ExpressionError, Node, parse, records_of, walk
from analyzer.language.types import Scope, check

__all__ = ["ExpressionError", "Node", "Scope", "check", "parse", "records_of", "walk"]
