"""Parts of the data-quality page: files, rows and rules, linking, answers, scales, missing values, late entries."""

from __future__ import annotations

import pandas as pd

from cobench.panel import ENTRY_GRADES
from cobench.release import Released, release_aggregate, release_counts, release_table
from cobench.show import Displayed, Labels, paragraph, say, table
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
    frame = desk.derived("answered")
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
    return table(
        scales_released(desk).where(lambda frame: frame["term"] == desk.term.id),
        language=desk.language,
        labels=desk.labels,
        caption=desk.say("page.scales"),
        columns=["scale", "n_items", "n_started", "n_scored", "n_complete", "alpha", "mean", "sd"],
        formats={"alpha": ".2f", "mean": ".2f", "sd": ".2f"},
        note=desk.say("page.scales_note"),
    )


def scales_released(desk: Desk) -> Released:
    """Every declared scale in every term: who began to answer, has a score, answered everything."""
    return release_table(
        desk.derived("reliability"),
        counts=["n_started", "n_scored", "n_complete"],
        nested=[("n_scored", "n_started"), ("n_complete", "n_scored")],
        counted=desk.counted("scales", ["term", "scale"]),
        min_cell=desk.min_cell,
    )


def missing(desk: Desk) -> Displayed:
    """Outcomes of the term: of all students of the panel, how many have a value, and why the others have none."""
    return missing_table(desk, list(desk.study.outcomes), desk.say("page.missing"))


def baselines(desk: Desk) -> Displayed:
    """Students with a baseline of each outcome, and why the others have none."""
    return missing_table(
        desk,
        [f"{outcome}@baseline" for outcome in desk.study.outcomes],
        desk.say("page.baselines"),
        note=desk.say("page.baselines_note", grades=", ".join(map(str, ENTRY_GRADES))),
    )


def exposures(desk: Desk) -> Displayed:
    """Students whose exposure is known, and why that of the others isn't: never zero contacts."""
    return missing_table(
        desk,
        list(desk.study.treatments),
        desk.say("page.missing_exposure"),
        note=desk.say("page.missing_exposure_note"),
    )


def missing_table(
    desk: Desk, columns: list[str], caption: str, *, school: str | None = None, note: str | None = None
) -> Displayed:
    """Students by column and reason for which a value is missing, with the number of students they are out of.

    Parameters
    ----------
    columns : panel columns; those that the panel doesn't have are left out.
    school : the school whose students the table is about; by default all.
    """
    released = missing_released(desk, columns, school)
    return table(
        released,
        language=desk.language,
        labels=missing_labels(desk),
        caption=caption,
        columns=["outcome", "missing", "n", "n_students", "share"],
        formats={"share": "percent1"},
        note=note,
    )


def missing_released(desk: Desk, columns: list[str], school: str | None = None) -> Released:
    """``outcome, missing, n, n_students, share`` for :func:`missing_table`; all reasons of a column make its total."""
    panel, reasons = (
        desk.derived(name) if school is None else desk.own(name, school) for name in ("panel", "missing")
    )
    names = [name for name in columns if name in panel]
    reasons = reasons[reasons["column"].isin(names)]
    counted = reasons.groupby(["column", "reason"]).size()
    listed = []
    for name in names:
        own = counted.loc[name] if name in counted.index.get_level_values(0) else pd.Series(dtype="int64")
        listed.append((name, "measured", int(panel[name].notna().sum())))
        listed += [(name, reason, int(n)) for reason, n in own.items()]
    frame = pd.DataFrame(listed, columns=["outcome", "missing", "n"]).assign(n_students=len(panel))
    frame = frame[frame["n"] > 0].reset_index(drop=True)
    return release_table(
        frame.assign(share=frame["n"] / frame["n_students"]),
        counts="n",
        values=[],
        shares={"share": ("n", "n_students")},
        margins=[("outcome",)],
        counted=desk.counted("missing", ["outcome", "missing"]) if school is None else None,
        min_cell=desk.min_cell,
    )


def missing_labels(desk: Desk) -> Labels:
    """Labels of panel columns, baselines and treatments among them."""
    named = {}
    for each in (*desk.study.outcomes.values(), *desk.study.scales.values(), *desk.study.treatments.values()):
        named[each.id] = {"zh": each.label.zh, "en": each.label.en}
        named[f"{each.id}@baseline"] = {
            "zh": f"{each.label.zh}（上学期）",
            "en": f"{each.label.en}, last term",
        }
    return desk.labels.add("outcome", named)


def items(desk: Desk) -> Displayed:
    """Answers by questionnaire: given, or missing by reason, out of all answers asked for."""
    counted = desk.derived("items")
    if counted.empty:
        return paragraph(desk.say("page.no_answers"))
    asked = counted.groupby("instrument")["n"].transform("sum")
    frame = counted.assign(n_asked=asked, share=counted["n"] / asked)
    released = release_table(
        frame,
        counts="n",
        values=[],
        shares={"share": ("n", "n_asked")},
        margins=[("instrument",)],
        min_cell=desk.min_cell,
    )
    return table(
        released,
        language=desk.language,
        labels=missing_labels(desk).add("column", {"n_asked": _both("column.n_answers_asked")}),
        caption=desk.say("page.items"),
        formats={"share": "percent1"},
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
