"""School communities 教共体: tasks and milestones, what was held, who was posted, mentoring, scores, before and after.

All frames are about schools, postings and events. Whether a rule was met says :mod:`cobench.monitor.standards`; here
stand the figures behind it, and the scores that formulas give (:mod:`cobench.monitor.assessment`).
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from datetime import date

import numpy as np
import pandas as pd

from cobench.errors import CobenchError, NotEstimableError
from cobench.monitor import assessment
from cobench.monitor.periods import MILESTONES
from cobench.study import Study, Term

TABLES = ("communities", "postings", "tasks")
ACTIVITIES = 5  # a mentoring pair's a year
DISTRICT = "district"
PROGRESS = ["unit", "due", "n_planned", "n_done", "share", "required", "status"]
QUOTAS = ["unit", "kind", "n_planned", "n_done", "share"]
LESSONS = ["unit", "kind", "n_term", "n_year"]
POSTED = ["unit", "kind", "n_postings", "n_now", "n_credited"]
MENTORING = ["unit", "n_pairs", "n_active", "n_activities", "fewest"]
SCORES = ["unit", "school", "n_partners", "own", "partners", "score", "exempt", "reason_zh", "reason_en"]
RATED = ["school", "n_rated", "lowest", "highest", "reason_zh", "reason_en"]
JURIED = ["school", "item", "n_judges", "score", "reason_zh", "reason_en"]
CHANGED = [
    "measure", "unit", "school", "first_term", "last_term",
    *(name for name in assessment.CHANGES if name not in ("school", "reason")), "reason_zh", "reason_en",
]  # fmt: skip
_KEYS = {"postings": ["teacher", "unit", "to_school", "kind", "valid_from"], "tasks": ["task"]}


def community_frames(
    study: Study, term: Term, frames: Mapping[str, pd.DataFrame], as_of: date | None = None
) -> dict[str, pd.DataFrame]:
    """Every frame of this module by name, from the canonical tables of all terms up to ``term``."""
    until = [each.id for each in study.terms_until(term.id)]
    latest = {name: newest(frames[name], _KEYS[name], until) for name in _KEYS}
    units = units_of(frames["communities"], term)
    of_year = [each.id for each in study.school_year_terms(term.id) if each.id in until]
    before = [each.id for each in study.terms if each.school_year == term.school_year - 1]
    records = frames["records"]
    day = min(as_of or study.standards.as_of or term.end, term.end)
    return {
        "communities": units,
        "community_progress": progress(latest["tasks"], units, term.start.year, day),
        "community_quotas": quotas(latest["tasks"], units, term.start.year, day),
        "community_lessons": lessons(frames["events"], units, term, day),
        "community_postings": posted(latest["postings"], units, day),
        "community_mentoring": mentoring(records, frames["events"], units, term, day),
        "community_scores": scores(records, units, of_year, before),
        "community_ratings": rated(records[records["term"].isin(of_year)]),
        "community_juries": juried(records[records["term"] == term.id]),
        "community_changes": changed(study, term, frames, units),
    }


def newest(rows: pd.DataFrame, key: Sequence[str], terms: Sequence[str]) -> pd.DataFrame:
    """Rows listed again in each term's file once, as the newest of ``terms`` (oldest first) has them."""
    place = rows["term"].map({term: i for i, term in enumerate(terms)})
    return rows.loc[place.sort_values(kind="stable").index].drop_duplicates(list(key), keep="last")


def units_of(communities: pd.DataFrame, term: Term) -> pd.DataFrame:
    """``unit, kind, school, role, stage`` of ``term``, the lead first."""
    own = communities[communities["term"] == term.id]
    rank = own["role"].map({"lead": 0}).fillna(1)
    ordered = own.assign(_rank=rank).sort_values(["unit", "_rank", "school"])
    return ordered[["unit", "kind", "school", "role", "stage"]].reset_index(drop=True)


