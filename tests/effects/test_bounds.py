"""Claims about Lee's bounds."""

import numpy as np
import pandas as pd
import pytest
from reference_data import thinking_healthy

from cobench import effects
from cobench.effects.bounds import lee_bounds, lee_fit
from cobench.effects.reasons import reason_in


def trial(seed=1, n=2400, clusters=40):
    """Treated are present more often, the more so where x is high; effect 0.3."""
    draw = np.random.default_rng(seed)
    x, d = draw.integers(0, 3, n), draw.integers(0, 2, n)
    y = 0.3 * d + 0.7 * x + draw.normal(0, 1, n)
    present = draw.random(n) < 0.6 + 0.15 * d + 0.05 * x
    groups = draw.integers(0, clusters, n)
    return pd.DataFrame({"y": np.where(present, y, np.nan), "d": d, "x": x, "g": groups})


TRIAL = trial()


def small(treated, control, lost):
    y = [*treated, *control, *[np.nan] * lost]
    return pd.DataFrame({"y": y, "d": [1] * len(treated) + [0] * (len(control) + lost)})


def test_a_fifth_trimmed_by_hand():
    # All ten treated present, eight of ten unexposed: 1 - 0.8/1 = 0.2 of the treated, two of ten, go from either end.
    frame = small(range(1, 11), [3, 4, 5, 6, 4, 5, 6, 7], lost=2)
    low, high = lee_bounds(frame, "y", "d")["estimate"]
    assert (low, high) == pytest.approx((4.5 - 5.0, 6.5 - 5.0), rel=1e-12)


def test_a_part_of_a_student_is_trimmed_by_hand():
    # A quarter of three: 2.25 stay, so the last one counts a quarter.
    frame = small([1, 2, 3], [1, 2, 3], lost=1)
    low, high = lee_bounds(frame, "y", "d")["estimate"]
    assert low == pytest.approx((1 + 2 + 0.25 * 3) / 2.25 - 2, rel=1e-12)
    assert high == pytest.approx((3 + 2 + 0.25 * 1) / 2.25 - 2, rel=1e-12)


def test_the_unexposed_are_trimmed_where_they_are_present_more_often():
    frame = small(range(1, 11), [3, 4, 5, 6, 4, 5, 6, 7], lost=2)
    turned = frame.assign(d=1 - frame["d"])
    assert lee_bounds(turned, "y", "d")["estimate"].tolist() == pytest.approx([-1.5, 0.5], rel=1e-12)
    assert set(lee_fit(turned, "y", "d", "1", "0").cells["trimmed_arm"]) == {"reference"}


def test_the_error_is_that_of_proposition_3():
    # Lee (2009), V = V_trimmed + V_p + V_control; the boundary value differs by one rank, hence 1e-3.
    y, d = TRIAL["y"], TRIAL["d"] == 1
    s = y.notna()
    treated, control = np.sort(y[d & s]), y[~d & s]
    a1, a0 = s[d].mean(), s[~d].mean()
    p = 1 - a0 / a1
    cut = int(np.floor(p * len(treated)))
    edge, kept = treated[cut], treated[cut:]
    trimmed = (d & s).mean() * (1 - p)
    of_p = (1 - p) ** 2 * ((1 - a1) / (d.mean() * a1) + (1 - a0) / ((1 - d.mean()) * a0))
    variance = (
        kept.var() / trimmed + (edge - kept.mean()) ** 2 * p / trimmed + ((edge - kept.mean()) / (1 - p)) ** 2 * of_p
        + control.var(ddof=0) / (~d & s).mean()
    )  # fmt: skip
    fit = lee_fit(TRIAL, "y", "d", "1", "0")
    assert fit.upper_error == pytest.approx(np.sqrt(variance / len(y)), rel=1e-3)
    assert fit.upper == pytest.approx(kept.mean() - control.mean(), abs=1e-3)


def test_errors_with_cells_and_clusters_are_those_of_a_bootstrap():
    draw = np.random.default_rng(3)
    shock = draw.normal(0, 0.6, 40)
    frame = TRIAL.assign(y=TRIAL["y"] + shock[TRIAL["g"]])
    fit = lee_fit(frame, "y", "d", "1", "0", covariates=["x"], cluster="g")
    groups = [own for _, own in frame.groupby("g")]
    drawn = []
    for _ in range(150):
        again = pd.concat([groups[place] for place in draw.integers(0, 40, 40)], ignore_index=True)
        found = lee_fit(again, "y", "d", "1", "0", covariates=["x"])
        drawn.append((found.lower, found.upper))
    spread = np.std(drawn, axis=0, ddof=1)
    # 150 draws know an SD to 6 %.
    assert (fit.lower_error, fit.upper_error) == pytest.approx(tuple(spread), rel=0.18)


def test_clusters_of_one_student_give_the_plain_error():
    own = TRIAL.assign(g=np.arange(len(TRIAL)))
    plain, grouped = lee_fit(TRIAL, "y", "d", "1", "0"), lee_fit(own, "y", "d", "1", "0", cluster="g")
    n = len(TRIAL)
    assert grouped.lower_error == pytest.approx(plain.lower_error * np.sqrt(n / (n - 1)), rel=1e-12)


def test_cells_tighten_the_bounds_and_share_the_always_present():
    wide, tight = lee_fit(TRIAL, "y", "d", "1", "0"), lee_fit(TRIAL, "y", "d", "1", "0", covariates=["x"])
    assert wide.lower < tight.lower < 0.3 < tight.upper < wide.upper
    assert tight.cells["weight"].sum() == pytest.approx(1, rel=1e-12)
    share = tight.cells["n"] * tight.cells[["presence_treated", "presence_reference"]].min(axis=1)
    assert tight.cells["weight"].tolist() == pytest.approx((share / share.sum()).tolist(), rel=1e-12)
    assert tight.cells["cell"].tolist() == ["x = 0", "x = 1", "x = 2"]


