"""What every process agrees on: configuration, cards, problems, messages, metrics.

Standard library and msgspec only.
"""
