"""A small study of throw-away notebooks, run once for most claims about runs."""

from __future__ import annotations

import sys
from pathlib import Path

import pytest

sys.path.insert(0, str(Path(__file__).parent))


@pytest.fixture(scope="session")
def finished(tmp_path_factory):
    """The whole study, run with two workers; see :mod:`throwaway`."""
    from throwaway import run_everything

    return run_everything(tmp_path_factory.mktemp("finished"))
