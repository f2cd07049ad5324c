"""Tennessee STAR through the ordinary commands: class means and the within-school model with three SEs."""

from __future__ import annotations

import pytest
from real_studies import ROOT, estimates_by_effect, evaluate, fetched

TERM = "kindergarten"


@pytest.fixture(scope="module")
def rows(tmp_path_factory):
    raw = fetched("star")
    study = evaluate(tmp_path_factory.mktemp("s") / "star", ROOT / "examples" / "star", raw, TERM, "star.csv")
    return estimates_by_effect(study, TERM).query("subgroup == ''").set_index(["effect", "contrast"])


@pytest.mark.parametrize(
    ("effect", "contrast", "estimate", "std_error"),
    [("class_means", "small", 13.90, 2.45), ("class_means", "aide", 0.31, 2.27)],
)
def test_class_means_with_hc1(rows, effect, contrast, estimate, std_error):
    row = rows.loc[(effect, contrast)]
    assert round(row["estimate"], 2) == estimate
    assert round(row["std_error"], 2) == std_error


def test_school_effects_with_clustered_errors_tell_cr1_from_cr2(rows):
    # Three decimals: CR1 4.089, CR1S 4.117 and CR2 4.092 differ in the third digit.
    cr2, cr1 = rows.loc[("within_schools", "small")], rows.loc[("within_schools_cr1", "small")]
    assert round(cr2["estimate"], 2) == round(cr1["estimate"], 2) == 16.02
    assert round(cr2["std_error"], 3) == 4.092
    assert round(cr1["std_error"], 3) == 4.089
    assert cr2["se_type"] == "CR2"


def test_the_within_school_contrast_is_randomised(rows):
    assert rows.loc[("within_schools", "small"), "evidence"] == "randomised"
