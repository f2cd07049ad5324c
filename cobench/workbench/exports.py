"""What a run publishes beside the pages: released tables as a workbook, figures of schools for the index."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

from cobench.release import Released, ledger, write_workbook
from cobench.release.stacking import stacked
from cobench.show import say
from cobench.show.wording import has
from cobench.workbench import (
    absence,
    communities,
    implementation,
    norms,
    quality,
    ranked,
    reading,
    record_checks,
    satisfaction,
    term_release,
    value_added,
)
from cobench.workbench import school as school_page
from cobench.workbench.desk import Desk
from cobench.workbench.effect import released_balance
from cobench.workbench.summary import school_overview

__all__ = ["decide_term", "released_tables", "school_overview", "write_tables_workbook"]


def decide_term(desk: Desk) -> None:
    """Decide over all tables that pages and downloads of the term show what is hidden in them, unless it stands."""
    if term_release.is_decided(desk.study, desk.term.id):
        return
    with ledger.collecting(plan=True) as tables:
        _all_tables(replace(desk, _frames={}))
    term_release.decide(desk.study, desk.term.id, tables)


def _all_tables(desk: Desk) -> None:
    """Release every table that notebooks of cobench show and every download."""
    released_tables(desk)
    for treatment in dict.fromkeys(each.treatment for each in desk.study.effects_in(desk.term.id)):
        absence.released_flow(desk, treatment)
        absence.missing(desk, treatment)
        absence.attrition(desk, treatment)
        ranked.by_prediction(desk, treatment)
    if desk.has("reach"):
        implementation.lede(desk)
        norms.summary(desk)
        record_checks.key_papers_released(desk)
        reading.released(desk)
        implementation.modes_released(desk)
        implementation.weeks_released(desk)
        implementation.lectures_by_topic(desk)
        implementation.key_students_released(desk)
        for part in (quality.answers, quality.missing, quality.late_entries):
            part(desk)
        for school in desk.schools:
            school_page.classes_released(desk, school)
            implementation.lectures_by_topic(desk, school)
        satisfaction.all_released(desk)
        for measure in desk.derived("community_changes")["measure"].unique():
            communities.changes_released(desk, measure)
    value_added.all_released(desk)
    quality.baselines(desk)
    quality.exposures(desk)
    quality.roster_flow(desk)


def released_tables(desk: Desk) -> dict[str, Released]:
    """The term's main tables by sheet name, all released."""
    tables = {"estimates": desk.effects()}
    balance = desk.derived("balance")
    parts = [
        released_balance(desk, balance[balance["effect"] == effect.id].reset_index(drop=True), effect)
        for effect in desk.study.effects_in(desk.term.id)
        if (balance["effect"] == effect.id).any()
    ]
    if parts:
        tables["balance"] = stacked(*parts)
    if desk.has("curves") and len(desk.derived("curves")):
        tables["curves"] = desk.curves()
    if desk.has("standards"):
        tables["standards"] = norms.released(desk)
        tables["reach"] = implementation.reach_of_schools(desk)
        tables["lectures"] = implementation.lectures_by_school(desk)
    if desk.has("reliability"):
        tables["scales"] = quality.scales_released(desk)
    return tables


def write_tables_workbook(desk: Desk, path: Path) -> None:
    """Write :func:`released_tables` to an xlsx file with a data dictionary of every column."""
    tables = released_tables(desk)
    columns = dict.fromkeys(column for released in tables.values() for column in released.frame.columns)
    dictionary = {column: _entry(column) for column in columns}
    write_workbook(path, tables, dictionary, language=desk.language)


def _entry(column: str) -> dict[str, str]:
    key = f"dictionary.{column}" if has(f"dictionary.{column}") else f"column.{column}"
    return {"zh": say(key, "zh"), "en": say(key, "en"), "unit": ""}
