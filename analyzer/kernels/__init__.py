"""Array kernels that several stages share."""
