"""Findings and verdicts that are suppressed: by expectations (expect.toml next to captures) and by baselines.

Nothing here reads or judges captures, or decides exit statuses.
"""
