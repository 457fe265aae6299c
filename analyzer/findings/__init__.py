"""Findings: one event type, one builder of the findings table, and correlation across connections.

The state machine, the checks of openings and the checks of dialogues emit an `event.Event` per row or check that fires;
`table.tabulate` merges the events of a rule on a connection to one finding with its evidence and its message. `correlation` evaluates
checks over groups of connections. The package depends on no stage that emits events.
"""
