"""The page on communities and satisfaction: silence is said, refusals are printed, small groups stay hidden."""

from __future__ import annotations

import tomllib
from pathlib import Path

import numpy as np
import pandas as pd
import pytest

from cobench.monitor.communities import community_frames
from cobench.monitor.satisfaction import BY_LECTURE, ESTIMATES
from cobench.study import study_from
from cobench.tables import TABLES, conform, empty
from cobench.workbench import communities, satisfaction
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
