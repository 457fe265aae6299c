"""The pyshark engine: tshark in a sandbox, the fields requested from it, and its output as columns."""
