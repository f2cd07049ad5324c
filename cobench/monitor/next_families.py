"""For a class teacher: which families come next, what was agreed with them, what is overdue."""

from __future__ import annotations

from collections.abc import Mapping
from datetime import date

import numpy as np
import pandas as pd

from cobench.study import Study, Term

REASONS = ("overdue", "key_not_visited", "never_reached", "remote_only", "longest_ago")
COLUMNS = [
    "class_id", "student", "reason", "categories", "last_at_home", "last_contact", "last_mode", "follow_up_due", "n_overdue",
    "n_agreed",
]  # fmt: skip


def next_families(
    study: Study, term: Term, frames: Mapping[str, pd.DataFrame], as_of: date | None = None
) -> pd.DataFrame:
    """Every child enrolled in ``term``, in the order in which families are to be seen.

    First those with an agreed follow-up that is overdue (the oldest first), then key students not visited at home this
    school year, families that nothing reached this school year, families reached by phone or message only, and the rest by how
    long ago the last home visit was.

    Parameters
    ----------
    frames : mapping
        ``enrolments, memberships, contacts`` of the school year so far.
    as_of : date
        The day of the list, by default the end of the term.

    Returns
    -------
    DataFrame
        Columns :data:`COLUMNS`, a row a child, by class and order; pseudonyms still.
    """
    day = pd.Timestamp(as_of or term.end)
    year = [each.id for each in study.school_year_terms(term.id)]
    roster = _roster(term, frames["enrolments"])
    contacts = frames["contacts"]
    contacts = contacts[contacts["term"].isin(year) & (contacts["date"] <= day)].sort_values(
        "date", kind="stable"
    )
    at_home = contacts[contacts["mode"] == "at_home"].groupby("student")["date"].max()
    last = contacts.drop_duplicates("student", keep="last").set_index("student")
    agreed = _open_follow_ups(contacts, day)
    held = frames["memberships"]
    held = held[held["term"] == term.id].drop_duplicates(["student", "category"])
    categories = held.groupby("student")["category"].agg(lambda found: " ".join(sorted(found)))
    who = roster["student"]
    rows = roster.assign(
        categories=categories.reindex(who).fillna("").to_numpy(dtype=object),
        last_at_home=at_home.reindex(who).to_numpy(),
        last_contact=last["date"].reindex(who).to_numpy(),
        last_mode=last["mode"].reindex(who).to_numpy(dtype=object),
        follow_up_due=agreed["first"].reindex(who).to_numpy(),
        n_overdue=agreed["n_overdue"].reindex(who).fillna(0).to_numpy(dtype="int64"),
        n_agreed=agreed["n"].reindex(who).fillna(0).to_numpy(dtype="int64"),
    )
    unseen = rows["last_at_home"].isna()
    reasons = [
        rows["n_overdue"] > 0,
        unseen & (rows["categories"] != ""),
        rows["last_contact"].isna(),
        unseen & rows["last_mode"].isin(["phone", "wechat", "video"]),
    ]
    rank = np.select(reasons, range(len(reasons)), len(reasons))
    # Overdue ones by the day agreed, the rest by how long ago somebody was there; nobody yet comes first.
    since = rows["last_at_home"].where(rank > 0, rows["follow_up_due"])
    rows = rows.assign(reason=np.array(REASONS, dtype=object)[rank], _rank=rank, _since=since)
    order = ["class_id", "_rank", "_since", "student"]
    return rows.sort_values(order, kind="stable", na_position="first").reset_index(drop=True)[COLUMNS]


def _roster(term: Term, enrolments: pd.DataFrame) -> pd.DataFrame:
    now = enrolments[
        (enrolments["term"] == term.id) & enrolments["status"].isin(["enrolled", "transferred_in"])
    ]
    return now[["class_id", "student"]].drop_duplicates("student")


def _open_follow_ups(contacts: pd.DataFrame, day: pd.Timestamp) -> pd.DataFrame:
    """Follow-ups agreed and not done by ``day``, by child: the first day agreed, how many, how many of them overdue."""
    done = contacts["follow_up_done"].notna() & (contacts["follow_up_done"] <= day)
    waiting = contacts[contacts["follow_up_due"].notna() & ~done]
    late = waiting["follow_up_due"] < day
    return (
        waiting.assign(late=late)
        .groupby("student")
        .agg(first=("follow_up_due", "min"), n=("follow_up_due", "size"), n_overdue=("late", "sum"))
    )


def follow_ups(term: Term, contacts: pd.DataFrame, as_of: date | None = None) -> pd.DataFrame:
    """Follow-ups agreed in ``term``, by school: ``n_agreed, n_done, n_done_late, n_overdue, n_open`` (not due yet)."""
    day = pd.Timestamp(as_of or term.end)
    rows = contacts[(contacts["term"] == term.id) & contacts["follow_up_due"].notna()]
    done = rows["follow_up_done"].notna() & (rows["follow_up_done"] <= day)
    late = done & (rows["follow_up_done"] > rows["follow_up_due"])
    overdue = ~done & (rows["follow_up_due"] < day)
    flags = rows.assign(n_agreed=1, n_done=done, n_done_late=late, n_overdue=overdue, n_open=~done & ~overdue)
    columns = ["n_agreed", "n_done", "n_done_late", "n_overdue", "n_open"]
    return flags.groupby("school", sort=True)[columns].sum().astype("int64").reset_index()
