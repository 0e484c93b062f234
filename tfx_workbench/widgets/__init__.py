"""Reusable widgets; they know no session and no engine service."""
