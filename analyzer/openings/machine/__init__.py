"""The state machine of rules/opening.toml: a compiler, a vector and a scalar implementation.

`scalar` is the specification: it runs one connection at a time. `vector` runs all connections of a block step by step with array masks;
tests hold it equal to `scalar` and to a reference interpreter. Both run the rows that `compiler` prepares, write the same `trace` and
share `state`; `conclude` then evaluates verdicts, views, facts and numbers. No row, verdict or finding is named in Python.
"""
