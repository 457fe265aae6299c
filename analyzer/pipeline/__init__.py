"""The stages of a run, from connections to a report."""
