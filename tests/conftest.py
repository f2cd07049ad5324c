"""Shared set-up: helpers of the tests folder are importable, Chinese output never depends on the machine."""

from __future__ import annotations

import os
import shutil
import sys
from pathlib import Path

import pytest
from hypothesis import settings

# Machines are noisy, so no example has a deadline; CI tries the same examples every time, people new ones.
settings.register_profile("cobench", deadline=None, derandomize="CI" in os.environ)
settings.load_profile("cobench")

sys.path.insert(0, str(Path(__file__).parent))


@pytest.fixture(scope="session")
def district_study(tmp_path_factory):
    """A small study whose tables are those that a perfect ingest would store; read it, don't write."""
    from district import ROOT

    from cobench import store
    from cobench.demo import build_world, canonical_tables
    from cobench.study import load_study

    folder = tmp_path_factory.mktemp("district")
    shutil.copyfile(ROOT / "study.toml", folder / "study.toml")
    shutil.copytree(ROOT / "codebooks", folder / "codebooks")
    study = load_study(folder)
    store.write_tables(study, "all", canonical_tables(build_world(5, n_schools=4, n_students=500)))
    return study
