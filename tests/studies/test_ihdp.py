"""The IHDP trial (home visits) through the ordinary commands gives the published and the confounded numbers."""

from __future__ import annotations

import subprocess

import pytest
from real_studies import ROOT, estimates_by_effect, evaluate, fetched

TERM = "trial"


@pytest.fixture(scope="module")
def rows(tmp_path_factory):
    try:
        raw = fetched("ihdp")
    except subprocess.CalledProcessError as error:
        pytest.skip(
            f"the public wheel that holds the IHDP data could not be downloaded: {error.stderr[-200:]!r}"
        )
    study = evaluate(tmp_path_factory.mktemp("s") / "ihdp", ROOT / "examples" / "ihdp", raw, TERM, "ihdp.csv")
    return estimates_by_effect(study, TERM)


def _row(rows, effect, method, subgroup=""):
    found = rows[(rows["effect"] == effect) & (rows["method"] == method) & (rows["subgroup"] == subgroup)]
    assert len(found) == 1
    return found.iloc[0]


@pytest.mark.parametrize(
    ("subgroup", "estimate", "std_error", "n"),
    [("heavier=true", 13.25, 2.13, 328), ("heavier=false", 6.57, 1.67, 580)],
)
def test_the_trial_gives_the_published_gains_by_birth_weight(rows, subgroup, estimate, std_error, n):
    # Two decimals are what the reference states; the pooled SE (2.14, 1.70) would fail.
    row = _row(rows, "trial", "difference", subgroup)
    assert round(row["estimate"], 2) == estimate
    assert round(row["std_error"], 2) == std_error
    assert row["n_obs"] == n
    assert row["evidence"] == "randomised"


def test_the_overall_gain_is_8_98_and_randomised(rows):
    row = _row(rows, "trial", "difference")
    assert round(row["estimate"], 2) == 8.98
    assert row["n_obs"] == 908
    assert row["evidence"] == "randomised"
    assert row["role"] == "confirmatory"


def test_dropping_treated_children_of_non_white_mothers_shows_confounding(rows):
    row = _row(rows, "confounded", "difference")
    assert round(row["estimate"], 2) == 19.27
    assert round(row["std_error"], 2) == 1.96
    assert row["n_obs"] == 690
    assert row["evidence"] == "descriptive"


def test_the_adjusted_att_covers_the_randomised_contrast_among_white_mothers(rows):
    truth = _row(rows, "white_mothers_randomised", "difference")
    assert round(truth["estimate"], 2) == 6.21
    assert truth["n_obs"] == 339
    for method in ("aipw", "regress"):
        row = _row(rows, "confounded", method)
        assert row["conf_low"] < truth["estimate"] < row["conf_high"]
        assert row["conf_high"] < 19.27, "an interval that also held the naive gap would prove nothing"
        assert row["evidence"] == "adjusted_association"
        assert "white mothers" in row["population"]


def test_the_effect_on_all_children_is_not_estimable_for_want_of_overlap(rows):
    row = _row(rows, "confounded_everyone", "aipw")
    assert row["status"] == "not_estimable"
    assert row["evidence"] == "not_estimable"
    assert "white_mother" in row["reason"]
