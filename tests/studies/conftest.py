"""A pseudonym key for the studies of these tests, outside every study folder."""

from __future__ import annotations

import sys
from pathlib import Path

import pytest

sys.path.insert(0, str(Path(__file__).parent))


@pytest.fixture(scope="session", autouse=True)
def pseudonym_key():
    patch = pytest.MonkeyPatch()
    patch.setenv("COBENCH_KEY", "0f" * 32)
    yield
    patch.undo()
