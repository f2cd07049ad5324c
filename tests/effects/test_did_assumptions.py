"""What difference in differences assumes is declared, tested, and decides what may be claimed."""

import numpy as np
import pandas as pd
import pytest
from simulated_panels import after_bad_terms, come_and_go, staggered

from cobench import effects
from cobench.effects.checks import Check
from cobench.effects.evidence import evidence_of
from cobench.effects.reasons import reason_in
from cobench.errors import ParameterError

GIVEN = {"outcome": "y", "treatment": "d", "student": "s", "term": "t"}
VISITS = {**GIVEN, "cluster": "school", "exposure": "reversible"}


def simple(fit):
    return fit.estimates[fit.estimates["estimand"] == "simple"].iloc[0]


# ---- last term's outcome decides ------------------------------------------------------------------------


@pytest.fixture(scope="module")
def dips():
    frames = [after_bad_terms(seed) for seed in range(8)]
    return frames, [
        effects.fit_did(frame, **VISITS, carry_over="none", role="confirmatory")[0] for frame in frames
    ]


def test_where_a_bad_term_brings_the_visit_recovery_is_taken_for_its_effect(dips):
    """The truth is 0.10; adjusting for last term's score finds it, difference in differences doesn't."""
    frames, fits = dips
    wrong = np.mean([simple(fit)["estimate"] for fit in fits])
    right = np.mean(
        [
            effects.regress(frame[frame["t"] > 0], "y", "d", ["last"], ["t"], cluster="school")[
                "estimate"
            ].iloc[0]
            for frame in frames
        ]
    )
    assert wrong > 0.35
    assert right == pytest.approx(0.10, abs=0.03)  # its error in eight districts of 625 is about 0.01


def test_the_check_goes_off_and_nothing_is_confirmatory(dips):
    _, fits = dips
    for fit in fits:
        check = fit.check("lagged_outcome")
        assert check.status == "failed"
        assert "never confirmatory" in check.text["en"] and "不能作为确证性结论" in check.text["zh"]
        assert check.table.set_index("quantity").loc["last_outcome", "coefficient"] < 0
        assert set(fit.estimates["role"]) == {"exploratory"}
        assert set(fit.estimates["evidence"]) <= {"descriptive", "not_estimable"}
        assert fit.check("pre_trend").status == "failed"


def test_visits_by_lot_may_be_confirmatory_and_causal_only_as_assumed():
    frame = come_and_go(2)
    options = {**VISITS, "carry_over": "none", "role": "confirmatory"}
    fit = effects.fit_did(frame, **options)[0]
    assert fit.check("lagged_outcome").status == "passed"
    assert simple(fit)["role"] == "confirmatory"
    assert set(fit.estimates.loc[fit.estimates["estimand"] != "simple", "role"]) == {"exploratory"}
    assert simple(fit)["evidence"] == "adjusted_association"
    assumed = effects.fit_did(frame, **options, assumption="the rota was set in September")[0]
    assert simple(assumed)["evidence"] == "quasi_experimental"


def test_what_cannot_be_tested_is_not_confirmatory():
    fit = effects.fit_did(staggered(4, terms=2).assign(y=lambda f: f["y"].where(f["t"] > 0, 1.0)), **GIVEN, role="confirmatory")[0]  # fmt: skip
    assert fit.check("lagged_outcome").status == "not_applicable"
    assert simple(fit)["role"] == "exploratory"


@pytest.mark.parametrize("method", ["did", "student_fixed_effects"])
@pytest.mark.parametrize("name", ["lagged_outcome", "pre_trend", "carry_over", "strict_exogeneity"])
def test_a_failed_test_leaves_a_description(method, name):
    passed = [
        Check(each, "passed") for each in ("lagged_outcome", "pre_trend", "strict_exogeneity") if each != name
    ]
    kept = evidence_of(method, checks=passed, assumption="stated")
    assert kept.evidence == ("quasi_experimental" if name != "lagged_outcome" else "adjusted_association")
    assert (
        evidence_of(method, checks=[*passed, Check(name, "failed")], assumption="stated").evidence
        == "descriptive"
    )


# ---- carry-over ---------------------------------------------------------------------------------------------


