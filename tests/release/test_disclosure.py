"""The release gate: thresholds, bounds, complementary suppression."""

import itertools

import numpy as np
import pandas as pd
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from cobench.errors import IdentifierFoundError, ReleaseError
from cobench.release import (
    Released,
    Rules,
    release_aggregate,
    release_bins,
    release_counts,
    release_estimates,
    release_table,
    release_text,
)
from cobench.release.stacking import stacked


def classes(**columns):
    return pd.DataFrame(
        {"class_id": list("abcd"), "n": [40, 12, 9, 0], "mean": [1.0, 2.0, 3.0, 4.0], **columns}
    )


def estimates(**columns):
    frame = pd.DataFrame(
        {
            "treatment": "visit",
            "contrast": "at_home",
            "outcome": "math",
            "method": "aipw",
            "subgroup": "",
            "estimate": 0.1,
            "std_error": 0.04,
            "conf_low": 0.02,
            "conf_high": 0.18,
            "n_obs": [100, 100, 100, 9],
            "n_treated": [50, 9, 91, 4],
            "status": "ok",
            "evidence": "adjusted_association",
        }
    )
    return frame.assign(**columns)


def test_rows_below_the_threshold_lose_their_count_and_their_values():
    released = release_table(classes(), counts="n")
    assert released.frame["n"].tolist()[:2] == [40, 12]
    assert released.frame["n"].isna().tolist() == [False, False, True, True]
    assert released.frame["mean"].isna().tolist() == [False, False, True, True]
    assert released.marks["n"].tolist() == ["", "", "<", "<"]
    assert released.marks["mean"].tolist() == ["", "", "n", "n"]


def test_a_missing_count_hides_its_row():
    released = release_table(classes(n=[40.0, np.nan, 10, 11]), counts="n")
    assert released.hidden["mean"].tolist() == [False, True, False, False]


def test_every_arm_counts():
    frame = pd.DataFrame({"treated": [30, 9, 30], "control": [30, 30, 8], "difference": [0.1, 0.2, 0.3]})
    released = release_table(frame, counts=["treated", "control"])
    assert released.hidden["difference"].tolist() == [False, True, True]


def test_the_frame_given_is_not_changed():
    frame = classes()
    before = frame.copy()
    release_table(frame, counts="n", margins=[()])
    pd.testing.assert_frame_equal(frame, before)


def test_one_hidden_cell_beside_a_printed_total_takes_the_next_smallest_with_it():
    frame = pd.DataFrame({"school": ["a", "b", "c"], "n": [40, 12, 4]})
    released = release_counts(frame, counts="n")
    assert released.marks["n"].tolist() == ["", "x", "<"]
    assert released.true_totals.to_dict("records") == [{"margin": "all", "column": "n", "total": 56.0}]


def test_two_hidden_cells_whose_sum_is_small_take_a_third():
    frame = pd.DataFrame({"school": list("abcd"), "n": [40, 12, 4, 3]})
    assert release_counts(frame, counts="n").marks["n"].tolist() == ["", "x", "<", "<"]


def test_two_hidden_cells_that_their_sum_would_pin_down_take_a_third():
    frame = pd.DataFrame({"school": list("abcd"), "n": [40, 12, 9, 9]})
    assert release_counts(frame, counts="n").marks["n"].tolist() == ["", "x", "<", "<"]


def test_totals_are_true_totals_over_all_cells_by_group():
    frame = pd.DataFrame({"school": ["a", "a", "a", "b", "b"], "n": [20, 30, 3, 50, 60]})
    released = release_counts(frame, counts="n", margins=[("school",), ()])
    totals = released.true_totals.set_index("margin")["total"]
    assert totals["school=a"] == 53 and totals["school=b"] == 110 and totals["all"] == 163


def test_parts_of_a_printed_whole_are_hidden_together():
    frame = pd.DataFrame({"n": [50, 50], "reached": [46, 30], "never": [4, 20]})
    released = release_table(frame, counts="n", values=[], adds_up={"n": ["reached", "never"]})
    assert released.marks["never"].tolist() == ["<", ""]
    assert released.marks["reached"].tolist() == ["x", ""]
    assert released.marks["n"].tolist() == ["", ""]


def test_a_share_next_to_one_shows_only_the_bound_that_the_threshold_implies():
    frame = pd.DataFrame({"n": [120, 120, 120], "visited": [120, 60, 3]})
    frame = frame.assign(share=frame["visited"] / frame["n"])
    released = release_table(frame, counts="n", values=[], shares={"share": ("visited", "n")})
    assert released.marks["share"].tolist() == ["≥0.925", "", "≤0.075"]
    assert released.marks["visited"].tolist() == ["x", "", "<"]
    assert released.frame["share"].tolist()[1] == 0.5


def test_a_share_of_a_small_group_is_hidden_without_a_bound():
    frame = pd.DataFrame({"n": [9, 15], "share": [0.5, 0.5]})
    released = release_table(frame, counts="n", values=[], shares={"share": (None, "n")})
    assert released.marks["share"].tolist() == ["n", "n"]


