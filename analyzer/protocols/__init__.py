"""Parsers of application protocols, one package per protocol, and what they share.

Detection, linking of announced connections, redaction, TLS and timing are here once; the packages do not import one another (an import
contract). A parser never raises on the bytes of a capture, ends in linear time, and returns None for facts that the capture does not show.
"""
