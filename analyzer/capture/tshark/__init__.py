"""The pyshark engine: tshark in a sandbox, the fields it is asked for, and its output as columns."""
