"""Slot `gate`: what attention read is let through or held back. B batch, H heads, T tokens, V value width.

`build(options, config, shape)` gives a module (x_BTD, y_BHTV) -> y_BHTV, or None for no gate.
"""
