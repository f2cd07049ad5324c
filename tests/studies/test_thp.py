"""Home visits to depressed mothers (THP): the published model, the guard, and the plain cluster contrast."""

from __future__ import annotations

import pytest
from real_studies import THP, estimates_by_effect, evaluate

HERE = THP.parents[0]
TERM = "trial"


@pytest.fixture(scope="module")
def rows(tmp_path_factory):
    if not THP.exists():
        pytest.skip("../shared/realdata/thp is absent: it lies beside the checkout in CI only")
    from pathlib import Path

    folder = tmp_path_factory.mktemp("s") / "thp"
    study = evaluate(
        folder, Path(__file__).parent / "thp", _with_row_number(tmp_path_factory), TERM, "THP_clean.csv"
    )
    return estimates_by_effect(study, TERM).set_index("effect")


def _with_row_number(tmp_path_factory):
    """The raw file with a row number: newid is missing on 318 rows, so it can't be the key."""
    path = tmp_path_factory.mktemp("raw") / "THP_clean.csv"
    head, *lines = THP.read_text(encoding="utf-8-sig").splitlines()
    numbered = [f"row_number,{head}", *(f"{i},{line}" for i, line in enumerate(lines, start=1))]
    path.write_text("\n".join(numbered) + "\n", encoding="utf-8")
    return path


@pytest.mark.parametrize(
    ("outcome", "estimate", "cr1", "cr2", "n"),
    [
        ("depressed_6m", -0.318, 0.047, 0.051, 584),
        ("depressed_1y", -0.323, 0.045, 0.048, 584),
        ("depressed", -0.063, 0.026, 0.028, 585),
    ],
)
def test_the_published_model_to_three_decimals(rows, outcome, estimate, cr1, cr2, n):
    for se_type, std_error in (("cr1", cr1), ("cr2", cr2)):
        row = rows.loc[f"{outcome}_published_{se_type}"]
        assert round(row["estimate"], 3) == estimate
        assert round(row["std_error"], 3) == std_error
        assert row["n_obs"] == n
        assert row["n_clusters"] == 40


@pytest.mark.parametrize(
    ("outcome", "estimate"),
    [("depindex_6m", -0.621), ("depindex_1y", -0.697), ("depindex_7y", -0.216), ("socialsupport", 0.581)],
)
def test_severity_and_social_support_to_three_decimals(rows, outcome, estimate):
    assert round(rows.loc[f"{outcome}_published_cr1", "estimate"], 3) == estimate


def test_social_support_has_the_published_standard_error(rows):
    assert round(rows.loc["socialsupport_published_cr1", "std_error"], 3) == 0.100


def test_a_replication_gets_no_badge(rows):
    published = rows[rows.index.str.contains("_published_")]
    assert set(published["evidence"]) == {"descriptive"}


def test_interview_variables_are_refused_as_post_treatment(rows):
    row = rows.loc["depressed_1y_refused"]
    assert row["status"] == "not_estimable"
    assert "post-treatment" in row["reason"]
    assert "month_int" in row["reason"]
    assert "2005-04-01" in row["reason"]


def test_the_plain_cluster_contrast_is_the_confirmatory_one(rows):
    row = rows.loc["depressed_1y_plain"]
    assert row["role"] == "confirmatory"
    assert row["status"] == "ok"
    assert row["estimate"] == pytest.approx(-0.32, abs=0.03)
    assert row["n_clusters"] == 40