def progress(tasks: pd.DataFrame, units: pd.DataFrame, year: int, as_of: date) -> pd.DataFrame:
    """Tasks of each pair done by each milestone of ``year``: 40, 60, 80, 100 % at the end of March, June, September, October.

    Returns
    -------
    DataFrame
        Columns :data:`PROGRESS`; ``status`` is ``reached``, ``behind``, ``not_yet_due`` or ``no_data`` (no task listed).
        Only tasks listed so far are known: a pair that lists them late looks further than it is.
    """
    own = _of_year(tasks, year)
    rows = []
    for unit in _named(units, ("pair",)):
        listed = own[own["unit"] == unit]
        planned = float(listed["planned"].sum())
        for month, day, required in MILESTONES:
            due = date(year, month, day)
            by = min(due, as_of)
            done = float(listed.loc[listed["done_on"] <= pd.Timestamp(by), "done"].sum())
            share = done / planned if planned else np.nan
            rows.append((unit, due, planned, done, share, required, _status(share, required, due > as_of)))
    found = pd.DataFrame(rows, columns=PROGRESS)
    return found.assign(due=pd.to_datetime(found["due"]))


def _status(share: float, required: float, later: bool) -> str:
    if later:
        return "not_yet_due"
    if np.isnan(share):
        return "no_data"
    return "reached" if share >= required - 1e-9 else "behind"  # 0.6 is not quite 6 tenths


def quotas(tasks: pd.DataFrame, units: pd.DataFrame, year: int, as_of: date) -> pd.DataFrame:
    """Planned and done by kind of task in ``year``, a row a unit and kind: columns :data:`QUOTAS`."""
    own = _of_year(tasks, year)
    own = own[own["unit"].isin(units["unit"])]
    done = own["done"].where(own["done_on"] <= pd.Timestamp(as_of), 0.0)
    summed = own.assign(n_planned=own["planned"], n_done=done)
    summed = summed.groupby(["unit", "kind"], sort=True)[["n_planned", "n_done"]].sum().reset_index()
    return summed.assign(share=summed["n_done"] / summed["n_planned"].where(summed["n_planned"] > 0))[QUOTAS]


def _of_year(tasks: pd.DataFrame, year: int) -> pd.DataFrame:
    return tasks[tasks["due"].dt.year.fillna(year).eq(year) & (tasks["planned"] > 0)]


def lessons(events: pd.DataFrame, units: pd.DataFrame, term: Term, as_of: date) -> pd.DataFrame:
    """What each unit held, by kind: in the term, and in its calendar year so far; columns :data:`LESSONS`.

    Mentoring stands in :func:`mentoring`.
    """
    held = events[events["unit"].isin(units["unit"]) & events["date"].notna()]
    held = held[(held["date"] <= pd.Timestamp(as_of)) & (held["kind"] != "mentor_activity")]
    held = held[held["date"].dt.year.eq(term.start.year) | held["term"].eq(term.id)]
    flags = held.assign(n_term=held["term"].eq(term.id), n_year=held["date"].dt.year.eq(term.start.year))
    return flags.groupby(["unit", "kind"], sort=True)[["n_term", "n_year"]].sum().reset_index()[LESSONS]


def posted(postings: pd.DataFrame, units: pd.DataFrame, as_of: date) -> pd.DataFrame:
    """Postings of each unit by kind, columns :data:`POSTED`: all, those that run on ``as_of``, and teachers with a credited year.

    ``n_credited`` counts teachers whose days, studio years or online hours in all postings of the unit earn a year's
    credit; a teacher stands under each kind that earns it.
    """
    own = postings[postings["unit"].isin(units["unit"])]
    day = pd.Timestamp(as_of)
    now = (own["valid_from"] <= day) & ~(own["valid_to"] < day)
    counted = own.assign(n_postings=1, n_now=now.astype(int))
    counted = counted.groupby(["unit", "kind"], sort=True)[["n_postings", "n_now"]].sum().reset_index()
    credit = credits(own)
    earned = credit[credit["route"].notna()].groupby(["unit", "kind"]).size().rename("n_credited")
    joined = counted.join(earned, on=["unit", "kind"])
    return joined.assign(n_credited=joined["n_credited"].fillna(0).astype(int))[POSTED]


