"""Formulas of the rules: worked by hand, and refused where the rules say nothing."""

from __future__ import annotations

import numpy as np
import pandas as pd
import pytest

from cobench.errors import NotEstimableError, UndefinedByRuleError
from cobench.monitor.assessment import bundled, changes, jury_mean, rating_score, teaching_credit


def test_one_partner_weighs_a_fifth():
    found = bundled(90, [70], [(10, 8)])
    assert found.score == pytest.approx(86)  # 0.8 x 90 + 0.2 x 70
    assert (found.weight_each, found.exempt) == (0.2, False)


def test_two_partners_weigh_a_tenth_each():
    found = bundled(90, [70, 80], [(10, 8), (4, 6)])
    assert found.score == pytest.approx(87)  # 72 + 7 + 8
    assert found.weight_each == pytest.approx(0.1)


@pytest.mark.parametrize(("rise", "score"), [((12, 7), 90), ((12, 8), 86), ((7, 12), 86)])
def test_a_partner_that_rose_five_ranks_leaves_the_lead_its_own_score(rise, score):
    assert bundled(90, [70], [rise]).score == pytest.approx(score)


def test_one_of_two_partners_is_enough_for_the_exemption():
    assert bundled(90, [70, 80], [None, (9, 4)]).exempt is True


def test_without_ranks_the_exemption_is_unknown_not_denied():
    assert bundled(90, [70]).exempt is None
    assert bundled(90, [70, 80], [(3, 3), None]).exempt is None


@pytest.mark.parametrize("partners", [[], [70, 75, 80], [70, 75, 80, 85], [np.nan]])
def test_what_the_rule_does_not_define_is_refused_in_both_languages(partners):
    with pytest.raises(UndefinedByRuleError) as refused:
        bundled(90, partners, [(20, 1)] * len(partners))
    assert refused.value.en != refused.value.zh
    if len(partners) > 2:
        assert str(len(partners)) in refused.value.zh and str(len(partners)) in refused.value.en


def test_four_criteria_add_up():
    assert rating_score({"a": "A", "b": "B", "c": "C", "d": "A"}) == 900
    assert rating_score(dict.fromkeys("abcd", "A")) == 1200
    assert rating_score(dict.fromkeys("abcd", "C")) == 400


@pytest.mark.parametrize(
    "ratings", [{}, dict.fromkeys("abc", "A"), dict.fromkeys("abcde", "A"), dict.fromkeys("abcd", "D")]
)
def test_other_ratings_are_refused(ratings):
    with pytest.raises(UndefinedByRuleError):
        rating_score(ratings)


def test_a_jury_loses_one_highest_and_one_lowest():
    assert jury_mean([90, 80, 70]) == 80
    assert jury_mean([9.0, 9.5, 9.5, 7.0]) == 9.25  # one of the two highest stays
    assert jury_mean([8, 8, 8]) == 8


@pytest.mark.parametrize("scores", [[], [90], [90, 80], [90, 80, np.nan, 70]])
def test_a_jury_of_two_or_with_a_gap_is_refused(scores):
    with pytest.raises(UndefinedByRuleError):
        jury_mean(scores)


@pytest.mark.parametrize(
    ("record", "years", "routes"),
    [
        ({"days": 200}, 1, ("days",)),
        ({"days": 199}, 0, ()),
        ({"days": 450}, 1, ("days",)),
        ({"hours": 200}, 0, ()),
        ({"hours": 200.5}, 1, ("online",)),
        ({"studio_years": [(8, True)] * 3}, 1, ("studio",)),
        ({"studio_years": [(8, True)] * 2}, 0, ()),
        ({"studio_years": [(8, True), (7, True), (12, True)]}, 0, ()),
        ({"studio_years": [(8, True), (8, False), (12, True)]}, 0, ()),
        ({"studio_years": [(8, True)] * 3 + [(2, True)], "days": 210}, 1, ("days", "studio")),
    ],
)
def test_credit_says_by_which_route(record, years, routes):
    found = teaching_credit(**record)
    assert (found.years, found.routes) == (years, routes)


