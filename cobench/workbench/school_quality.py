"""Parts of a school's data-quality page: what came, what is to be mended, what could be linked. Counts only."""

from __future__ import annotations

import pandas as pd

from cobench.release import release_aggregate, release_counts, release_table
from cobench.release.stacking import stacked
from cobench.show import Displayed, paragraph, say, table
from cobench.workbench.desk import Desk

# To stand in one of these lists is sensitive in itself: even rows put aside are counted with the threshold.
SENSITIVE = ("memberships",)
_COUNTS = ["accepted", "quarantined", "non_data"]
REASONS = ("absent", "exempt", "deferred", "blank")


def parts(desk: Desk, school: str) -> list[Displayed]:
    """All parts of the page of ``school``."""
    return [
        rows(desk, school),
        corrections(desk, school),
        linking(desk, school),
        missing(desk, school),
    ]


def rows(desk: Desk, school: str) -> Displayed:
    """Rows of each kind of file: accepted, put aside, no data.

    Accepted rows speak of children, so few of them are hidden, and with them the sum. Rows put aside are
    counted as they are, except in sensitive lists: the school has to know that there is something to mend.
    """
    frame = _of_school(desk, "ingest_schools", school)
    whole = frame[frame["status"] != "cell"]
    wide = whole.pivot_table(index="kind", columns="status", values="n", aggfunc="sum", fill_value=0)
    wide = wide.reindex(columns=_COUNTS, fill_value=0).astype("int64")
    wide = wide.assign(rows_in=wide.sum(axis=1)).reset_index()[["kind", "rows_in", *_COUNTS]]
    few = wide["accepted"] < desk.min_cell
    wide = wide.assign(rows_in=wide["rows_in"].astype("float64").mask(few))
    sensitive = wide["kind"].isin(SENSITIVE)
    parts = (
        (~sensitive, ["rows_in", "accepted"], {}),
        (sensitive, ["rows_in", *_COUNTS], {"rows_in": _COUNTS}),
    )
    made = [
        release_counts(
            wide[chosen].reset_index(drop=True),
            counts=counts,
            margins=(),
            adds_up=adds_up,
            min_cell=desk.min_cell,
        )
        for chosen, counts, adds_up in parts
        if chosen.any()
    ]
    if not made:
        return paragraph(desk.say("page.school_no_files"))
    return table(
        stacked(*made),
        language=desk.language,
        labels=desk.labels,
        caption=desk.say("page.school_rows"),
        formats={"rows_in": "count"},
    )


def corrections(desk: Desk, school: str) -> Displayed:
    """What is to be mended, by kind of file and rule, with the way out."""
    frame = _of_school(desk, "ingest_schools", school)
    own = frame[frame["status"].isin(["quarantined", "cell"])]
    if not len(own):
        return paragraph(desk.say("page.school_nothing_to_mend"))
    hints = desk.stored("ingest_rules").drop_duplicates("rule").set_index("rule")[f"hint_{desk.language}"]
    counted = own.groupby(["kind", "rule"], sort=True)["n"].sum().rename("rows").reset_index()
    shown = counted.assign(hint=counted["rule"].map(hints))[["kind", "rows", "hint"]]
    sensitive = shown["kind"].isin(SENSITIVE)
    made = []
    if (~sensitive).any():
        made.append(release_aggregate(shown[~sensitive].reset_index(drop=True), about="rules"))
    if sensitive.any():
        hidden = shown[sensitive].reset_index(drop=True)
        made.append(release_counts(hidden, counts="rows", margins=(), min_cell=desk.min_cell))
    return table(
        stacked(*made),
        language=desk.language,
        labels=desk.labels,
        caption=desk.say("page.school_corrections"),
        note=desk.say("page.school_corrections_note"),
    )


def linking(desk: Desk, school: str) -> Displayed:
    """Rows about children that could be linked to the roster, out of all such rows."""
    frame = _of_school(desk, "ingest_links", school)
    if not len(frame):
        return paragraph(desk.say("page.no_links"))
    by_kind = frame.groupby("table", sort=True)[["n_rows", "n_unlinked"]].sum().reset_index()
    by_kind = by_kind.rename(columns={"table": "kind"})
    by_kind = by_kind.assign(
        n_linked=by_kind["n_rows"] - by_kind["n_unlinked"],
        share=1 - by_kind["n_unlinked"] / by_kind["n_rows"],
    )
    released = release_table(
        by_kind,
        counts="n_rows",
        values=["share"],
        shares={"share": ("n_linked", "n_rows")},
        min_cell=desk.min_cell,
    )
    return table(
        released,
        language=desk.language,
        labels=desk.labels,
        caption=desk.say("page.linking"),
        columns=["kind", "n_rows", "n_linked", "share"],
        formats={"share": "percent"},
    )


def missing(desk: Desk, school: str) -> Displayed:
    """Results by measure: records held, and of these measured or missing by reason."""
    seats = desk.stored("enrolments")
    own = desk.stored("outcomes")
    own = own[own["student"].isin(seats.loc[seats["school"] == school, "student"])]
    if not len(own):
        return paragraph(desk.say("page.school_no_results"))
    reason = own["missing_reason"].where(own["value"].isna()).fillna("measured")
    wide = own.assign(reason=reason).groupby(["measure", "reason"]).size().unstack(fill_value=0)
    wide = wide.reindex(columns=["measured", *REASONS], fill_value=0).astype("int64")
    wide = wide.assign(n_records=wide.sum(axis=1)).reset_index()
    counts = ["n_records", "measured", *REASONS]
    released = release_counts(
        wide[["measure", *counts]],
        counts=counts,
        margins=(),
        adds_up={"n_records": counts[1:]},
        min_cell=desk.min_cell,
    )
    return table(
        released,
        language=desk.language,
        labels=desk.labels.add("column", {name: _both(f"missing.{name}") for name in counts[1:]}),
        caption=desk.say("page.school_missing"),
    )


def _both(key: str) -> dict[str, str]:
    return {language: say(key, language) for language in ("zh", "en")}


def _of_school(desk: Desk, name: str, school: str) -> pd.DataFrame:
    frame = desk.stored(name)
    return (
        frame[frame["school"] == school]
        if len(frame)
        else pd.DataFrame(columns=["school", "status", "kind", "n"])
    )
