"""The facts that rules may name, of segments, of connections and of the machine."""
