"""What is computed twice says the same: verdicts by SQL (profiles) and scores by formula (assessment, communities)."""

from __future__ import annotations

import tomllib
from dataclasses import replace
from datetime import date
from pathlib import Path

import pandas as pd
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from cobench.monitor import communities
from cobench.monitor.standards import judge
from cobench.monitor.units import of_frames
from cobench.study import study_from
from cobench.tables import TABLES, conform

from .case_table import STUDY_FILE

IDS = ("F310", "F311", "F312", "F609", "F1402", "F1707")
BASE = study_from(tomllib.loads(STUDY_FILE), Path("small"))
STUDY = replace(BASE, standards=replace(BASE.standards, also=IDS))
TERM = STUDY.term("t2")
TERMS = ("old", "t1", "t2")
STARTS = {"old": "2025-03-01", "t1": "2025-09-10", "t2": "2026-03-10"}
SCHOOLS = {"A": range(1, 4), "B": range(7, 9), "C": range(1, 3), "D": range(1, 2)}
UNITS = {"K": "AB", "M": "BCD", "N": "CABD"}  # one partner, two, and three, for which the rule says nothing
FEW = settings(max_examples=15, deadline=None, suppress_health_check=[HealthCheck.too_slow])

jury = st.lists(
    st.fixed_dictionaries(
        {"school": st.sampled_from("AB"), "item": st.sampled_from(["entry_1", "entry_2"]),
         "term": st.sampled_from(TERMS[1:]), "value": st.none() | st.integers(60, 100).map(float)}
    ),
    max_size=24,
)  # fmt: skip
ratings = st.lists(
    st.fixed_dictionaries(
        {"school": st.just("A"), "grade": st.integers(1, 3), "item": st.sampled_from("abcde"),
         "term": st.sampled_from(TERMS[1:]), "level": st.sampled_from(["A", "B", "C", None])}
    ),
    max_size=24, unique_by=lambda row: (row["grade"], row["item"], row["term"]),
)  # fmt: skip
whole = st.fixed_dictionaries(
    {"grade": st.integers(1, 3), "letters": st.lists(st.sampled_from("ABC"), min_size=4, max_size=4)}
)
ranks = st.lists(
    st.fixed_dictionaries(
        {"unit": st.sampled_from(list(UNITS)), "school": st.sampled_from("ABCD"), "term": st.sampled_from(TERMS),
         "value": st.integers(1, 16).map(float)}
    ),
    max_size=30, unique_by=lambda row: (row["unit"], row["school"], row["term"]),
)  # fmt: skip
postings = st.lists(
    st.fixed_dictionaries(
        {"unit": st.sampled_from(list(UNITS)), "teacher": st.sampled_from(["T1", "T2"]),
         "kind": st.sampled_from(["backbone", "studio", "online", "leader"]), "to_school": st.sampled_from("BC"),
         "valid_from": st.dates(date(2022, 9, 1), date(2026, 5, 1)).map(str), "term": st.sampled_from(TERMS),
         "days": st.none() | st.sampled_from([50.0, 100.0, 150.0]), "hours": st.none() | st.sampled_from([100.0, 100.5]),
         "n_events": st.none() | st.integers(7, 9), "passed": st.none() | st.booleans()}
    ),
    max_size=20,
    unique_by=lambda r: (r["unit"], r["teacher"], r["kind"], r["to_school"], r["valid_from"], r["term"]),
)  # fmt: skip
studios = st.lists(st.sampled_from([2021, 2022, 2023, 2024, 2025]), max_size=5)


def _frames(**given: list[dict]) -> dict[str, pd.DataFrame]:
    seats = [
        {"student": f"{school}{grade}", "term": term, "school": school, "class_id": f"{school}-{grade}",
         "grade": grade, "status": "enrolled"}
        for term in TERMS for school, grades in SCHOOLS.items() for grade in grades
    ]  # fmt: skip
    listed = [
        {"unit": unit, "term": term, "kind": "community", "school": school, "role": "member" if n else "lead"}
        for term in TERMS
        for unit, schools in UNITS.items()
        for n, school in enumerate(schools)
    ]
    base = {
        "schools": [{"school": s, "stage": "primary", "term": t} for s in SCHOOLS for t in TERMS],
        "enrolments": seats,
        "communities": listed,
    }
    return {name: conform(name, pd.DataFrame((base | given).get(name, []))) for name in TABLES}