def test_visits_that_matter_longer_than_declared_are_found():
    frame = come_and_go(5, carries=0.3)
    short = effects.fit_did(frame, **VISITS, carry_over="none")[0]
    check = short.check("carry_over")
    assert check.status == "failed"
    row = short.estimates[short.estimates["estimand"] == "carry_over"].iloc[0]
    assert (row["at"], row["estimate"]) == (1.0, check.table["estimate"].iloc[0])
    assert row["estimate"] == pytest.approx(0.3, abs=3 * row["std_error"])
    assert set(short.estimates["evidence"]) <= {"descriptive", "not_estimable"}
    right = effects.fit_did(frame, **VISITS, carry_over=1)[0]
    assert right.check("carry_over").status == "passed"
    by_event = right.estimates[right.estimates["estimand"] == "dynamic"].set_index("at")
    for at in (0.0, 1.0):
        assert by_event.loc[at, "estimate"] == pytest.approx(0.3, abs=3 * by_event.loc[at, "std_error"])


def test_under_any_carry_over_only_first_visits_are_used():
    frame = come_and_go(6, carries=0.3)
    fit = effects.fit_did(frame, **VISITS, carry_over="any")[0]
    ever = frame.assign(d=frame.groupby("s")["d"].cummax())
    lasting = effects.fit_did(ever, **GIVEN, cluster="school")[0]
    same = ["estimand", "subgroup", "term", "at", "estimate", "std_error"]
    pd.testing.assert_frame_equal(fit.estimates[same], lasting.estimates[same])
    assert fit.check("carry_over").status == "not_applicable"


def test_a_longer_carry_over_needs_more_terms_known():
    frame = come_and_go(7)
    first = {
        lasting: effects.fit_did(frame, **VISITS, carry_over=lasting)[0].cells.query("kind == 'effect'")["term"].min()
        for lasting in (0, 1, 2)
    }  # fmt: skip
    assert first == {0: "1", 1: "2", 2: "3"}
    short = frame[frame["t"] < 3]
    rows = effects.did(short, **VISITS, carry_over=4)
    assert set(rows["status"]) == {"not_estimable"}


def test_an_exposure_missing_in_one_term_leaves_the_terms_it_touches():
    frame = come_and_go(8)
    frame["d"] = frame["d"].astype(float)
    frame.loc[(frame["t"] == 2) & (frame["s"] < 50), "d"] = np.nan
    before, after = (
        effects.fit_did(each, **VISITS, carry_over="none")[0]
        .cells.query("kind == 'effect'")
        .set_index("term")
        for each in (come_and_go(8), frame)
    )
    used = lambda cells, term: cells.loc[term, ["n_exposed", "n_unexposed"]].sum()  # noqa: E731
    assert used(after, "1") == used(before, "1") and used(after, "5") == used(before, "5")
    assert used(after, "2") < used(before, "2") and used(after, "3") < used(before, "3")


# ---- bad input --------------------------------------------------------------------------------------------

FRAME = come_and_go(9, schools=8, size=15, terms=4)
LASTING = staggered(9, schools=8, terms=4)
FUNCTIONS = {
    "did": lambda f: effects.did(f, **GIVEN, covariates=["x"], cluster="school", exposure="reversible", carry_over="any"),
    "did, no cluster": lambda f: effects.did(f, **GIVEN, covariates=["x"], exposure="reversible", carry_over="none"),
    "did, never": lambda f: effects.did(f, **GIVEN, covariates=["x"], cluster="school", exposure="reversible",
                                        carry_over="any", controls="never"),
    "student_fixed_effects": lambda f: effects.student_fixed_effects(f, **GIVEN, covariates=["x"], cluster="school",
                                                                    carry_over="none"),
    "student_fixed_effects, wild": lambda f: effects.student_fixed_effects(
        f, **GIVEN, covariates=["x"], cluster="school", carry_over=1, se_type="wild", n_draws=99),
}  # fmt: skip
BREAKS = {
    "constant outcome": FRAME.assign(y=1.0),
    "no outcome": FRAME.assign(y=np.nan),
    "text for scores": FRAME.assign(y="1O3"),
    "infinite outcome": FRAME.assign(y=FRAME["y"].where(FRAME.index % 5 > 0, np.inf)),
    "infinite covariate": FRAME.assign(x=FRAME["x"].where(FRAME.index % 5 > 0, -np.inf)),
    "one cluster": FRAME.assign(school=1),
    "cluster unknown": FRAME.assign(school=None),
    "clusters drawn anew": FRAME.assign(school=(FRAME["school"] + FRAME["t"]) % 8),
    "all exposed": FRAME.assign(d=1),
    "nobody exposed": FRAME.assign(d=0),
    "exposure unknown": FRAME.assign(d=np.nan),
    "no rows": FRAME.head(0),
    "one row": FRAME.head(1),
    "one term": FRAME[FRAME["t"] == 1],
    "one student": FRAME[FRAME["s"] == FRAME.loc[FRAME["d"] == 1, "s"].iloc[0]],
    "a term twice": pd.concat([FRAME, FRAME.head(3)]),
    "no student names": FRAME.assign(s=None),
    "an exposed student alone": FRAME.assign(d=((FRAME["s"] == 1) & (FRAME["t"] == 2)).astype(int)),
    "outcome follows exactly": FRAME.assign(y=FRAME["d"] + FRAME["t"] * 1.0),
}
LEAVES_ALONE = {
    "one cluster": ("did, no cluster",), "cluster unknown": ("did, no cluster",),
    "clusters drawn anew": ("did, no cluster",),
    # One student's change is known against many; that it stands in for chance is told by the errors.
    "an exposed student alone": ("student_fixed_effects", "student_fixed_effects, wild"),
    # What started before, in 'any', hides later visits, so that the change isn't the same for everybody.
    "outcome follows exactly": ("did", "did, never"),
}  # fmt: skip


