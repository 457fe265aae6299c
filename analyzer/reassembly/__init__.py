"""TCP stream reassembly: payload bytes of each direction in order of sequence numbers, gaps and overlaps known."""