@settings(max_examples=150, deadline=None)
@given(st.lists(st.integers(0, 60), min_size=2, max_size=6))
def test_an_attacker_who_knows_the_rule_and_the_total_cannot_pin_a_small_cell(counts):
    """All integer tables that fit what was printed: each hidden small cell has at least two values left."""
    released = release_counts(pd.DataFrame({"n": counts}), counts="n")
    marks = released.marks["n"].tolist()
    assert all(mark == "<" for mark, count in zip(marks, counts, strict=True) if count < 10)
    small = [i for i, mark in enumerate(marks) if mark == "<"]
    if not small or not len(released.true_totals):
        return
    rest = sum(counts) - sum(c for c, mark in zip(counts, marks, strict=True) if not mark)
    n_secondary = marks.count("x")
    fits = [
        cells
        for cells in itertools.product(range(10), repeat=min(len(small), 4))
        if (rest - sum(cells) >= 10 * n_secondary if n_secondary or len(small) > 4 else rest == sum(cells))
    ]
    for i in range(min(len(small), 4)):
        assert len({cells[i] for cells in fits}) >= 2


def test_estimates_with_a_small_arm_lose_every_number_but_keep_the_question():
    released = release_estimates(estimates())
    assert released.frame["estimate"].isna().tolist() == [False, True, True, True]
    assert released.frame["n_obs"].isna().tolist() == [False, True, True, True]
    assert released.frame["contrast"].tolist() == ["at_home"] * 4


def test_the_other_level_of_a_subgroup_is_hidden_with_it():
    frame = estimates(subgroup=["", "sex=f", "sex=m", "boarding=1"], n_obs=[300, 200, 100, 300])
    frame = frame.assign(n_treated=[150, 100, 95, 100])
    released = release_estimates(frame)
    assert released.marks["estimate"].tolist() == ["", "x", "n", ""]


def test_a_question_without_an_answer_stays_as_it_is():
    frame = estimates(
        status="not_estimable", evidence="not_estimable", n_obs=np.nan, n_treated=np.nan, estimate=np.nan
    )
    assert release_estimates(frame).n_hidden == 0


def test_a_row_without_arms_is_judged_by_its_size():
    frame = estimates(n_treated=np.nan, n_obs=[100, 9, 10, 100])
    assert release_estimates(frame).hidden["estimate"].tolist() == [False, True, False, False]


def test_bins_are_merged_until_each_holds_the_threshold():
    values = pd.Series([0.05] * 30 + [0.15] * 4 + [0.25] * 7 + [0.95] * 3)
    bins = release_bins(values, edges=np.linspace(0, 1, 11)).frame
    assert bins["n"].tolist() == [30, 14]
    assert bins["low"].tolist() == pytest.approx([0.0, 0.1])
    assert bins["high"].tolist() == pytest.approx([0.1, 1.0])
    assert (bins["density"] * (bins["high"] - bins["low"])).sum() == pytest.approx(1)


def test_a_group_below_the_threshold_has_no_bins():
    values = pd.Series([0.5] * 29)
    arm = pd.Series(["treated"] * 9 + ["comparison"] * 20, name="arm")
    assert release_bins(values, by=arm, edges=[0, 1]).frame["arm"].tolist() == ["comparison"]


def test_values_outside_the_edges_are_an_error():
    with pytest.raises(ReleaseError, match="outside"):
        release_bins(pd.Series([2.0]), edges=[0, 1])


def test_counts_of_things_have_no_threshold_but_say_what_they_are():
    released = release_aggregate(pd.DataFrame({"file": ["a.xlsx"], "rows": [3]}), about="files")
    assert released.frame["rows"].tolist() == [3] and released.about == "files"
    with pytest.raises(ReleaseError, match="release_table"):
        release_aggregate(pd.DataFrame({"n": [3]}), about="students")


@pytest.mark.parametrize(
    "frame", [{"student": ["x"]}, {"note": ["s_" + "0f" * 10]}, {"note": ["13812345678"]}]
)
def test_tables_that_identify_people_are_refused(frame):
    with pytest.raises(IdentifierFoundError):
        release_aggregate(pd.DataFrame(frame), about="rules")


def test_texts_are_scanned_before_they_are_released():
    assert release_text("家访覆盖率为 83%").text
    with pytest.raises(IdentifierFoundError):
        release_text("联系 13812345678")
    with pytest.raises(IdentifierFoundError):
        release_text("和赵小满谈过", names={"赵小满"})


def test_nobody_makes_a_released_object_by_hand():
    frame = pd.DataFrame({"n": [1]})
    with pytest.raises(ReleaseError, match="never by hand"):
        Released("table", "people", frame, frame, frame, frame, Rules(10))


def test_showing_less_of_a_released_table_keeps_its_marks():
    released = release_table(classes(), counts="n")
    few = released.where(lambda frame: frame["class_id"].isin(["b", "c"])).pick(["n", "class_id"])
    assert few.marks["n"].tolist() == ["", "<"]
    assert few.rename({"n": "pupils"}).frame.columns.tolist() == ["pupils", "class_id"]
    assert released.sorted("mean", ascending=False).frame["class_id"].tolist()[:2] == ["b", "a"]
    assert len(released.head(1)) == 1 and released.titled("t", "n").note == "n"


def test_stacked_tables_are_about_people_if_one_of_them_is():
    things = release_aggregate(pd.DataFrame({"n": [3]}), about="events")
    people = release_table(pd.DataFrame({"n": [3]}), counts="n")
    both = stacked(things, people)
    assert both.about == "people" and both.rules.min_cell == 10
    assert both.marks["n"].tolist() == ["", "<"]


def test_an_absent_column_is_named():
    with pytest.raises(ReleaseError, match="no column pupils"):
        release_table(classes(), counts="pupils")
