"""What became of every file and row: counts without values for reports, values for ``private/`` only."""

from __future__ import annotations

import json
from collections.abc import Callable, Iterable
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import pandas as pd
import pyarrow as pa

from cobench.errors import StageMissingError
from cobench.ingest import questionnaires
from cobench.ingest.batches import Batch, RawFile, school_in
from cobench.ingest.columns import constant, factor, joint, or_else, recode
from cobench.ingest.free_text import Names, in_file_name
from cobench.ingest.linkage import MATCH_REPORT, MATCH_TRAITS
from cobench.ingest.quarantine import QUARANTINE, Conservation, Tidy, hint
from cobench.store import finish_private, stage_private
from cobench.study import Study

FILES = ["term", "file", "kind", "how_read", "rows_in", "accepted", "quarantined", "non_data", "sha256"]
RULES = ["term", "file", "status", "rule", "column", "n", "hint_zh", "hint_en"]
RECODES = ["term", "file", "instrument", "version", *questionnaires.RECODES]
SCHOOL_ROWS = ["term", "school", "kind", "status", "rule", "column", "n"]
# Tables that hold no row of a file one to one.
_DERIVED = ("roster", "logs", "set_aside")


@dataclass(frozen=True)
class FileRecord:
    """A file of the delivery: what it was taken for, how it was read, and its rows of no data."""

    label: str
    kind: str
    how: str
    sha256: str
    rows_in: int
    non_data: pd.DataFrame

    @classmethod
    def of_no_data(cls, raw: RawFile, how: str, rows_in: int, rule: str) -> FileRecord:
        """A file none of whose rows count, all for one reason."""
        rows = pd.DataFrame({"sheet": "", "row": range(1, rows_in + 1), "rule": rule})
        return cls(raw.label, raw.source.table, how, raw.sha256, rows_in, rows)


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


def school_frame(outcome: Outcome, term_id: str, codes: dict[str, str]) -> pd.DataFrame:
    """Rows by school, table, what became of them (``accepted, quarantined, non_data``; ``cell``) and rule.

    Columns :data:`SCHOOL_ROWS`; ``school`` is "" where a row doesn't tell. Rows of status ``cell`` are cells of
    accepted rows that could not be read.
    """
    parts, homes = [pd.DataFrame(columns=SCHOOL_ROWS)], {}
    for batch, tidy in outcome.tidied:
        schools = _schools_of_rows(batch, codes)
        homes |= _one_home(batch, schools)
        kind = batch.source.table
        parts.append(_per_school(batch, schools, _accepted(tidy)).assign(kind=kind, status="accepted"))
        for status, rows in _by_status(tidy):
            own = pd.DataFrame({"school": schools.loc[rows["rid"]].astype("object").to_numpy()})
            own = own.assign(rule=rows["rule"].to_numpy(), column=_placed(batch, rows)["column"], n=1)
            parts.append(own.assign(kind=kind, status=status))
    for record in outcome.records:
        folder = record.label.rsplit("/", 2)[-2] if "/" in record.label else ""
        home = homes.get(record.label) or school_in(folder, codes) or ""
        rows = record.non_data[["rule"]]
        parts.append(rows.assign(school=home, kind=record.kind, status="non_data", column="", n=1))
    keys = SCHOOL_ROWS[1:-1]
    joined = pd.concat([part[[*keys, "n"]] for part in parts], ignore_index=True).astype({"n": "int64"})
    texts = {name: joined[name].astype("str") for name in keys}
    counted = joined.assign(**texts).groupby(keys, sort=True)["n"].sum().reset_index()
    return counted.assign(term=term_id)[SCHOOL_ROWS]


def _per_school(batch: Batch, schools: pd.Series, rids: pd.Series) -> pd.DataFrame:
    """Number of rows of each school."""
    codes, names = factor(schools)
    places = batch.cells.index.get_indexer(rids)
    n = np.bincount(codes[places], minlength=len(names))
    counted = pd.DataFrame({"school": names, "n": n, "rule": "", "column": ""})
    return counted[counted["n"] > 0]


def _schools_of_rows(batch: Batch, codes: dict[str, str]) -> pd.Series:
    """School of each row of a batch, "" where it can't be told."""
    if batch.source.table == "schools" or batch.source.table == "panel":
        return constant("", batch.cells.index)
    if "school" in batch.cells:
        return or_else(recode(batch.cells["school"], codes.get), "")
    return or_else(batch.cells["school_of_file"], "")


def _one_home(batch: Batch, schools: pd.Series) -> dict[str, str]:
    """School of each file whose rows all are of one."""
    first = ~pd.Series(joint([batch.cells["file"], schools])).duplicated().to_numpy()
    pairs = pd.DataFrame({"file": batch.cells["file"], "school": schools})[first].astype("object")
    once = pairs[~pairs.duplicated("file", keep=False) & (pairs["school"] != "")]
    return dict(zip(once["file"], once["school"], strict=True))


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


def recode_frame(outcome: Outcome, term_id: str) -> pd.DataFrame:
    """Before and after of every answer, counted over the data rows of each file; columns :data:`RECODES`."""
    parts = [
        batch.recodes.assign(
            term=term_id, instrument=batch.codebook.instrument, version=batch.codebook.version
        )
        for batch, _ in outcome.tidied
        if batch.codebook is not None and len(batch.recodes)
    ]
    return pd.concat(parts, ignore_index=True)[RECODES] if parts else pd.DataFrame(columns=RECODES)


def trait_frame(outcome: Outcome) -> pd.DataFrame:
    """How linked rows compare with others, columns :data:`cobench.ingest.linkage.MATCH_TRAITS`."""
    parts = [tidy.traits for _, tidy in outcome.tidied if len(tidy.traits)]
    if not parts:
        return pd.DataFrame(columns=MATCH_TRAITS)
    keys = MATCH_TRAITS[:-2]
    return pd.concat(parts, ignore_index=True).groupby(keys, sort=True).sum().reset_index()[MATCH_TRAITS]


def quarantine_frame(
    outcome: Outcome, term_id: str, codes: dict[str, str], hidden: Callable[[str], bool] = lambda cell: False
) -> pd.DataFrame:
    """Quarantined rows and unread cells with their values, columns :data:`QUARANTINE`.

    ``codes`` gives the school of each name (:func:`cobench.ingest.context.school_codes`). Rows with a cell of which
    ``hidden`` is true keep their place and rule, not their values.
    """
    parts = []
    for batch, tidy in outcome.tidied:
        schools = _schools_of_rows(batch, codes)
        for status, faults in _by_status(tidy):
            if status != "non_data" and len(faults):
                own = schools.loc[faults["rid"]].astype("object").to_numpy()
                placed = _placed(batch, faults).assign(values=_values(batch, faults["rid"], hidden))
                parts.append(placed.assign(status=status, school=own))
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
    """Rows in quarantine of one delivery with their values; columns :data:`QUARANTINE`.

    Raises
    ------
    StageMissingError
        When the term hasn't been ingested.
    """
    finish_private(study)
    path = study.root / "private" / "quarantine" / f"{term_id}.parquet"
    if not path.exists():
        raise StageMissingError(
            en=f"term {term_id} has not been ingested; run `cobench ingest {term_id}`",
            zh=f"学期 {term_id} 尚未读入；请运行 `cobench ingest {term_id}`",
        )
    return quarantine_rows(path)


def quarantine_rows(path: Path) -> pd.DataFrame:
    """:func:`read_quarantine` of a file wherever it lies."""
    return pd.read_parquet(path).reindex(columns=QUARANTINE)


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
