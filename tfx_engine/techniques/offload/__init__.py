"""Slot `offload`: where activations wait for the backward pass. `build` gives () -> context manager around forward."""
