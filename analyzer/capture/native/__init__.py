"""The native engine: frames decoded with numpy, and those it does not decode delegated to tshark."""
