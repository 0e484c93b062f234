"""Slot `clip`: a bound on gradients before they move weights.

`build(options, config)` gives (parameters) -> None, which changes `.grad` in place; None for no bound.
"""
