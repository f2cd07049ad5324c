"""One delivery from raw files to stored tables: all or nothing, counted row by row, repeatable."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

import pandas as pd

from cobench import store
from cobench.errors import CobenchError, IngestError
from cobench.ingest import batches, report, resent, wenjuanxing
from cobench.ingest.batches import Batch, FileCells, RawFile
from cobench.ingest.codebook import Codebook, load_codebook
from cobench.ingest.context import Context, school_codes
from cobench.ingest.identities import identity_rows, key_id, read_identities, write_identities
from cobench.ingest.panel_source import ingest_panel
from cobench.ingest.quarantine import Tidy
from cobench.ingest.report import FileRecord, Outcome
from cobench.ingest.tidy_contacts import tidy_contacts
from cobench.ingest.tidy_events import tidy_attendance, tidy_events
from cobench.ingest.tidy_people import tidy_memberships, tidy_roster, tidy_schools
from cobench.ingest.tidy_results import tidy_outcomes, tidy_responses
from cobench.study import Study, Term
from cobench.tables import TABLES, conform, empty

Progress = Callable[[str, int, int], None]
MAX_PROBLEMS = 20
_COMPARED = ("contacts", "events", "attendance", "logs")
_IN_ORDER = ("memberships", "contacts", "events", "attendance", "outcomes", "responses")


@dataclass(frozen=True)
class IngestResult:
    """What came in.

    Attributes
    ----------
    files : DataFrame
        ``term, file, kind, how_read, rows_in, accepted, quarantined, non_data, sha256``, one row a file;
        ``kind`` is the canonical table, or ``unrecognised``.
    rules : DataFrame
        ``term, file, status, rule, column, n, hint_zh, hint_en``: rows in quarantine and of no data, and
        cells that could not be read, counted.
    links : DataFrame
        See :data:`cobench.ingest.linkage.MATCH_REPORT`.
    """

    files: pd.DataFrame
    rules: pd.DataFrame
    links: pd.DataFrame


def silent(step: str, done: int, total: int) -> None:
    """Progress that nobody reads."""


def ingest_term(study: Study, term_id: str, *, key: bytes, on_progress: Progress = silent) -> IngestResult:
    """Read the delivery ``data/raw/<term>`` and store what it holds, replacing what it held before.

    Canonical tables and the frames of :class:`IngestResult` (as ``ingest_files``, ``ingest_rules``,
    ``ingest_links``) go through :mod:`cobench.store`; rows in quarantine with their values, and the identity
    map, to ``private/``. The same files give the same tables, however often they are read.

    Raises
    ------
    UnknownTermError
    CobenchError
        What is wrong with the files: one problem as its own error, several as one :class:`IngestError`.
        Nothing is written then.
    """
    term = study.term(term_id)
    batches.check_sources(study)
    raws = batches.find_files(study, term)
    panels = [source for source in study.sources if source.table == "panel"]
    if panels:
        outcome = ingest_panel(study, term, raws, panels[0], key)
    else:
        outcome = _ingest_files(study, term, raws, key, on_progress)
    result = IngestResult(
        report.file_frame(outcome, term_id), report.rule_frame(outcome, term_id), report.link_frame(outcome)
    )
    _check_unchanged(raws)
    report.write_quarantine(study, term_id, outcome)
    if outcome.roster is not None:
        write_identities(study, term_id, identity_rows([outcome.roster], term_id, key))
    frames = {"ingest_files": result.files, "ingest_rules": result.rules, "ingest_links": result.links}
    frames["ingest_schools"] = report.school_frame(outcome, term_id)
    store.write_tables(study, term_id, {**outcome.tables, **frames})
    return result


def _ingest_files(
    study: Study, term: Term, raws: list[RawFile], key: bytes, on_progress: Progress
) -> Outcome:
    codebooks = {each.id: load_codebook(study.root / each.codebook) for each in study.instruments.values()}
    records, files, problems = _read_all(
        raws, codebooks, resent.superseded(study, term.id, raws), on_progress
    )
    lists = _batches(files, ("schools",), {}, codebooks, 0)
    problems.extend(error for batch in lists for error in batches.unknown_levels(batch))
    tidied = [(batch, tidy_schools(batch, term)) for batch in lists]
    schools = _stack(tidied, "schools")
    codes = school_codes(schools)
    if not lists and not problems:
        problems.append(no_schools(study, term))
    homes = _schools_of_files(files, codes, problems) if lists else {}
    problems.extend(map(resent.conflict, resent.groups_of(files, homes)))
    first_rid = sum(len(batch.cells) for batch in lists)
    others = [name for name in TABLES if name != "schools"]
    made = _batches(files, tuple(others), homes, codebooks, first_rid)
    for batch in made:
        problems.extend(batches.unknown_levels(batch))
        if batch.codebook is not None:
            problems.extend(wenjuanxing.unknown_options(batch.cells, batch.codebook))
    for batch in [each for each in made if each.source.table == "students" and not problems]:
        try:
            tidied.append((batch, tidy_roster(batch, term, key, study.id, schools, codes)))
        except CobenchError as error:
            problems.append(error)
    _stop(problems)
    roster = _stack(tidied, "roster")
    ctx = _context(study, term, key, schools, roster)
    for table in _IN_ORDER:
        for batch in [each for each in made if each.source.table == table]:
            tidied.append((batch, _tidy(batch, ctx, tidied)))
    return Outcome(_tables(tidied), tuple(records), tuple(tidied), roster)


def _tidy(batch: Batch, ctx: Context, before: list[tuple[Batch, Tidy]]) -> Tidy:
    if batch.source.table == "attendance":
        known = pd.concat([ctx.stored["events"], _stack(before, "events")], ignore_index=True)
        return tidy_attendance(batch, ctx, known)
    tidy = {
        "memberships": tidy_memberships,
        "contacts": tidy_contacts,
        "events": tidy_events,
        "outcomes": tidy_outcomes,
        "responses": tidy_responses,
    }
    return tidy[batch.source.table](batch, ctx)


def _read_all(
    raws: list[RawFile], codebooks: dict[str, Codebook], superseded: dict[str, str], on_progress: Progress
) -> tuple[list[FileRecord], list[FileCells], list[CobenchError]]:
    """Read every file; what can't be read doesn't hide what else can't."""
    records, files, problems = [], [], []
    seen: dict[tuple, str] = {}
    nothing = pd.DataFrame({"sheet": [], "row": [], "rule": []})
    for done, raw in enumerate(raws):
        on_progress("ingest", done, len(raws))
        if raw.source is None:
            how = "fits no source of study.toml"
            records.append(FileRecord(raw.label, "unrecognised", how, raw.sha256, 0, nothing))
            continue
        kind, place = raw.source.table, (raw.path.parent, raw.sha256)
        try:
            found = batches.read_file(raw, codebooks.get(raw.source.instrument or ""))
        except CobenchError as error:
            if raw.label in superseded:
                how = f"superseded by {superseded[raw.label]}, not readable"
                records.append(FileRecord(raw.label, kind, how, raw.sha256, 0, nothing))
            else:
                problems.append(error)
            continue
        if raw.label in superseded:
            how = f"superseded by {superseded[raw.label]}"
            records.append(FileRecord.of_no_data(raw, how, found.rows_in, "superseded"))
            continue
        if place in seen:
            how = f"same content as {seen[place]}"
            records.append(FileRecord.of_no_data(raw, how, found.rows_in, "identical_file"))
            continue
        seen[place] = raw.label
        records.append(FileRecord(raw.label, kind, found.how, raw.sha256, found.rows_in, found.non_data))
        files.append(found)
    return records, files, problems


