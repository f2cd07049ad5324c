"""What became of every file and row: counts without values for reports, values for ``private/`` only."""

from __future__ import annotations

import json
from collections.abc import Callable, Iterable
from dataclasses import dataclass

import numpy as np
import pandas as pd
import pyarrow as pa

from cobench.ingest.batches import Batch
from cobench.ingest.columns import factor
from cobench.ingest.free_text import Names, in_file_name
from cobench.ingest.linkage import MATCH_REPORT, MATCH_TRAITS
from cobench.ingest.quarantine import Conservation, Tidy, hint
from cobench.store import finish_private, stage_private
from cobench.study import Study

FILES = ["term", "file", "kind", "how_read", "rows_in", "accepted", "quarantined", "non_data", "sha256"]
RULES = ["term", "file", "status", "rule", "column", "n", "hint_zh", "hint_en"]
QUARANTINE = ["term", "file", "sheet", "row", "status", "column", "rule", "hint_zh", "hint_en", "values"]
# Tables that hold no row of a file one to one.
_DERIVED = ("roster", "logs")


@dataclass(frozen=True)
class FileRecord:
    """A file of the delivery: what it was taken for, how it was read, and its rows of no data."""

    label: str
    kind: str
    how: str
    sha256: str
    rows_in: int
    non_data: pd.DataFrame


@dataclass(frozen=True)
class Outcome:
    """Everything that one ingest makes, before it is stored."""

    tables: dict[str, pd.DataFrame]
    records: tuple[FileRecord, ...]
    tidied: tuple[tuple[Batch, Tidy], ...]
    roster: pd.DataFrame | None = None
    quarantine: pd.DataFrame | None = None


def file_frame(outcome: Outcome, term_id: str) -> pd.DataFrame:
    """One row a file, columns :data:`FILES`.

    Raises
    ------
    ConservationError
        When a row of a file is in none or two of accepted, quarantined and no data.
    """
    accepted = _count(outcome, lambda tidy: _accepted(tidy))
    quarantined = _count(outcome, lambda tidy: tidy.quarantined["rid"])
    non_data = _count(outcome, lambda tidy: tidy.non_data["rid"])
    rows = []
    for record in outcome.records:
        kept = Conservation(
            record.label,
            record.rows_in,
            accepted.get(record.label, 0),
            quarantined.get(record.label, 0),
            non_data.get(record.label, 0) + len(record.non_data),
        ).check()
        counts = (kept.rows_in, kept.accepted, kept.quarantined, kept.non_data)
        rows.append((term_id, record.label, record.kind, record.how, *counts, record.sha256))
    return pd.DataFrame(rows, columns=FILES)


def rule_frame(outcome: Outcome, term_id: str) -> pd.DataFrame:
    """Rows and cells by file and rule, columns :data:`RULES`; no values."""
    parts = [
        record.non_data.assign(file=record.label, status="non_data", column="") for record in outcome.records
    ]
    for batch, tidy in outcome.tidied:
        for status, faults in _by_status(tidy):
            parts.append(_placed(batch, faults).assign(status=status))
    columns = ["file", "status", "rule", "column"]
    joined = (
        pd.concat([part[columns] for part in parts], ignore_index=True)
        if parts
        else pd.DataFrame(columns=columns)
    )
    counted = joined.groupby(columns, sort=True).size().rename("n").reset_index()
    hints = counted["rule"].map(hint)
    return counted.assign(
        term=term_id, hint_zh=[each.zh for each in hints], hint_en=[each.en for each in hints]
    )[RULES]


def without_names(frame: pd.DataFrame, names: Names) -> pd.DataFrame:
    """A frame whose file names (``file``, ``how_read``) hold no name of the roster."""
    told = {
        name: [in_file_name(each, names) for each in frame[name]]
        for name in ("file", "how_read")
        if name in frame
    }
    return frame.assign(**told)


def link_frame(outcome: Outcome) -> pd.DataFrame:
    """Linked and unlinked rows by term, school, table and role."""
    parts = [tidy.links for _, tidy in outcome.tidied if len(tidy.links)]
    if not parts:
        return pd.DataFrame(columns=MATCH_REPORT)
    keys = ["term", "school", "table", "role"]
    return pd.concat(parts, ignore_index=True).groupby(keys, sort=True).sum().reset_index()[MATCH_REPORT]


