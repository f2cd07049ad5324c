"""Whom the work reached: by mode, over weeks, and who was never reached by anything."""

from __future__ import annotations

from collections.abc import Mapping

import pandas as pd

from cobench.study import Study, Term

MODES = ("at_home", "at_school", "video", "phone", "wechat")
REACH = ["n_students", "n_with_log", *(f"n_{mode}" for mode in MODES), "n_any", "n_never"]


def reach(term: Term, frames: Mapping[str, pd.DataFrame], by: tuple[str, ...] = ("school",)) -> pd.DataFrame:
    """Students reached in ``term`` by each mode, with those never reached.

    Returns
    -------
    DataFrame
        Columns ``by`` and :data:`REACH`, a row a school (or class); ``n_never`` counts only students whose class's log arrived,
        because no log says nothing about visits.
    """
    roster = _roster(term, frames)
    contacts = frames["contacts"]
    contacts = contacts[(contacts["term"] == term.id) & contacts["student"].isin(roster["student"])]
    reached = {mode: set(contacts.loc[contacts["mode"] == mode, "student"]) for mode in MODES}
    anyhow = set(contacts["student"])
    flags = roster.assign(
        **{f"n_{mode}": roster["student"].isin(reached[mode]) for mode in MODES},
        n_any=roster["student"].isin(anyhow),
        n_with_log=roster["has_log"],
        n_never=roster["has_log"] & ~roster["student"].isin(anyhow),
        n_students=1,
    )
    return flags.groupby(list(by), sort=True)[REACH].sum().reset_index()


def coverage_by_week(term: Term, frames: Mapping[str, pd.DataFrame]) -> pd.DataFrame:
    """Share of students reached face to face (at home) and by anything, cumulated over the weeks of a term.

    Returns
    -------
    DataFrame
        ``week`` (1 is the week of ``term.start``), ``mode`` (``at_home`` or ``any``), ``n_reached``,
        ``n_students`` (with a log).
    """
    roster = _roster(term, frames)
    roster = roster[roster["has_log"]]
    contacts = frames["contacts"]
    contacts = contacts[(contacts["term"] == term.id) & contacts["student"].isin(roster["student"])]
    week = (contacts["date"] - pd.Timestamp(term.start)).dt.days // 7 + 1
    n_weeks = (term.end - term.start).days // 7 + 1
    rows = []
    for mode in ("at_home", "any"):
        counted = contacts if mode == "any" else contacts[contacts["mode"] == mode]
        first = week.loc[counted.index].clip(lower=1).groupby(counted["student"]).min()
        reached = first.value_counts().reindex(range(1, n_weeks + 1), fill_value=0).cumsum()
        rows.append(pd.DataFrame({"week": reached.index, "mode": mode, "n_reached": reached.to_numpy()}))
    return pd.concat(rows, ignore_index=True).assign(n_students=len(roster))


def lectures(term: Term, frames: Mapping[str, pd.DataFrame]) -> pd.DataFrame:
    """Lectures of ``term``: ``school, event, date, topic, n_invited, n_present``.

    ``n_present`` counts invited families only, so that it is a share of ``n_invited``.
    """
    events = frames["events"]
    events = events[(events["term"] == term.id) & (events["kind"] == "lecture")]
    attendance = frames["attendance"]
    attendance = attendance[attendance["term"] == term.id]
    invited = attendance[attendance["invited"].fillna(False)]
    counted = invited.groupby("event", as_index=False).agg(
        n_invited=("invited", "sum"), n_present=("present", "sum")
    )
    return (
        events[["school", "event", "date", "topic"]]
        .merge(counted, on="event", how="inner", validate="1:1")
        .astype({"n_invited": "int64", "n_present": "int64"})
        .sort_values(["school", "date", "event"])
        .reset_index(drop=True)
    )


def _roster(term: Term, frames: Mapping[str, pd.DataFrame]) -> pd.DataFrame:
    enrolments, logs = frames["enrolments"], frames["logs"]
    now = enrolments[
        (enrolments["term"] == term.id) & enrolments["status"].isin(["enrolled", "transferred_in"])
    ]
    now = now[["student", "school", "class_id"]].drop_duplicates("student")
    arrived = logs.loc[(logs["table"] == "contacts") & (logs["term"] == term.id), "class_id"]
    return now.assign(has_log=now["class_id"].isin(arrived))


