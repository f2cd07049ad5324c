"""Fixtures of the ingest tests: a small study not yet ingested, and copies of one that is."""

from __future__ import annotations

import shutil
import sys
from pathlib import Path

import pytest

sys.path[:0] = [str(Path(__file__).parent), str(Path(__file__).parent / "platforms")]


@pytest.fixture
def root(tmp_path):
    """A small study with raw files of two terms, not yet ingested."""
    from small_study import lay_out

    return lay_out(tmp_path / "tiny")


@pytest.fixture(scope="session")
def ingested(tmp_path_factory):
    """The small study with both terms ingested, and what the later one gave; not to be changed."""
    from small_study import EARLIER, KEY, TERM, lay_out

    from cobench.ingest.ingest import ingest_term
    from cobench.study import load_study

    folder = lay_out(tmp_path_factory.mktemp("ingested") / "tiny")
    study = load_study(folder)
    ingest_term(study, EARLIER, key=KEY)
    return folder, ingest_term(study, TERM, key=KEY)


@pytest.fixture
def held(ingested, tmp_path):
    """A copy of the ingested study, to be spoilt."""
    return Path(shutil.copytree(ingested[0], tmp_path / "held"))
