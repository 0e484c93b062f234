"""Slot `embedding`: a module tokens_BT (or frames_BTF) -> x_BTD with `.weight` and `.dropout`."""
