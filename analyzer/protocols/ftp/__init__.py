"""FTP's control connection (RFC 959): parser, and the data connections it announces."""

from analyzer.protocols.ftp.linking import link
from analyzer.protocols.ftp.parser import read

__all__ = ["link", "read"]
