"""SMTP and LMTP (RFC 5321, RFC 2033): parser, and what it knows of commands, replies, content and login."""

from analyzer.protocols.smtp.parser import read

__all__ = ["read"]
