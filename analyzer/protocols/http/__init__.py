"""HTTP/1.x (RFC 9110, RFC 9112): a parser, which is the specification, and a fast path for plain exchanges, held equal to it by tests."""

from analyzer.protocols.http.fast_path import FastPath
from analyzer.protocols.http.parser import read

__all__ = ["FastPath", "read"]