def key_students(study: Study, term: Term, frames: Mapping[str, pd.DataFrame]) -> pd.DataFrame:
    """Key students of ``term`` by category, with a last row ``any`` for their union.

    Returns
    -------
    DataFrame
        ``category, n_students`` (with a log), ``n_at_home, n_any`` (reached in the term).
    """
    roster = _roster(term, frames)
    logged = set(roster.loc[roster["has_log"], "student"])
    held = frames["memberships"]
    held = held[(held["term"] == term.id) & held["student"].isin(logged)]
    contacts = frames["contacts"]
    contacts = contacts[contacts["term"] == term.id]
    at_home = set(contacts.loc[contacts["mode"] == "at_home", "student"])
    anyhow = set(contacts["student"])
    groups = {c.id: set(held.loc[held["category"] == c.id, "student"]) for c in study.categories}
    groups["any"] = set().union(*groups.values()) if groups else set()
    rows = [(name, len(group), len(group & at_home), len(group & anyhow)) for name, group in groups.items()]
    return pd.DataFrame(rows, columns=["category", "n_students", "n_at_home", "n_any"])


def key_papers(study: Study, term: Term, frames: Mapping[str, pd.DataFrame]) -> pd.DataFrame:
    """Key students of ``term`` by category with what stands behind each, last the union ``any``.

    Returns
    -------
    DataFrame
        ``category, n_students, n_plan, n_archive`` (on file this school year), ``n_at_home`` (visited at home this school
        year), ``n_followed`` (an agreed follow-up was done).
    """
    year = [each.id for each in study.school_year_terms(term.id)]
    roster = set(_roster(term, frames)["student"])
    records, contacts = frames["records"], frames["contacts"]
    records = records[records["term"].isin(year) & records["holds"].fillna(True).astype(bool)]
    contacts = contacts[contacts["term"].isin(year)]
    having = {
        "n_plan": set(records.loc[records["kind"] == "plan", "student"]),
        "n_archive": set(records.loc[records["kind"] == "archive", "student"]),
        "n_at_home": set(contacts.loc[contacts["mode"] == "at_home", "student"]),
        "n_followed": set(contacts.loc[contacts["follow_up_done"].notna(), "student"]),
    }
    held = frames["memberships"]
    held = held[(held["term"] == term.id) & held["student"].isin(roster)]
    groups = {c.id: set(held.loc[held["category"] == c.id, "student"]) for c in study.categories}
    groups["any"] = set().union(*groups.values()) if groups else set()
    rows = [
        (name, len(group), *(len(group & with_) for with_ in having.values()))
        for name, group in groups.items()
    ]
    return pd.DataFrame(rows, columns=["category", "n_students", *having])


def opinions(term: Term, records: pd.DataFrame) -> pd.DataFrame:
    """Opinions of parents that schools received in ``term``, and when they were answered.

    Returns
    -------
    DataFrame
        ``school, n_opinions, n_at_once, n_in_time`` (within three days), ``n_later, n_unanswered, median_days`` (of those
        not answered at once). A nil return is a row of zeros. A reply dated before its opinion counts under none of them.
    """
    rows = records[(records["term"] == term.id) & (records["kind"] == "opinion")]
    real = rows["value"].fillna(1) > 0
    at_once = real & rows["holds"].fillna(False).astype(bool)
    days = (rows["done"] - rows["date"]).dt.days.where(real & ~at_once)
    days = days.where(days >= 0)  # a reply dated before the opinion says nothing
    flags = rows.assign(
        n_opinions=real,
        n_at_once=at_once,
        n_in_time=days <= 3,
        n_later=days > 3,
        n_unanswered=real & ~at_once & rows["done"].isna(),
        days=days,
    )
    counts = ["n_opinions", "n_at_once", "n_in_time", "n_later", "n_unanswered"]
    grouped = flags.groupby("school", sort=True)
    return (
        grouped[counts]
        .sum()
        .astype("int64")
        .join(grouped["days"].median().rename("median_days"))
        .reset_index()
    )
