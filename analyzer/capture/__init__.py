"""Bytes on disk to one `Capture`."""
