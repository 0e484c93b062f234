"""The composition root: window, settings, theme, errors."""
