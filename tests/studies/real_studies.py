"""Run a real study through the ordinary commands' functions: raw file, ingest, term stage."""

from __future__ import annotations

import importlib.util
import shutil
from pathlib import Path

import pandas as pd

from cobench.store import read_stage
from cobench.study import Study, load_study
from cobench.workbench.prepare import bring_up_to_date

ROOT = Path(__file__).resolve().parents[2]
THP = ROOT.parent / "shared" / "realdata" / "thp" / "THP_clean.csv"


def evaluate(folder: Path, source: Path, raw: Path, term: str, name: str) -> Study:
    """A copy of the study in ``source`` in ``folder`` with ``raw`` as its raw file, brought up to date."""
    folder.mkdir(parents=True)
    shutil.copyfile(source / "study.toml", folder / "study.toml")
    target = folder / "data" / "raw" / term / name
    target.parent.mkdir(parents=True)
    shutil.copyfile(raw, target)
    study = load_study(folder)
    bring_up_to_date(study, term)
    return study


def fetched(example: str) -> Path:
    """The raw file of an example, fetched by its own script."""
    spec = importlib.util.spec_from_file_location(
        f"fetch_{example}", ROOT / "examples" / example / "fetch.py"
    )
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module.main()


def estimates_by_effect(study: Study, term: str) -> pd.DataFrame:
    """The term's estimates with the id of the declared effect."""
    from cobench.designs import design_of

    estimates = read_stage(study, term, "estimates")
    ids = {design_of(study, term, effect).spec_id: effect.id for effect in study.effects}
    return estimates.assign(effect=estimates["spec_id"].map(ids))
