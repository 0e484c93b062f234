"""Slot `position`: a module (x_BTD) -> x_BTD that gives the model the order of the tokens."""
