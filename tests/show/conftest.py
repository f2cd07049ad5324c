"""Labels and released objects that the tests of this room share."""

import numpy as np
import pandas as pd
import pytest

from cobench.release import release_aggregate, release_bins, release_estimates, release_table
from cobench.show import Labels


def both(zh, en):
    return {"zh": zh, "en": en}


@pytest.fixture
def labels():
    return Labels(
        {
            "treatment": {"visit": both("家访", "home visit"), "lecture": both("家长讲座", "parent lecture")},
            "contrast": {
                "visit:targeted": both("重点入户家访", "targeted home visit"),
                "visit:at_home": both("常规入户家访", "routine home visit"),
                "lecture:attended": both("参加讲座", "attended a lecture"),
            },
            "reference": {"visit": both("未家访", "no contact"), "lecture": both("未参加", "not attended")},
            "outcome": {"math": both("数学成绩", "maths score"), "absences": both("缺勤天数", "days absent")},
            "unit": {"math": both("标准差", "SD"), "absences": both("天", "days")},
            "higher_is": {"absences": both("worse", "worse"), "math": both("better", "better")},
            "category": {"left_behind": both("留守", "left behind")},
            "covariate": {"math": both("上学期数学", "maths last term"), "sex": both("女生", "girls")},
            "school": {f"S{i:02d}": both(f"第{i}小学", f"School {i}") for i in range(1, 7)},
            "standard": {
                "D01": both("指导活动", "guidance events"),
                "D02": both("家访覆盖", "visit coverage"),
            },
        }
    )


@pytest.fixture
def estimate():
    """A function that makes one row of estimates."""

    def make(**changes):
        row = {
            "term": "2025-2026-2",
            "population": "all",
            "subgroup": "",
            "treatment": "visit",
            "contrast": "targeted",
            "at": np.nan,
            "outcome": "math",
            "estimand": "ATT",
            "method": "aipw",
            "estimate": 0.12,
            "std_error": 0.035,
            "df": 60.0,
            "p_value": 0.001,
            "p_adjusted": np.nan,
            "conf_level": 0.95,
            "effect_size": 0.12,
            "n_obs": 3120,
            "n_treated": 812,
            "role": "confirmatory",
            "status": "ok",
            "reason": "",
            "evidence": "adjusted_association",
        } | changes
        half = 2 * row["std_error"]
        return row | {"conf_low": row["estimate"] - half, "conf_high": row["estimate"] + half}

    return make


@pytest.fixture
def estimates(estimate):
    return release_estimates(
        pd.DataFrame(
            [
                estimate(evidence="randomised"),
                estimate(contrast="at_home", estimate=0.02, effect_size=0.02, evidence="quasi_experimental"),
                estimate(outcome="absences", estimate=-0.8, std_error=0.2, effect_size=-0.16),
                estimate(treatment="lecture", contrast="attended", n_treated=6),
                estimate(
                    treatment="lecture",
                    contrast="attended",
                    outcome="absences",
                    status="not_estimable",
                    evidence="not_estimable",
                    reason="no_common_test",
                    estimate=np.nan,
                    std_error=np.nan,
                ),
            ]
        )
    )


@pytest.fixture
def coverage():
    frame = pd.DataFrame(
        [
            {"school": f"S{i:02d}", "standard": standard, "n": 8 if (i, standard) == (3, "D02") else 200,
             "share": min(1, 0.5 + 0.1 * i), "verdict": "met" if i > 3 else "not_met"}
            for i in range(1, 7)
            for standard in ("D01", "D02")
            if (i, standard) != (4, "D01")
        ]
    )  # fmt: skip
    return release_table(frame, counts="n", values=[], shares={"share": (None, "n")}, kind="figure-data")


@pytest.fixture
def balance():
    frame = {"covariate": ["math", "sex"], "smd_before": [-0.62, 0.1], "smd_after": [0.03, -0.06]}
    return release_aggregate(pd.DataFrame(frame), about="design")


@pytest.fixture
def propensity():
    generator = np.random.default_rng(1)
    scores = pd.Series(np.r_[generator.beta(2, 5, 600), generator.beta(4, 3, 300)])
    arm = pd.Series(["comparison"] * 600 + ["treated"] * 300, name="arm")
    return release_bins(scores, by=arm, edges=np.linspace(0, 1, 21))


@pytest.fixture
def scores():
    generator = np.random.default_rng(2)
    values = pd.Series(np.clip(generator.normal(3.6, 0.7, 500), 1, 5))
    scale = pd.Series(["trust", "relation"] * 250, name="scale")
    return release_bins(values, by=scale, edges=np.linspace(1, 5, 17))
