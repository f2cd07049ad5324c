"""Growth percentiles: planted ranks, hand-worked ties and errors, what is refused."""

import numpy as np
import pandas as pd
import pytest
from scipy import stats

from cobench.errors import NotEstimableError
from cobench.monitor import growth
from cobench.monitor.growth import growth_by_school, growth_percentiles

SCHOOLS, EACH = 10, 100


def district(seed: int = 1, *, ahead: float = 0.0) -> pd.DataFrame:
    """Results whose spread grows with the prior, ``u`` being the true rank; school 0 is ``ahead`` in SD of what is left."""
    generator = np.random.default_rng(seed)
    school = np.repeat(np.arange(SCHOOLS), EACH)
    prior = generator.normal(size=len(school)) + 0.05 * (school - 4.5)
    z = generator.normal(size=len(school))
    moved = z + ahead * (school == 0)
    result = 60 + 8 * prior + (5 + 1.5 * np.tanh(prior)) * moved
    classes = school * 10 + np.arange(len(school)) % 4
    return pd.DataFrame({"school": school, "class_id": classes, "prior": prior, "result": result, "z": z})


COMMON = ("prior", "result")


def test_the_percentile_is_the_planted_rank_though_the_spread_differs():
    frame = district()
    found = growth_percentiles(frame, "result", ["prior"], common=COMMON)
    true = 100 * stats.norm.cdf(frame["z"])
    # A fitted rank errs by 100 * sqrt(8 / 1000 * u (1 - u)), 3.65 points over all u (8 coefficients, 1000 students), and a
    # 95 % quantile of chi-square over its 8 df multiplies the square by 1.94: 5.1, and 0.1 for ranks beyond the levels.
    assert np.sqrt(np.mean((found - true) ** 2)) < 5.2
    # By construction every level has its share of students below, whatever the model: 1000 students, 8 coefficients.
    for level in (10, 50, 90):
        assert abs((found < level).mean() - level / 100) < 8 / 1000 + 0.005


def test_without_splines_of_the_prior_strong_students_would_all_be_ahead():
    frame = district()
    found = growth_percentiles(frame, "result", ["prior"], common=COMMON)
    assert abs(np.corrcoef(found, frame["prior"])[0, 1]) < 0.05
    assert np.corrcoef(frame["result"].rank(), frame["prior"])[0, 1] > 0.7


def test_ranks_by_hand():
    levels = len(growth.LEVELS)
    fitted = np.tile(np.arange(1.0, levels + 1), (4, 1))
    # Halfway between the first and second level: 2.5 + 1.25; on the 20th: 50; below all; above all.
    y = np.array([1.5, 20.0, 0.0, 99.0])
    assert growth._ranks(y, fitted) == pytest.approx([3.75, 50.0, 1.25, 98.75])


def test_a_school_that_is_ahead_is_found_and_the_mean_of_all_is_50():
    rows = growth_by_school(district(ahead=1.0), "result", ["prior"], common=COMMON)
    assert list(rows["school"]) == list(range(SCHOOLS))
    assert rows["mean_percentile"].mean() == pytest.approx(50, abs=0.5)
    assert list(rows["school"][rows["conf_low"] > 50]) == [0]
    assert (rows["status"] == "ok").all()


def test_without_differences_bounds_hold_50_everywhere():
    rows = growth_by_school(district(7), "result", ["prior"], common=COMMON)
    assert ((rows["conf_low"] < 50) & (rows["conf_high"] > 50)).all()


def test_errors_of_nested_means_by_hand():
    """Classes of 2 in schools of 2 classes: within 2, class means 1 apart, so 0.5 a school."""
    values = [10, 12, 14, 16, 20, 22, 24, 26]
    frame = pd.DataFrame({"s": [1] * 4 + [2] * 4, "c": [1, 1, 2, 2, 3, 3, 4, 4], "percentile": values})
    squared, df = growth._with_classes(frame, "s", "c", frame.groupby("s").size())
    # MS within = 2; MS of classes = 2 * (2**2 + 2**2) * 2 / 2 = 16; between = (16 - 2) / 2 = 7.
    assert df == 2
    assert list(squared) == pytest.approx([2 / 4 + 7 * 8 / 16] * 2)


def test_classes_that_differ_widen_the_bounds():
    frame = district(3)
    frame["result"] += 4 * ((frame["class_id"] % 10) - 1.5)
    apart = growth_by_school(frame, "result", ["prior"], common=COMMON, classes="class_id")
    plain = growth_by_school(frame, "result", ["prior"], common=COMMON)
    assert (apart["std_error"] > 2 * plain["std_error"]).all()


def test_small_schools_say_so_and_are_not_numbers():
    frame = district()
    frame.loc[frame.index[frame["school"] == 3][9:], "result"] = np.nan
    rows = growth_by_school(frame, "result", ["prior"], common=COMMON).set_index("school")
    assert rows.loc[3, "n_students"] == 9 and rows.loc[3, "status"] == "not_estimable"
    assert np.isnan(rows.loc[3, "mean_percentile"]) and "10" in rows.loc[3, "reason_zh"]
    assert (rows.drop(3)["status"] == "ok").all()


@pytest.mark.parametrize("common", [(), ("result",), ("prior",)])
def test_a_test_of_the_school_itself_is_refused(common):
    rows = growth_by_school(district(), "result", ["prior"], common=common)
    assert (rows["status"] == "not_estimable").all() and rows["mean_percentile"].isna().all()
    assert rows["reason_en"].str.contains("all schools sat").all()
    with pytest.raises(NotEstimableError):
        growth_percentiles(district(), "result", ["prior"], common=common)


def test_too_few_students_are_refused():
    with pytest.raises(NotEstimableError, match="199"):
        growth_percentiles(district().head(199), "result", ["prior"], common=COMMON)