def trait_frame(outcome: Outcome) -> pd.DataFrame:
    """How linked rows compare with others, columns :data:`cobench.ingest.linkage.MATCH_TRAITS`."""
    parts = [tidy.traits for _, tidy in outcome.tidied if len(tidy.traits)]
    if not parts:
        return pd.DataFrame(columns=MATCH_TRAITS)
    keys = MATCH_TRAITS[:-2]
    return pd.concat(parts, ignore_index=True).groupby(keys, sort=True).sum().reset_index()[MATCH_TRAITS]


def quarantine_frame(
    outcome: Outcome, term_id: str, hidden: Callable[[str], bool] = lambda cell: False
) -> pd.DataFrame:
    """Quarantined rows and unread cells with their values, columns :data:`QUARANTINE`.

    Rows with a cell of which ``hidden`` is true keep their place and rule, not their values.
    """
    parts = []
    for batch, tidy in outcome.tidied:
        for status, faults in _by_status(tidy):
            if status != "non_data" and len(faults):
                parts.append(
                    _placed(batch, faults).assign(status=status, values=_values(batch, faults["rid"], hidden))
                )
    joined = pd.concat(parts, ignore_index=True) if parts else pd.DataFrame(columns=QUARANTINE)
    hints = joined["rule"].map(hint)
    frame = joined.assign(
        term=term_id, hint_zh=[each.zh for each in hints], hint_en=[each.en for each in hints]
    )
    return frame[QUARANTINE]


def stage_quarantine(study: Study, place: str, frames: Iterable[pd.DataFrame]) -> str:
    """Write the quarantine of one delivery, to count once it is committed; its staged name."""
    joined = pd.concat([pd.DataFrame(columns=QUARANTINE), *frames], ignore_index=True)
    ordered = joined.sort_values(["file", "sheet", "row", "status", "column", "rule"], kind="stable")
    types = {name: pa.int64() if name == "row" else pa.string() for name in QUARANTINE}
    columns = {name: pa.array(ordered[name].tolist(), type=kind) for name, kind in types.items()}
    return stage_private(study, place, pa.table(columns))


def read_quarantine(study: Study, term_id: str) -> pd.DataFrame:
    """Rows in quarantine of one delivery with their values; columns :data:`QUARANTINE`."""
    finish_private(study)
    path = study.root / "private" / "quarantine" / f"{term_id}.parquet"
    return pd.read_parquet(path) if path.exists() else pd.DataFrame(columns=QUARANTINE)


def _by_status(tidy: Tidy) -> Iterable[tuple[str, pd.DataFrame]]:
    return (("quarantined", tidy.quarantined), ("non_data", tidy.non_data), ("cell", tidy.cells))


def _placed(batch: Batch, faults: pd.DataFrame) -> pd.DataFrame:
    """Faults with file, sheet, row and the header that the file gives the column."""
    where = batch.cells.loc[faults["rid"], ["file", "sheet", "row"]].astype("object").reset_index(drop=True)
    headers = [
        batch.header(file, sheet, column)
        for file, sheet, column in zip(where["file"], where["sheet"], faults["column"], strict=True)
    ]
    return where.assign(rule=faults["rule"].to_numpy(), column=headers)


def _values(batch: Batch, rids: pd.Series, hidden: Callable[[str], bool]) -> list[str]:
    """Cells of each row as JSON, "" where one of them is hidden."""
    rows = batch.cells.loc[rids].drop(columns=["file", "sheet", "row", "school_of_file"], errors="ignore")
    records = rows.astype("object").to_dict("records")
    return [
        ""
        if any(hidden(str(value)) for value in row.values())
        else json.dumps({name: str(value) for name, value in row.items()}, ensure_ascii=False)
        for row in records
    ]


def _accepted(tidy: Tidy) -> pd.Series:
    found = [frame["rid"] for name, frame in tidy.tables.items() if name not in _DERIVED and "rid" in frame]
    return pd.concat(found).astype("int64").drop_duplicates() if found else pd.Series([], dtype="int64")


def _count(outcome: Outcome, rows_of) -> dict[str, int]:
    """Rows of each file."""
    counts: dict[str, int] = {}
    for batch, tidy in outcome.tidied:
        codes, files = factor(batch.cells["file"])
        places = batch.cells.index.get_indexer(rows_of(tidy))
        for file, n in zip(files, np.bincount(codes[places], minlength=len(files)), strict=True):
            counts[file] = counts.get(file, 0) + int(n)
    return counts
