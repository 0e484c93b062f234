"""Corpora and synthetic tasks; deterministic batches."""
