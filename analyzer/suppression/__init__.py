"""Findings and verdicts that are accepted: expectations beside captures, and baselines."""
