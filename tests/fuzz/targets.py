"""All readers."""

from __future__ import annotations

from tests.fuzz import bundles, kept, models, run_files, texts
from tests.fuzz.target import Target

TARGETS: tuple[Target, ...] = (*kept.TARGETS, *run_files.TARGETS, *bundles.TARGETS, *texts.TARGETS, *models.TARGETS)
