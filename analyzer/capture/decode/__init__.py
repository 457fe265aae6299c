"""Frame bytes to header fields, layer by layer, whole arrays at a time."""