def credits(postings: pd.DataFrame) -> pd.DataFrame:
    """``unit, teacher, kind, route`` of each teacher and kind of posting that has a route to credit; ``route`` None without credit.

    Pseudonyms of teachers: for counting, never shown.
    """
    kinds = {"backbone": "days", "studio": "studio", "online": "online"}
    rows = []
    for (unit, teacher), own in postings.groupby(["unit", "teacher"], sort=True):
        studio = own[own["kind"] == "studio"]
        # A school year begins in autumn, so that autumn and the spring after it are one year.
        years = studio.assign(year=(studio["valid_from"] - pd.DateOffset(months=7)).dt.year).groupby("year")
        found = assessment.teaching_credit(
            days=float(own.loc[own["kind"] == "backbone", "days"].sum()),
            studio_years=[_studio_year(year) for _, year in years],
            hours=float(own.loc[own["kind"] == "online", "hours"].sum()),
        )
        for kind in sorted(set(own["kind"]) & set(kinds)):
            rows.append((unit, teacher, kind, kinds[kind] if kinds[kind] in found.routes else None))
    return pd.DataFrame(rows, columns=["unit", "teacher", "kind", "route"])


def _studio_year(rows: pd.DataFrame) -> tuple[float, bool]:
    """The best passed listing of a year, so that several listings of one year don't add up."""
    passed = rows[rows["passed"].fillna(False)]
    return (float(passed["n_events"].fillna(0).max()), True) if len(passed) else (0.0, False)


def mentoring(
    records: pd.DataFrame, events: pd.DataFrame, units: pd.DataFrame, term: Term, as_of: date
) -> pd.DataFrame:
    """Pairs of mentor and mentored of each unit: how many, with five activities or more this calendar year, and the fewest.

    Columns :data:`MENTORING`; units without a pair are left out.
    """
    pairs = records[(records["kind"] == "mentor_pair") & records["unit"].isin(units["unit"])]
    pairs = pairs[["unit", "item"]].dropna().drop_duplicates()
    held = events[(events["kind"] == "mentor_activity") & events["date"].dt.year.eq(term.start.year)]
    held = held[held["date"] <= pd.Timestamp(as_of)]
    n = held.groupby(["unit", "topic"]).size().rename("n")
    counted = pairs.join(n, on=["unit", "item"]).fillna({"n": 0})
    found = counted.groupby("unit", sort=True)["n"].agg(
        n_pairs="size", n_active=lambda each: (each >= ACTIVITIES).sum(), n_activities="sum", fewest="min"
    )
    return found.astype(int).reset_index()[MENTORING]


def scores(
    records: pd.DataFrame, units: pd.DataFrame, this_year: Sequence[str], last_year: Sequence[str]
) -> pd.DataFrame:
    """Bundled score of each community's lead school, or why the rule gives none: columns :data:`SCORES`."""
    given = records[records["kind"] == "community_score"]
    rows = []
    for unit in _named(units, ("community",)):
        own = units[units["unit"] == unit]
        of_unit = given[given["unit"] == unit]
        score = _last(of_unit, "score", this_year)
        now, then = _last(of_unit, "rank", this_year), _last(of_unit, "rank", last_year)
        lead = own.loc[own["role"] == "lead", "school"]
        partners = own.loc[own["role"] != "lead", "school"].to_list()
        row = dict.fromkeys(SCORES) | {"unit": unit, "n_partners": len(partners)}
        row["school"] = None if lead.empty else lead.iloc[0]
        ranks = [(then.get(each, np.nan), now.get(each, np.nan)) for each in partners]
        values = [score.get(each, np.nan) for each in partners]
        own_score = score.get(row["school"], np.nan)
        row |= {"own": own_score, **_tried(_bundled, own_score, values, ranks)}
        rows.append(row)
    typed = pd.DataFrame(rows, columns=SCORES)
    return typed.astype({"own": float, "partners": float, "score": float})


def _bundled(own: float, partners: list[float], ranks: list[tuple[float, float]]) -> dict[str, object]:
    found = assessment.bundled(own, partners, ranks)
    exempt = {True: "exempt", False: "bundled", None: "unknown"}[found.exempt]
    return {"partners": found.partners, "score": found.score, "exempt": exempt}


def _last(rows: pd.DataFrame, item: str, terms: Sequence[str]) -> dict[str, float]:
    """Newest value of each school among ``terms``."""
    own = _in_time(rows[(rows["item"] == item) & rows["term"].isin(terms)])
    return own.dropna(subset=["value"]).groupby("school")["value"].last().to_dict()


def _in_time(rows: pd.DataFrame) -> pd.DataFrame:
    """Rows from the oldest to the newest; within a term those without a day first."""
    return rows.sort_values(["term", "date"], kind="stable", na_position="first")


