"""A small demo district in a folder of its own, for tests of the whole path."""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
from pathlib import Path

from cobench.demo import World, build_world, write_raw

ROOT = Path(__file__).resolve().parent.parent
KEY = "5a" * 32
TERM = "2025-2026-2"


def lay_out_small_district(
    folder: Path, *, seed: int = 7, n_schools: int = 4, n_students: int = 900
) -> World:
    """Study file, code books, notebooks and raw files of a small district; returns its world."""
    folder.mkdir(parents=True, exist_ok=True)
    shutil.copyfile(ROOT / "study.toml", folder / "study.toml")
    shutil.copytree(ROOT / "codebooks", folder / "codebooks")
    shutil.copytree(
        ROOT / "notebooks", folder / "notebooks", ignore=shutil.ignore_patterns(".ipynb_checkpoints")
    )
    world = build_world(seed, n_schools=n_schools, n_students=n_students)
    write_raw(world, folder)
    return world


def cobench(
    folder: Path, *arguments: str, key: str = KEY, language: str = "C.UTF-8"
) -> subprocess.CompletedProcess:
    """Run the command line in ``folder`` as a person would."""
    return subprocess.run(
        [sys.executable, "-m", "cobench.cli", *arguments],
        cwd=folder,
        env={**os.environ, "COBENCH_KEY": key, "LC_ALL": language, "LANG": language, "COLUMNS": "200"},
        capture_output=True,
        text=True,
        encoding="utf-8",
    )