def _batches(
    files: list[FileCells],
    tables: tuple[str, ...],
    homes: dict[str, str],
    codebooks: dict[str, Codebook],
    first_rid: int,
) -> list[Batch]:
    sources = []
    for each in files:
        if each.raw.source.table in tables and not any(each.raw.source is source for source in sources):
            sources.append(each.raw.source)
    made = []
    for source in sources:
        own = [each for each in files if each.raw.source is source]
        book = codebooks.get(source.instrument or "")
        batch = batches.put_together(source, own, homes, first_rid, book)
        first_rid += len(batch.cells)
        made.append(batch)
    return made


def _schools_of_files(
    files: list[FileCells], codes: dict[str, str], problems: list[CobenchError]
) -> dict[str, str]:
    """School of each file that a folder, the file name or (``file/sheet``) the name of a sheet tells."""
    homes = {}
    for each in files:
        how = each.raw.source.school
        for place, name in batches.names_of_school(each):
            school = batches.school_in(name, codes)
            if school is None:
                problems.append(_unknown_school(each.raw.label, how))
            else:
                homes[place] = school
    return homes


def _context(study: Study, term: Term, key: bytes, schools: pd.DataFrame, roster: pd.DataFrame) -> Context:
    before = read_identities(study, except_term=term.id)
    before = before[before["key_id"] == key_id(key)]
    columns = ["term", "school", "class_id", "name", "student"]
    stored = {name: store.read_table(study, name, except_delivery=term.id) for name in _COMPARED}
    known = pd.concat([before[columns], roster[columns]], ignore_index=True).astype("object")
    return Context(study, term, key, schools, known.where(known.notna(), None), stored)


