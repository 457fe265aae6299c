"""Executors: worker processes and the protocol that tasks and results are exchanged by."""
