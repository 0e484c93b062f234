"""The catalogue: one folder per slot, one file per technique."""
