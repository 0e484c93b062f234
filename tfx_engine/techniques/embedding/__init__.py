"""Slot `embedding`: a module (tokens_BT) -> x_BTD with `.weight` [V, D] and `.dropout`."""