def _stack(tidied: list[tuple[Batch, Tidy]], name: str) -> pd.DataFrame:
    """One table out of all that were made of it."""
    frames = [tidy.tables[name] for _, tidy in tidied if name in tidy.tables and len(tidy.tables[name])]
    if frames:
        return pd.concat(frames, ignore_index=True)
    if name == "roster":
        return pd.DataFrame(columns=["term", "school", "class_id", "name", "student", "student_number"])
    return empty(name)


def _tables(tidied: list[tuple[Batch, Tidy]]) -> dict[str, pd.DataFrame]:
    tables = {name: _stack(tidied, name) for name in TABLES}
    tables["logs"] = tables["logs"].drop_duplicates(["table", "class_id", "term"])
    return {name: conform(name, frame) for name, frame in tables.items()}


def _check_unchanged(raws: list[RawFile]) -> None:
    changed = [raw.label for raw in raws if store.file_hash(raw.path) != raw.sha256]
    if changed:
        raise IngestError(
            en=f"{', '.join(changed)} changed while it was read; close it in other programs and ingest again",
            zh=f"{', '.join(changed)} 在读取过程中发生变化；请在其他程序中关闭后重新读入",
        )


def _stop(problems: list[CobenchError]) -> None:
    """Raise what was found: one problem as itself, several as one."""
    if not problems:
        return
    if len(problems) == 1:
        raise problems[0]
    n = len(problems)
    more = (
        (f"\n... and {n - MAX_PROBLEMS} more", f"\n……另有 {n - MAX_PROBLEMS} 项")
        if n > MAX_PROBLEMS
        else ("", "")
    )
    raise IngestError(
        en=f"{n} problems, nothing was stored:\n"
        + "\n".join(each.en for each in problems[:MAX_PROBLEMS])
        + more[0],
        zh=f"共 {n} 个问题，未写入任何内容：\n"
        + "\n".join(each.zh for each in problems[:MAX_PROBLEMS])
        + more[1],
    )


def no_schools(study: Study, term: Term) -> IngestError:
    """The error of a delivery without a list of schools."""
    patterns = [each.files.replace("{term}", term.id) for each in study.sources if each.table == "schools"]
    listed = ", ".join(patterns) or "(no source of table schools)"
    return IngestError(
        en=f"no list of schools for term {term.id}: {listed}; put the file there, or declare the source",
        zh=f"学期 {term.id} 没有学校名录：{listed}；请放入该文件，或在 study.toml 中声明来源",
    )


def _unknown_school(label: str, how: str) -> IngestError:
    said = {"folder": ("folder", "文件夹"), "sheet": ("name of a sheet", "某个工作表名")}
    where = said.get(how, ("file name", "文件名"))
    return IngestError(
        en=f"{label}: its {where[0]} names no school of the list (code, name or short name); rename it, or mend the list",
        zh=f"{label}：{where[1]}不对应学校名录中的任何学校（代码、名称或简称）；请改名，或修正名录",
    )
