"""The library of run files, and one run's measurements as numpy columns. No Qt, no torch."""