def _records(kind: str, rows: list[dict]) -> list[dict]:
    return [{"record": f"{kind}-{i}", "kind": kind, **row} for i, row in enumerate(rows)]


def _both(frames: dict[str, pd.DataFrame]) -> tuple[pd.DataFrame, dict[str, pd.DataFrame]]:
    with of_frames(STUDY, TERM, frames) as connection:
        verdicts = judge(connection, STUDY, TERM).set_index(["standard", "body"])
    return verdicts, communities.community_frames(STUDY, TERM, frames)


@FEW
@given(jury)
def test_a_jury_gives_a_score_wherever_its_standard_is_met_and_the_same_one(rows):
    verdicts, scores = _both(_frames(records=_records("jury", rows)))
    found = scores["community_juries"]
    for school in "AB":
        own, row = found[found["school"] == school], verdicts.loc[("F1402", school)]
        score = own["score"].astype(float) if "score" in own else pd.Series(dtype=float)
        assert (row["n_met"], row["n_units"]) == (score.notna().sum(), len(own))
        assert row["total"] == pytest.approx(score.sum())


@FEW
@given(ratings, st.lists(whole, max_size=3, unique_by=lambda row: row["grade"]))
def test_a_grade_team_is_scored_where_its_standard_is_met_and_never_above_1200(rows, again):
    full = [
        {"school": "A", "grade": each["grade"], "item": item, "term": "t2", "level": letter}
        for each in again
        for item, letter in zip("abcd", each["letters"], strict=True)
    ]
    held = {(r["grade"], r["item"], r["term"]): r for r in [*rows, *full]}
    verdicts, scores = _both(_frames(records=_records("grade_criterion", list(held.values()))))
    row = verdicts.loc[("F1707", "A")]
    rated = scores["community_ratings"]
    n = int(rated["n_rated"].sum())
    assert (row["n_met"], row["n_units"]) == (n, 3)
    if n == 3:
        assert 3 * rated["lowest"].iloc[0] <= row["total"] <= 3 * rated["highest"].iloc[0] <= 3600


@FEW
@given(ranks)
def test_a_lead_school_is_exempt_in_both_or_in_neither(rows):
    known = [
        {"unit": u, "school": s, "term": "t2", "item": "score", "value": 80.0}
        for u in UNITS
        for s in UNITS[u]
    ]
    given_rows = [*known, *({"item": "rank", **row} for row in rows)]
    verdicts, scores = _both(_frames(records=_records("community_score", given_rows)))
    for row in scores["community_scores"].itertuples():
        if row.n_partners > 2:
            assert ("F609", row.unit) not in verdicts.index or not verdicts.loc[("F609", row.unit), "n_units"]
            assert row.reason_en is not None
            continue
        told = verdicts.loc[("F609", row.unit)]
        wanted = {"exempt": (1, 1), "bundled": (0, 1), "unknown": (0, 0)}[row.exempt]
        assert (told["n_met"], told["n_units"]) == wanted


@FEW
@given(postings, studios)
def test_a_route_earns_credit_where_its_standard_is_met(rows, years):
    studio = [
        {"unit": "K", "teacher": "T3", "kind": "studio", "to_school": "B", "valid_from": f"{year}-09-0{i + 1}",
         "term": "t2", "n_events": 8, "passed": True}
        for i, year in enumerate(years)
    ]  # fmt: skip
    frames = _frames(postings=[*rows, *studio])
    verdicts, _ = _both(frames)
    latest = communities.newest(
        frames["postings"], ["teacher", "unit", "to_school", "kind", "valid_from"], TERMS
    )
    credits = communities.credits(latest)
    for standard, kind in {"F310": "backbone", "F311": "studio", "F312": "online"}.items():
        for unit, own in credits[credits["kind"] == kind].groupby("unit"):
            row = verdicts.loc[(standard, unit)]
            assert row["n_met"] == own["route"].notna().sum()
            if standard != "F311":  # there only whose three school years have passed are asked
                assert row["n_units"] == len(own)
            assert row["n_units"] >= row["n_met"]
