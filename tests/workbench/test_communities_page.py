"""The page on communities and satisfaction: silence is said, refusals are printed, small groups stay hidden."""

from __future__ import annotations

import tomllib
from dataclasses import replace
from pathlib import Path

import numpy as np
import pandas as pd
import pytest

from cobench.monitor.communities import community_frames
from cobench.monitor.satisfaction import BY_LECTURE, ESTIMATES
from cobench.study import study_from
from cobench.tables import TABLES, conform, empty
from cobench.workbench import communities, norms, satisfaction
from cobench.workbench.desk import Desk

STUDY = """
[study]
id = "small"
label = "small"
[[terms]]
id = "2025-2026-2"
start = 2026-03-02
end = 2026-07-10
[[sources]]
table = "outcomes"
files = "*.xlsx"
school = "column"
columns = {school = "s", student_name = "n"}
measures = {math = "m"}
"""
TERM = "2025-2026-2"
PARTS = ("progress", "quotas", "lessons", "postings", "mentoring", "scores", "members")


def _desk(frames: dict[str, pd.DataFrame], language: str = "zh") -> Desk:
    study = study_from(tomllib.loads(STUDY), Path("nowhere"))
    term = study.term(TERM)
    canonical = {name: empty(name) for name in TABLES} | frames
    return Desk(study, term, language, community_frames(study, term, canonical))


def _communities(*rows) -> pd.DataFrame:
    frame = pd.DataFrame(rows, columns=["unit", "kind", "school", "role"])
    return conform("communities", frame.assign(term=TERM))


@pytest.mark.parametrize("language", ["zh", "en"])
def test_a_term_without_a_list_says_plainly_that_nothing_was_sent(language):
    desk = _desk({}, language)
    assert communities.lede(desk).text == desk.say("page.no_communities")
    for part in PARTS:
        shown = getattr(communities, part)(desk)
        assert (
            "<table" not in shown.html and {"zh": "没有报送", "en": "No such records"}[language] in shown.text
        )


@pytest.mark.parametrize("language", ["zh", "en"])
def test_a_refused_score_is_printed_with_its_reason(language):
    rows = [("U1", "community", school, "lead" if school == "A" else "member") for school in "ABCD"]
    scores = pd.DataFrame({"school": list("ABCD"), "unit": "U1", "kind": "community_score", "item": "score"})
    scores = conform("records", scores.assign(value=80.0, term=TERM, record=list("1234")))
    desk = _desk({"communities": _communities(*rows), "records": scores}, language)
    shown = communities.scores(desk)
    assert {"zh": "该共同体有 3 所", "en": "this community has 3"}[language] in shown.text
    assert {"zh": "1 个按现行办法无法计算", "en": "refused for 1"}[language] in communities.lede(desk).text


def _satisfied(n_asked: int, n_answered: int, share: float) -> Desk:
    row = {
        "item": "p23", "statistic": "top_two", "n_asked": n_asked, "n_answered": n_answered,
        "response_rate": n_answered / n_asked, "raw": share, "weighted": share, "std_error": 0.02, "df": 9.0,
        "conf_low": share - 0.04, "conf_high": share + 0.04, "bound_low": share * n_answered / n_asked,
        "bound_high": (share * n_answered + n_asked - n_answered) / n_asked,
    }  # fmt: skip
    desk = _desk({})
    frames = {
        "satisfaction": pd.DataFrame([row])[ESTIMATES],
        "satisfaction_by_lecture": pd.DataFrame(columns=BY_LECTURE),
    }
    return Desk(desk.study, desk.term, "zh", frames)


def test_a_share_is_printed_where_all_groups_are_large():
    found = satisfaction.shares_released(_satisfied(200, 150, 0.6)).frame
    assert found["share_answered"].iloc[0] == 0.6 and found["share_worst"].iloc[0] == 0.45


@pytest.mark.parametrize(
    ("asked", "answered", "share"), [(200, 150, 0.98), (200, 150, 0.02), (155, 150, 0.6)]
)
def test_no_bound_gives_away_few_discontent_few_content_or_few_silent(asked, answered, share):
    found = satisfaction.shares_released(_satisfied(asked, answered, share)).frame
    assert np.isnan(found[list(satisfaction.SHARES)].to_numpy(dtype=float)).all()


def _by_school(n_answered: int) -> Desk:
    row = {
        "item": "p23", "statistic": "mean", "n_asked": 200, "n_answered": n_answered, "school": "S01",
        "response_rate": n_answered / 200, "raw": 4.0, "weighted": 4.1, "std_error": 0.1, "df": 9.0,
        "conf_low": 3.9, "conf_high": 4.3, "bound_low": 3.25, "bound_high": 4.25,
    }  # fmt: skip
    desk = _desk({})
    return Desk(desk.study, desk.term, "zh", {"satisfaction_by_school": pd.DataFrame([row])})


def test_a_schools_mean_stands_between_what_the_silent_could_make_of_it():
    row = satisfaction.by_school_released(_by_school(150)).frame.iloc[0]
    assert (row["worst"], row["mean_weighted"], row["best"]) == (3.25, 4.1, 4.25)


def test_a_mean_of_a_few_answers_is_hidden_however_many_were_asked():
    row = satisfaction.by_school_released(_by_school(4)).frame.iloc[0]
    assert row[["mean_weighted", "conf_low", "worst", "best"]].isna().all()


def _knowing(n_met: float, n_units: float, n_asked: float) -> Desk:
    study = _desk({}).study
    study = replace(study, standards=replace(study.standards, also=("A06",)))
    row = {"standard": "A06", "profile": "parent_school", "kind": "target", "body": "A", "school": "A", "community": None,
           "n_met": n_met, "n_units": n_units, "n_asked": n_asked, "verdict": "not_met"}  # fmt: skip
    return Desk(study, study.term(TERM), "en", {"standards": pd.DataFrame([row])})


def test_a_knowledge_rate_has_its_bounds_under_nonresponse_beside_it():
    # 60 of 150 who answered know; of 200 families, 60 to 110 would.
    text = norms.under_nonresponse(_knowing(60, 150, 200)).text
    assert "150 of 200" in text and "between 30.0% and 55.0%" in text


def test_of_few_answers_no_bounds_are_printed():
    assert norms.under_nonresponse(_knowing(3, 6, 200)).text == ""