@pytest.mark.parametrize(
    ("name", "case"),
    [(name, case) for name in FUNCTIONS for case in BREAKS if name not in LEAVES_ALONE.get(case, ())],
)
@pytest.mark.filterwarnings("error::RuntimeWarning")
def test_bad_data_end_in_a_reason(name, case):
    rows = FUNCTIONS[name](BREAKS[case].copy())
    assert len(rows) and set(rows["status"]) == {"not_estimable"}, rows.T.to_string()
    assert (rows["reason"].str.len() > 10).all()
    assert rows[["estimate", "std_error", "p_value", "conf_low", "effect_size"]].isna().all().all()
    for reason in rows["reason"]:
        assert reason_in(reason, "zh") != reason


@pytest.mark.parametrize("name", FUNCTIONS)
@pytest.mark.filterwarnings("error::RuntimeWarning")
def test_awkward_but_usable_data_give_finite_numbers(name):
    awkward = {
        "a constant covariate": FRAME.assign(x=1),
        "a covariate of words": FRAME.assign(x=np.where(FRAME["s"] % 3, "a", "b")),
        "huge numbers": FRAME.assign(x=1e9 * FRAME["x"]),
        "terms in words": FRAME.assign(t="2024-" + FRAME["t"].astype(str)),
        "terms in order": FRAME.assign(t=pd.Categorical(FRAME["t"].map(dict(enumerate("zyxw"))), list("zyxw"), ordered=True)),
        "flags": FRAME.assign(d=FRAME["d"] == 1),
        "outcomes missing here and there": FRAME.assign(y=FRAME["y"].where(FRAME.index % 9 > 0)),
        "rows missing": FRAME.drop(index=FRAME.index[::11]),
    }  # fmt: skip
    for case, frame in awkward.items():
        rows = FUNCTIONS[name](frame)
        main = rows[rows["estimand"].isin(["simple", "variance_weighted"])]
        assert set(main["status"]) == {"ok"}, (case, rows.T.to_string())
        assert np.isfinite(main[["estimate", "std_error", "p_value"]].to_numpy(dtype="float64")).all(), case


def test_terms_in_words_and_numbers_give_the_same():
    name = "did"
    words = FRAME.assign(t="2024-" + FRAME["t"].astype(str))
    same = ["estimand", "at", "estimate", "std_error", "df"]
    pd.testing.assert_frame_equal(FUNCTIONS[name](words)[same], FUNCTIONS[name](FRAME)[same])


@pytest.mark.parametrize(
    "options",
    [
        {"controls": "some"}, {"exposure": "maybe"}, {"base": "none"}, {"students": "all"}, {"role": "main"},
        {"se_type": "CR2"}, {"anticipation": -1}, {"se_type": "IF-CR2"},
    ],
)  # fmt: skip
def test_unknown_words_are_refused(options):
    with pytest.raises(ParameterError):
        effects.fit_did(LASTING, **GIVEN, **options)
