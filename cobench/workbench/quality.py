"""Parts of the data-quality page: files, rows and rules, linking, answers, scales, missing values, late entries."""

from __future__ import annotations

import pandas as pd

from cobench.panel import ENTRY_GRADES
from cobench.release import release_aggregate, release_counts, release_table
from cobench.show import Displayed, paragraph, say, table
from cobench.workbench.desk import Desk

LATE_DAYS = 14
RULE_STATUS = ("quarantined", "cell", "non_data")


def lede(desk: Desk) -> Displayed:
    """Files and rows in one sentence."""
    files = desk.stored("ingest_files")
    rows_in, accepted = int(files["rows_in"].sum()), int(files["accepted"].sum())
    return paragraph(
        desk.say(
            "page.quality_lede",
            files=len(files),
            rows=f"{rows_in:,}",
            accepted=f"{accepted:,}",
            quarantined=f"{int(files['quarantined'].sum()):,}",
            non_data=f"{int(files['non_data'].sum()):,}",
        )
    )


def files(desk: Desk) -> Displayed:
    """Files by kind: how many, how read, rows in and where they went."""
    frame = desk.stored("ingest_files")
    frame = frame.assign(
        format=frame["file"].str.rsplit(".", n=1).str[-1], encoding=_encoding(frame["how_read"])
    )
    keys, counts = ["kind", "format", "encoding"], ["rows_in", "accepted", "quarantined", "non_data"]
    by_kind = frame.groupby(keys, sort=True)[counts].sum()
    by_kind = by_kind.assign(n_files=frame.groupby(keys).size()).reset_index()
    columns = [*keys, "n_files", *counts]
    return table(
        release_aggregate(by_kind[columns], about="files"),
        language=desk.language,
        labels=desk.labels,
        caption=desk.say("page.files"),
        note=desk.say("page.files_note"),
    )


def _encoding(how_read: pd.Series) -> pd.Series:
    """The encoding that a file was decoded with, from the words of its reader; workbooks have none."""
    return how_read.str.extract(r"\b(UTF-8 BOM|UTF-8|GB18030|GBK)\b", expand=False).fillna("–")


def rules(desk: Desk) -> Displayed:
    """Rows put aside or recognised as no data, by rule, with the way out."""
    frame = desk.stored("ingest_rules")
    if not len(frame):
        return paragraph(desk.say("page.no_rules"))
    kinds = desk.stored("ingest_files").set_index("file")["kind"]
    frame = frame.assign(kind=frame["file"].map(kinds))
    hint = f"hint_{desk.language}"
    ranked = frame.assign(rank=frame["status"].map({status: rank for rank, status in enumerate(RULE_STATUS)}))
    counted = ranked.groupby(["rank", "status", "kind", hint], sort=True)["n"].sum().reset_index()
    shown = counted.rename(columns={hint: "hint", "n": "rows"})[["status", "kind", "rows", "hint"]]
    return table(
        release_aggregate(shown, about="rules"),
        language=desk.language,
        labels=desk.labels.add("status", {key: _both(f"rule_status.{key}") for key in RULE_STATUS}),
        caption=desk.say("page.rules"),
    )


def linking(desk: Desk) -> Displayed:
    """Share of rows about children that could be linked to the roster, by kind of file."""
    frame = desk.stored("ingest_links")
    if not len(frame):
        return paragraph(desk.say("page.no_links"))
    counts = ["n_rows", "n_by_number", "n_by_alias", "n_by_name", "n_unlinked"]
    by_kind = frame.groupby("table", sort=True)[counts].sum().reset_index().rename(columns={"table": "kind"})
    by_kind = by_kind.assign(share=1 - by_kind["n_unlinked"] / by_kind["n_rows"])
    return table(
        release_aggregate(by_kind, about="rules"),
        language=desk.language,
        labels=desk.labels,
        caption=desk.say("page.linking"),
        columns=["kind", *counts, "share"],
        formats={"share": "percent1"},
    )


def answers(desk: Desk) -> Displayed:
    """Who answered each questionnaire: students with an answer out of those enrolled, by school stage."""
    enrolments = desk.stored("enrolments")
    roster = enrolments[enrolments["status"].isin(["enrolled", "transferred_in"])].drop_duplicates("student")
    stages = desk.stored("schools").set_index("school")["stage"]
    roster = roster.assign(stage=roster["school"].map(stages))
    responses = desk.stored("responses")
    rows = []
    for instrument, own in responses.groupby("instrument", sort=True):
        asked = roster[roster["grade"] >= 4] if own["respondent"].iloc[0] == "student" else roster
        answered = asked["student"].isin(own.loc[own["value"].notna(), "student"])
        counted = asked.assign(n_answered=answered).groupby("stage")["n_answered"].agg(["sum", "size"])
        for stage, (n_answered, n_asked) in counted.iterrows():
            rows.append((instrument, stage, n_asked, n_answered))
    frame = pd.DataFrame(rows, columns=["instrument", "stage", "n_asked", "n_answered"])
    frame = frame.assign(share=frame["n_answered"] / frame["n_asked"])
    released = release_table(
        frame,
        counts="n_asked",
        values=[],
        shares={"share": ("n_answered", "n_asked")},
        counted=desk.counted("answers", ["instrument", "stage"]),
        min_cell=desk.min_cell,
    )
    return table(
        released,
        language=desk.language,
        labels=desk.labels,
        caption=desk.say("page.answers"),
        columns=["instrument", "stage", "n_asked", "n_answered", "share"],
        formats={"share": "percent"},
    )


