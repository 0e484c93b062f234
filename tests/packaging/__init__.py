"""Proofs of installers that take minutes, or tools that the suite does without: commands, not collected by pytest."""