def _scores(rows) -> pd.DataFrame:
    return pd.DataFrame(rows, columns=["school", "cluster", "occasion", "value"])


def test_change_is_in_sd_of_the_first_occasion_and_keeps_the_districts_own():
    rows = [("A", "a1", 40), ("A", "a2", 50), ("B", "b1", 60), ("B", "b2", 70)]
    before = [(s, c, "before", v) for s, c, v in rows]
    after = [(s, c, "after", v + rise) for (s, c, v), rise in zip(rows, (8, 12, 0, 2), strict=True)]
    found = changes(_scores(before + after)).set_index("school")
    sd = np.std([40, 50, 60, 70], ddof=1)
    assert found.loc["A", "change"] == pytest.approx(10 / sd)
    assert found.loc["B", "change"] == pytest.approx(1 / sd)
    assert found.loc["A", "before"] == pytest.approx((45 - 55) / sd)
    # Classes are the same both times: their changes 8 and 12 differ by 4, so the error of the mean change is 2.
    assert found.loc["A", "std_error"] == pytest.approx(2 / sd)
    assert found.loc["A", "df"] == pytest.approx(1)


def test_each_grade_has_its_own_scale():
    rows = [
        ("A", f"{grade}-{place}", occasion, grade, value * 10**grade + 5 * (occasion == "after") * 10**grade)
        for grade in (1, 2)
        for place, value in enumerate((1.0, 2.0, 4.0))
        for occasion in ("before", "after")
    ]
    frame = pd.DataFrame(rows, columns=["school", "cluster", "occasion", "grade", "value"])
    noisy = frame.assign(
        value=frame["value"] + 0.1 * (frame["cluster"] == "1-0") * (frame["occasion"] == "after")
    )
    found = changes(noisy, within=["grade"])
    assert found["change"].iloc[0] == pytest.approx(5 / np.std([1, 2, 4], ddof=1), rel=0.01)


def test_no_first_test_no_change():
    with pytest.raises(NotEstimableError):
        changes(_scores([("A", "a1", "after", 3.0), ("A", "a2", "after", 4.0)]))


@pytest.mark.parametrize(
    "rows",
    [
        [("A", "a1", "before", 3.0), ("A", "a2", "before", 4.0)],
        [("A", "a1", "before", 3.0), ("A", "a1", "before", 4.0), ("A", "a1", "after", 4.0)],
        [
            ("A", "a1", "before", 3.0),
            ("A", "a1", "before", 4.0),
            ("A", "a2", "after", 4.0),
            ("A", "a3", "after", 5.0),
        ],
    ],
)
def test_a_school_without_an_answer_says_why(rows):
    found = changes(_scores(rows)).iloc[0]
    assert np.isnan(found["change"]) and np.isnan(found["conf_low"])
    assert found["reason"]["zh"] and found["reason"]["en"]


def test_intervals_hold_the_truth_although_classes_share_luck():
    """Class shocks of 0.3 SD: an interval that took children for independent would hold it about 60 % of the time."""
    rng = np.random.default_rng(6)
    held = []
    for _ in range(120):
        classes = np.repeat(np.arange(10), 30)
        parts = []
        for occasion, shift in (("before", 0.0), ("after", 0.2)):
            shock = 0.3 * rng.standard_normal(10)
            value = shift + shock[classes] + rng.standard_normal(300)
            parts.append(
                pd.DataFrame({"school": "A", "cluster": classes, "occasion": occasion, "value": value})
            )
        other = parts[0].assign(school="B", cluster=classes + 100, value=rng.standard_normal(300))
        row = changes(pd.concat([*parts, other])).set_index("school").loc["A"]
        sd = pd.concat([parts[0], other])["value"].std()
        held.append(row["conf_low"] <= 0.2 / sd <= row["conf_high"])
    # 95 % with 120 draws: chance alone is 2 points; and narrower ones are caught.
    assert np.mean(held) >= 0.89
