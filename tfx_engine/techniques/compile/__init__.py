"""Slot `compile`: whether the model's forward and backward are compiled.

`build(options, config)` gives a function -> function, applied to `model.hidden` when a training is set up.
"""
