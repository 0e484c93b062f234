"""Slot `feedforward`: a module (x_BTD) -> x_BTD that works on each token by itself."""