def rated(records: pd.DataFrame) -> pd.DataFrame:
    """Points of the grade teams of each school: how many were scored, the lowest and highest; columns :data:`RATED`.

    A school with a team that the rule can't score says why, beside those it can. A criterion rated again counts as it
    was rated last.
    """
    own = _in_time(records[records["kind"] == "grade_criterion"])
    rows = []
    for school, of_school in own.groupby("school", sort=True):
        found = [
            _tried(
                lambda ratings: {"score": assessment.rating_score(ratings)},
                dict(zip(team["item"], team["level"], strict=True)),
            )
            for _, team in of_school.groupby("grade", sort=True)
        ]
        points = [each["score"] for each in found if "score" in each]
        refused = next((each for each in found if "score" not in each), {})
        lowest, highest = (min(points), max(points)) if points else (np.nan, np.nan)
        rows.append(
            {"school": school, "n_rated": len(points), "lowest": lowest, "highest": highest} | refused
        )
    return pd.DataFrame(rows, columns=RATED)


def juried(records: pd.DataFrame) -> pd.DataFrame:
    """Trimmed mean of each entry judged by a jury in one term, a row a school and entry: columns :data:`JURIED`."""
    own = records[records["kind"] == "jury"]
    rows = [
        {"school": school, "item": item, "n_judges": len(entry)}
        | _tried(lambda given: {"score": assessment.jury_mean(given)}, entry["value"].to_list())
        for (school, item), entry in own.groupby(["school", "item"], sort=True)
    ]
    return pd.DataFrame(rows, columns=JURIED)


def changed(
    study: Study, term: Term, frames: Mapping[str, pd.DataFrame], units: pd.DataFrame
) -> pd.DataFrame:
    """Change of the units' schools in each common test, the district's own in the first row: columns :data:`CHANGED`.

    The newest sitting up to ``term`` against the first sitting in an earlier school year. Children of a grade are
    compared with those who sat in that grade then, each grade on its own scale.
    """
    measures = {each.measure for each in study.outcomes.values() if each.test == "common" and each.measure}
    sat = frames["outcomes"]
    sat = sat[sat["measure"].isin(measures) & sat["value"].notna()]
    seats = frames["enrolments"].drop_duplicates(["student", "term"])[
        ["student", "term", "school", "class_id", "grade"]
    ]
    parts = []
    for measure, own in sat.groupby("measure", sort=True):
        terms = [each for each in study.terms_until(term.id) if each.id in set(own["term"])]
        if not terms or terms[0].school_year == terms[-1].school_year:
            continue
        first, last = terms[0].id, terms[-1].id
        two = own[own["term"].isin([first, last])].merge(seats, on=["student", "term"])
        two = two.assign(occasion=two["term"].map({first: "before", last: "after"}), cluster=two["class_id"])
        two = two[two["grade"].isin(two.loc[two["occasion"] == "before", "grade"])]
        whole = two.assign(cluster=two["school"], school=DISTRICT)
        try:
            found = pd.concat([assessment.changes(each, within=["grade"]) for each in (whole, two)])
        except NotEstimableError:
            continue
        parts.append(found.assign(measure=measure, first_term=first, last_term=last))
    if not parts:
        return pd.DataFrame(columns=CHANGED)
    joined = pd.concat(parts).merge(units[["unit", "school"]], on="school", how="left")
    kept = joined[joined["unit"].notna() | joined["school"].eq(DISTRICT)]
    told = {f"reason_{each}": [_said(reason, each) for reason in kept["reason"]] for each in ("zh", "en")}
    return kept.assign(**told).sort_values(["measure", "unit"], na_position="first", kind="stable")[CHANGED]


def _said(reason: object, language: str) -> str | None:
    return None if reason is None or reason != reason else reason[language]


def _tried(formula: Callable[..., dict[str, object]], *given: object) -> dict[str, object]:
    """What ``formula`` gives, or why it gives nothing."""
    try:
        return formula(*given)
    except CobenchError as refused:
        return {"reason_zh": refused.zh, "reason_en": refused.en}


def _named(units: pd.DataFrame, kinds: Sequence[str]) -> list[str]:
    return sorted(units.loc[units["kind"].isin(kinds), "unit"].unique())
