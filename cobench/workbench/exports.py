"""What a run publishes beside the pages: released tables as a workbook, figures of schools for the index."""

from __future__ import annotations

from pathlib import Path

from cobench.release import Released, release_table, write_workbook
from cobench.release.stacking import stacked
from cobench.show import say
from cobench.show.wording import has
from cobench.workbench import implementation
from cobench.workbench.desk import Desk
from cobench.workbench.effect import released_balance
from cobench.workbench.summary import school_overview

__all__ = ["released_tables", "school_overview", "write_tables_workbook"]


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
    if desk.has("standards"):
        tables["standards"] = implementation.standards_released(desk)
        tables["reach"] = implementation.reach_released(desk, desk.derived("reach"), "school")
        tables["lectures"] = implementation.lectures_by_school(desk)
    if desk.has("reliability"):
        frame = desk.derived("reliability")
        counts = ["n_started", "n_scored", "n_complete"]
        tables["scales"] = release_table(frame, counts=counts, min_cell=desk.min_cell)
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
