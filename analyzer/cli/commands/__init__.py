"""The commands of `pcaplint`, one module each."""
