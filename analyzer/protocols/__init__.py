"""Parsers of application protocols, one package per protocol, and what they share."""
