"""Capture file formats: where each frame lies, when it was captured and how long it was."""
