"""Slot `norm`: a module (x_BTD) -> x_BTD that brings the activations of each token to a common scale."""