def test_without_absence_both_bounds_are_the_difference_and_the_interval_is_the_usual_one():
    frame = TRIAL.dropna()
    rows = lee_bounds(frame, "y", "d")
    plain = effects.difference(frame, "y", "d").iloc[0]
    assert rows["estimate"].tolist() == pytest.approx([plain["estimate"]] * 2, rel=1e-12)
    # Welch's variances divide by n - 1 and use t.
    assert rows["std_error"].tolist() == pytest.approx([plain["std_error"]] * 2, rel=2e-3)
    assert rows["conf_low"].iloc[0] == pytest.approx(
        plain["estimate"] - 1.959964 * rows["std_error"].iloc[0], rel=1e-6
    )


def test_far_bounds_need_one_sided_limits_only():
    # Imbens and Manski (2004): with bounds many errors apart the critical value is 1.645.
    fit = lee_fit(TRIAL, "y", "d", "1", "0")
    assert (fit.upper - fit.lower) / fit.lower_error > 10
    assert (fit.lower - fit.conf_low) / fit.lower_error == pytest.approx(1.644854, rel=1e-5)


def test_the_p_value_is_where_the_interval_touches_zero():
    frame = TRIAL.assign(y=TRIAL["y"] + 0.55 * TRIAL["d"])
    fit = lee_fit(frame, "y", "d", "1", "0")
    assert 0 < fit.p_value < 1
    again = lee_fit(frame, "y", "d", "1", "0", level=1 - fit.p_value)
    assert again.conf_low == pytest.approx(0, abs=1e-7)
    assert lee_fit(TRIAL, "y", "d", "1", "0").p_value == 1


def test_thinking_healthy_bounds_hold_the_published_contrast():
    mothers = thinking_healthy().query("THP_sample == 1")
    mothers = mothers[["treat", "uc", "depressed", "depressed_1y"]]
    rows = lee_bounds(mothers, "depressed_1y", "treat", cluster="uc")
    low, high = rows["estimate"]
    plain = effects.difference(mothers, "depressed_1y", "treat", cluster="uc").iloc[0]
    assert low <= plain["estimate"] <= high < 0
    assert rows["conf_high"].iloc[0] < 0 and rows["n_clusters"].tolist() == [40, 40]


def test_a_flag_may_say_who_is_present():
    present = TRIAL["y"].notna()
    rows = lee_bounds(TRIAL.assign(y=TRIAL["y"].fillna(99), here=present), "y", "d", observed="here")
    assert rows["estimate"].tolist() == lee_bounds(TRIAL, "y", "d")["estimate"].tolist()


def test_row_order_does_not_matter():
    again = lee_bounds(TRIAL.sample(frac=1, random_state=1), "y", "d", covariates=["x"], cluster="g")
    first = lee_bounds(TRIAL, "y", "d", covariates=["x"], cluster="g")
    assert again["estimate"].tolist() == pytest.approx(first["estimate"].tolist(), rel=1e-12)
    assert again["std_error"].tolist() == pytest.approx(first["std_error"].tolist(), rel=1e-10)


def test_rows_say_whom_they_are_about():
    rows = lee_bounds(TRIAL, "y", "d", cluster="g")
    assert (
        rows["estimand"].tolist() == ["lower_bound", "upper_bound"] and (rows["method"] == "lee_bounds").all()
    )
    assert set(rows["population"]) == {"all:always_present"} and set(rows["evidence"]) == {"descriptive"}
    assert rows["n_obs"].iloc[0] == TRIAL["y"].notna().sum() and rows["df"].iloc[0] == 39


@pytest.mark.parametrize(
    "change",
    [
        {"y": np.nan},
        {"y": 1.0},
        {"y": "text"},
        {"y": TRIAL["y"].where(TRIAL.index % 7 > 0, np.inf)},
        {"d": 1},
        {"d": 0},
        {"d": pd.Series([None] * len(TRIAL), dtype="str")},
        {"g": "one"},
        {"g": TRIAL["d"]},
        {"g": None},
        {"x": np.arange(len(TRIAL))},
        {"x": TRIAL["d"]},
        {"y": TRIAL["y"].where(TRIAL["d"] == 1)},
    ],
)
def test_bad_data_end_in_a_reason(change):
    rows = lee_bounds(TRIAL.assign(**change), "y", "d", covariates=["x"], cluster="g")
    assert set(rows["status"]) == {"not_estimable"}
    assert rows[["estimate", "std_error", "p_value", "conf_low"]].isna().all().all()
    for reason in rows["reason"]:
        assert len(reason) > 10 and reason_in(reason, "zh") != reason


def test_errors_know_that_the_shares_of_cells_are_estimated():
    # The jackknife by cluster of bounds whose cells differ by far more than an outcome's spread.
    frame = trial(5, n=1500, clusters=50)
    frame = frame.assign(y=frame["y"] + 5 * frame["d"] * frame["x"])
    fit = lee_fit(frame, "y", "d", "1", "0", covariates=["x"], cluster="g")
    left = [
        lee_fit(frame[frame["g"] != group], "y", "d", "1", "0", covariates=["x"]).upper for group in range(50)
    ]
    jackknife = np.sqrt(49 / 50 * np.sum((np.array(left) - np.mean(left)) ** 2))
    # The two differ by the curvature of the estimate, of order one in fifty.
    assert fit.upper_error == pytest.approx(jackknife, rel=0.06)
