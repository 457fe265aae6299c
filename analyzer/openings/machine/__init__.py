"""The state machine of rules/opening.toml: a compiler, a vector and a scalar implementation.

The scalar implementation is the specification; tests hold the vector implementation equal to it.
"""