def scales(desk: Desk) -> Displayed:
    """Alpha, mean and spread of every declared scale."""
    frame = desk.derived("reliability")
    now = frame[frame["term"] == desk.term.id].drop(columns="term").reset_index(drop=True)
    released = release_table(now, counts=["n_started", "n_scored", "n_complete"], min_cell=desk.min_cell)
    return table(
        released,
        language=desk.language,
        labels=desk.labels,
        caption=desk.say("page.scales"),
        columns=["scale", "n_items", "n_started", "n_scored", "n_complete", "alpha", "mean", "sd"],
        formats={"alpha": ".2f", "mean": ".2f", "sd": ".2f"},
        note=desk.say("page.scales_note"),
    )


def missing(desk: Desk) -> Displayed:
    """Outcomes of the term by reason for which they are missing."""
    outcomes = desk.stored("outcomes")
    reason = outcomes["missing_reason"].where(outcomes["value"].isna())
    counted = outcomes.assign(reason=reason.fillna("measured")).groupby(["measure", "reason"]).size()
    wide = counted.unstack(fill_value=0)
    long = wide.stack().rename("n").reset_index()
    long = long[long["n"] > 0].reset_index(drop=True)
    released = release_table(
        long,
        counts="n",
        values=[],
        counted=desk.counted("outcomes", ["measure", "reason"]),
        min_cell=desk.min_cell,
    )
    return table(
        released,
        language=desk.language,
        labels=desk.labels.add("reason", {key: _both(f"missing.{key}") for key in _REASONS}),
        caption=desk.say("page.missing"),
        columns=["measure", "reason", "n"],
    )


def baselines(desk: Desk) -> Displayed:
    """Students with a baseline of each outcome, and why the others have none."""
    panel = desk.derived("panel")
    rows = []
    for outcome in desk.study.outcomes:
        reasons = panel[f"{outcome}@baseline:reason"].fillna("measured").value_counts()
        rows += [(outcome, reason, n) for reason, n in reasons.items()]
    frame = pd.DataFrame(rows, columns=["outcome", "reason", "n"]).sort_values(["outcome", "reason"])
    released = release_table(
        frame.reset_index(drop=True),
        counts="n",
        values=[],
        margins=[("outcome",)],
        counted=desk.counted("baselines", ["outcome", "reason"]),
        min_cell=desk.min_cell,
    )
    return table(
        released,
        language=desk.language,
        labels=desk.labels.add("reason", {key: _both(f"missing.{key}") for key in _REASONS}),
        caption=desk.say("page.baselines"),
        note=desk.say("page.baselines_note", grades=", ".join(map(str, ENTRY_GRADES))),
    )


def late_entries(desk: Desk) -> Displayed:
    """Contacts entered long after their date; not applicable where no entry date was kept."""
    contacts = desk.stored("contacts")
    known = contacts[contacts["entered_at"].notna()]
    if not len(known):
        return paragraph(desk.say("page.late_not_applicable"))
    late = (known["entered_at"].dt.normalize() - known["date"]).dt.days > LATE_DAYS
    frame = known.assign(late=late).groupby("mode", sort=True)["late"].agg(["sum", "size"]).reset_index()
    frame = frame.set_axis(["mode", "n_late", "n"], axis=1)
    frame = frame.assign(share=frame["n_late"] / frame["n"])
    released = release_table(
        frame,
        counts="n",
        values=[],
        shares={"share": ("n_late", "n")},
        counted=desk.counted("late entries", ["mode"]),
        min_cell=desk.min_cell,
    )
    return table(
        released,
        language=desk.language,
        labels=desk.labels,
        caption=desk.say("page.late", days=LATE_DAYS),
        columns=["mode", "n", "n_late", "share"],
        formats={"share": "percent"},
    )


_REASONS = ("measured", "absent", "exempt", "deferred", "blank", "entry_grade", "not_measured")


def _both(key: str) -> dict[str, str]:
    return {language: say(key, language) for language in ("zh", "en")}


def roster_flow(desk: Desk) -> Displayed:
    """From the rosters to the panel."""
    frame = desk.derived("roster_flow")
    released = release_counts(
        frame,
        counts="n_students",
        margins=(),
        falling=True,
        counted=desk.counted("roster flow", ["step"], around={"n_students": ("reach", "n_students", ())}),
        min_cell=desk.min_cell,
    )
    return table(released, language=desk.language, labels=desk.labels, caption=desk.say("page.roster_flow"))
