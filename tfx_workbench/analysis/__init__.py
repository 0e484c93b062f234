"""Effects with intervals between runs. No Qt, no torch."""
