"""Fixtures of the ingest tests."""

from __future__ import annotations

import sys
from pathlib import Path

import pytest

sys.path.insert(0, str(Path(__file__).parent))


@pytest.fixture
def root(tmp_path):
    """A small study with raw files of two terms, not yet ingested."""
    from small_study import lay_out

    return lay_out(tmp_path / "tiny")
