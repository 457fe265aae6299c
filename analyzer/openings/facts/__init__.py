"""Facts of segments and connections, under the names of the rule language.

What was not captured is unknown, never 0. `machine` has the facts that rows of the state machine name, `segment` and `connection` those
that only checks name. No module depends on a rule or a check.
"""
