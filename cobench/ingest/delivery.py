"""One delivery made into parts, one a canonical table; a part whose inputs are the same is taken as it stands."""

from __future__ import annotations

import gc
from collections.abc import Iterator
from contextlib import contextmanager

import pandas as pd

from cobench import store
from cobench.delivered import Delivery, Part, read_deliveries
from cobench.errors import CobenchError
from cobench.files import file_hash
from cobench.ingest import batches, cells, problems, questionnaires, report, resent
from cobench.ingest.batches import Batch, FileCells, RawFile
from cobench.ingest.codebook import Codebook
from cobench.ingest.columns import stack_frames
from cobench.ingest.earlier import Earlier
from cobench.ingest.hashes import FileHashes, digest, ingest_code
from cobench.ingest.identities import identities_place, key_id, stage_identities
from cobench.ingest.making import Making, Progress
from cobench.ingest.panel_source import ingest_panel
from cobench.ingest.persons import load_persons, mentions
from cobench.ingest.quarantine import Tidy, settled
from cobench.ingest.report import FileRecord, Outcome
from cobench.ingest.tidy_contacts import tidy_contacts
from cobench.ingest.tidy_events import tidy_attendance, tidy_events
from cobench.ingest.tidy_people import tidy_memberships, tidy_roster, tidy_schools
from cobench.ingest.tidy_records import tidy_register
from cobench.ingest.tidy_results import tidy_outcomes, tidy_responses
from cobench.study import Source, Study, Term
from cobench.tables import empty

# In this order: each part may look at what those before it hold.
PARTS = (
    "schools", "students", "communities", "memberships", "contacts", "events", "attendance", "outcomes", "responses",
    *(name for name in batches.RECORD_TABLES if name != "communities"),
)  # fmt: skip
OTHER = "others"
_NOTHING = pd.DataFrame({"sheet": [], "row": [], "rule": []})


def make(
    study: Study,
    term: Term,
    key: bytes,
    hashes: FileHashes,
    on_progress: Progress,
    *,
    made: Delivery | None = None,
) -> tuple[Delivery, Making]:
    """Bring the parts of one delivery up to date; files are written, nothing counts until it is committed.

    Parts are taken from ``made``, which waits to be committed, or else from what is stored.

    Raises
    ------
    CobenchError
        What is wrong with the files, all problems together.
    """
    with collector_paused():
        return _make(study, term, key, hashes, on_progress, made)


@contextmanager
def collector_paused() -> Iterator[None]:
    """Without the search for cycles: a district's texts are millions of objects, none of them in one."""
    running = gc.isenabled()
    gc.disable()
    try:
        yield
    finally:
        if running:
            gc.enable()


def _make(
    study: Study,
    term: Term,
    key: bytes,
    hashes: FileHashes,
    on_progress: Progress,
    made: Delivery | None,
) -> tuple[Delivery, Making]:
    batches.check_sources(study)
    raws = batches.find_files(study, term, hashes.of)
    before = [FileHashes.signs(raw.path) for raw in raws]
    held = made or read_deliveries(study).get(term.id, Delivery())
    making = Making(study, term, key, raws, held, on_progress)
    panels = [source for source in study.sources if source.table == "panel"]
    if panels:
        _make_panel(making, panels[0])
    else:
        _make_tables(making)
    problems.check_unchanged(raws, before, FileHashes.signs)
    making.private[f"quarantine/{term.id}.parquet"] = _quarantine(making)
    asked = any(part.asked for part in making.parts.values())
    earlier = making.earlier.fingerprint() if asked else ""
    whole = delivery_key(study, term, key, raws)
    return Delivery(whole, making.parts, making.private, earlier, key_id(key)), making


def is_current(study: Study, term: Term, key: bytes, hashes: FileHashes) -> bool:
    """Whether what is stored of a delivery was made from what lies there now."""
    held = read_deliveries(study).get(term.id)
    if held is None:
        return False
    raws = batches.find_files(study, term, hashes.of)
    if held.key != delivery_key(study, term, key, raws):
        return False
    return not held.earlier or held.earlier == Earlier(study, term, key).fingerprint()


def delivery_key(study: Study, term: Term, key: bytes, raws: list[RawFile]) -> str:
    """Hash of all that a delivery is made from, earlier deliveries apart."""
    files = [(raw.label, raw.sha256) for raw in raws]
    chosen = sorted(resent.superseded(study, term.id, raws).items())
    told = load_persons(study, key).fingerprint()
    return digest(files, chosen, [_base(study, key, table, told) for table in (*PARTS, "panel")])


def _base(study: Study, key: bytes, table: str, told: list) -> str:
    """Hash of what the files of one table are read by: declarations, code books, key, code and ``told`` of persons."""
    sources = [source for source in study.sources if source.table == table]
    books = [
        (
            study.instruments[source.instrument],
            [file_hash(study.root / name) for name in study.instruments[source.instrument].codebooks],
        )
        for source in sources
        if source.instrument
    ]
    return digest(ingest_code(), study.id, key_id(key), study.terms, sources, books, told)


def _make_tables(making: Making) -> None:
    for table in PARTS:
        _make_part(making, table)
    problems.stop(making.problems)
    others = [raw for raw in making.raws if raw.source is None]
    if others:
        records = [_unrecognised(raw) for raw in others]
        key = digest([(raw.label, raw.sha256) for raw in others])
        _finish(making, OTHER, key, Outcome({}, tuple(records), ()))


def _make_part(making: Making, table: str) -> None:
    raws = [raw for raw in making.raws if raw.source is not None and raw.source.table == table]
    if not raws:
        if table == "schools" and not making.problems:
            making.problems.append(problems.no_schools(making.study, making.term))
        return
    plain = digest(
        _base(making.study, making.key, table, making.told), _files_key(making, raws), _depends(making, table)
    )
    held = making.held.parts.get(table)
    if held is not None and held.key == (
        digest(plain, making.earlier.fingerprint()) if held.asked else plain
    ):
        making.parts[table] = held
        making.done += len(raws)
        if table == "students":
            place = identities_place(making.term.id)
            making.private[place] = making.held.private[place]
        return
    making.earlier.asked = False
    records, files = _read(making, raws)
    kept = tuple(sorted(_cells_name(making, each.raw) for each in files))
    outcome = _tidied(making, table, records, files)
    if outcome is not None:
        _finish(making, table, plain, outcome, kept)


def _finish(making: Making, part: str, key: str, outcome: Outcome, kept: tuple[str, ...] = ()) -> None:
    """Write what a part holds."""
    term, names = making.term.id, making.names(outcome)
    codes = making.codes if "schools" in making.parts else {}
    frames = {
        **outcome.tables,
        "ingest_files": report.without_names(report.file_frame(outcome, term), names),
        "ingest_rules": report.without_names(report.rule_frame(outcome, term), names),
        "ingest_links": report.link_frame(outcome),
        "ingest_recodes": report.without_names(report.recode_frame(outcome, term), names),
        "ingest_schools": report.school_frame(outcome, term, codes),
        "ingest_link_traits": report.trait_frame(outcome),
    }
    asked = making.earlier.asked
    if asked:
        key = digest(key, making.earlier.fingerprint())
    making.parts[part] = Part(key, store.write_part(making.study, frames), kept, asked)
    making.new[part] = Outcome(
        {
            **{name: frames[name] for name in ("ingest_files", "ingest_rules", "ingest_links")},
            **_small(outcome.tables),
        },
        (),
        (),
        outcome.roster,
        report.quarantine_frame(outcome, term, codes, making.persons.withdrawn.mentioned),
    )
    if outcome.roster is not None:
        making.private[identities_place(term)] = stage_identities(
            making.study, term, outcome.roster, making.key
        )


def _small(tables: dict[str, pd.DataFrame]) -> dict[str, pd.DataFrame]:
    """Tables that later parts look at."""
    return {name: tables[name] for name in ("schools", "events", "communities") if name in tables}


def _depends(making: Making, table: str) -> list:
    """What a part looks at of the parts before it, by its content."""
    if table == "schools":
        return []
    made = [making.parts[each].tables.get("schools") for each in ("schools",) if each in making.parts]
    if table != "students":
        made.append(making.private.get(identities_place(making.term.id)))
    if table == "attendance" and "events" in making.parts:
        made.append(making.parts["events"].tables.get("events"))
    sources = [source for source in making.study.sources if source.table == table]
    if table != "communities" and any("unit" in source.columns for source in sources):
        listed = making.parts.get("communities")
        made.append(listed and listed.tables.get("communities"))
    return made


def _files_key(making: Making, raws: list[RawFile]) -> list:
    return [
        (raw.label, raw.sha256, _first_alike(making, raw), making.superseded.get(raw.label)) for raw in raws
    ]


def _first_alike(making: Making, raw: RawFile) -> str | None:
    """An earlier file of the same folder with the same content."""
    for each in making.raws:
        if each is raw:
            return None
        if (
            each.source is not None
            and each.label not in making.superseded
            and (each.path.parent, each.sha256) == (raw.path.parent, raw.sha256)
        ):
            return each.label
    return None


def _read(making: Making, raws: list[RawFile]) -> tuple[list[FileRecord], list[FileCells]]:
    """Read every file; what can't be read doesn't hide what else can't."""
    records, files = [], []
    folder = store.private_dir(making.study, "cells")
    for raw in raws:
        making.report()
        making.done += 1
        name, chosen = _cells_name(making, raw), making.superseded.get(raw.label)
        found = cells.recall(folder, name, raw)
        if found is None:
            try:
                found = batches.read_file(raw, making.codebooks.get(raw.source.instrument or ""))
            except CobenchError as error:
                if chosen is None:
                    making.problems.append(error)
                else:
                    how = f"superseded by {chosen}, not readable"
                    records.append(FileRecord.of_no_data(raw, how, 0, "superseded"))
                continue
            if not mentions(making.persons.withdrawn, found):
                cells.keep(folder, name, found)
        alike = _first_alike(making, raw)
        if chosen is not None:
            records.append(FileRecord.of_no_data(raw, f"superseded by {chosen}", found.rows_in, "superseded"))
            continue
        if alike is not None:
            how = f"same content as {alike}"
            records.append(FileRecord.of_no_data(raw, how, found.rows_in, "identical_file"))
            continue
        records.append(
            FileRecord(raw.label, raw.source.table, found.how, raw.sha256, found.rows_in, found.non_data)
        )
        files.append(found)
    return records, files


def _cells_name(making: Making, raw: RawFile) -> str:
    """Name under which the cells of a file are kept: its content and how it is read."""
    return f"{digest(raw.sha256, raw.path.name, _base(making.study, making.key, raw.source.table, making.told), raw.source)}.cells"


def _tidied(making: Making, table: str, records: list[FileRecord], files: list[FileCells]) -> Outcome | None:
    """What the files of one table become, None once there is a problem (which is then only looked for)."""
    if table != "schools" and "schools" not in making.parts:
        return None
    homes = {} if table == "schools" else problems.schools_of_files(files, making.codes, making.problems)
    making.problems.extend(map(resent.conflict, resent.groups_of(files, homes)))
    made = _batches(files, homes, making.codebooks)
    # The batches hold the cells now; a district's files needn't be in memory twice.
    files.clear()
    for batch in made:
        making.problems.extend(batches.unknown_levels(batch))
        if batch.codebook is not None:
            making.problems.extend(questionnaires.unknown_options(batch.cells, batch.codebook))
    tidied: list[tuple[Batch, Tidy]] = []
    for batch in made if not making.problems else ():
        try:
            tidied.append((batch, settled(_tidy(making, batch))))
        except CobenchError as error:
            making.problems.append(error)
    if making.problems:
        return None
    names = dict.fromkeys(name for _, tidy in tidied for name in tidy.tables if name != "roster")
    tables = {name: _stack(tidied, name) for name in names}
    if "logs" in tables:
        tables["logs"] = tables["logs"].drop_duplicates(["table", "class_id", "term"])
    roster = _stack(tidied, "roster") if table == "students" else None
    return Outcome(tables, tuple(records), tuple(tidied), roster)


def _tidy(making: Making, batch: Batch) -> Tidy:
    table = batch.source.table
    if table == "schools":
        return tidy_schools(batch, making.term)
    if table == "students":
        return tidy_roster(batch, making.term, making.persons, making.schools, making.codes)
    if table == "attendance":
        return tidy_attendance(batch, making.context, making.events)
    tidy = {
        "memberships": tidy_memberships,
        "contacts": tidy_contacts,
        "events": tidy_events,
        "outcomes": tidy_outcomes,
        "responses": tidy_responses,
        **dict.fromkeys(batches.RECORD_TABLES, tidy_register),
    }
    return tidy[table](batch, making.context)


def _batches(files: list[FileCells], homes: dict[str, str], codebooks: dict[str, Codebook]) -> list[Batch]:
    sources: list[Source] = []
    for each in files:
        if not any(each.raw.source is source for source in sources):
            sources.append(each.raw.source)
    made, first_rid = [], 0
    for source in sources:
        own = [each for each in files if each.raw.source is source]
        batch = batches.put_together(source, own, homes, first_rid, codebooks.get(source.instrument or ""))
        first_rid += len(batch.cells)
        made.append(batch)
    return made


def _stack(tidied: list[tuple[Batch, Tidy]], name: str) -> pd.DataFrame:
    """One table out of all that were made of it."""
    frames = [tidy.tables[name] for _, tidy in tidied if name in tidy.tables and len(tidy.tables[name])]
    if frames:
        return stack_frames(frames)
    if name == "roster":
        return pd.DataFrame(columns=["term", "school", "class_id", "name", "student", "student_number"])
    return empty(name)


def _make_panel(making: Making, source: Source) -> None:
    table = _base(making.study, making.key, "panel", making.told)
    key = digest(table, [(raw.label, raw.sha256) for raw in making.raws])
    held = making.held.parts.get("panel")
    if held is not None and held.key == key:
        making.parts["panel"] = held
        return
    outcome = ingest_panel(making.study, making.term, making.raws, source, making.key)
    _finish(making, "panel", key, outcome)


def _unrecognised(raw: RawFile) -> FileRecord:
    return FileRecord(raw.label, "unrecognised", "fits no source of study.toml", raw.sha256, 0, _NOTHING)


def _quarantine(making: Making) -> str:
    """Stage rows in quarantine of the whole delivery: of parts taken over as they stand, and of new ones."""
    place = f"quarantine/{making.term.id}.parquet"
    held = [part for part in making.parts if part not in making.new]
    if not making.new and place in making.held.private:
        return making.held.private[place]
    frames = [outcome.quarantine for outcome in making.new.values()]
    if held:
        kept = pd.concat(store.read_part(making.study, making.parts[each], "ingest_files") for each in held)
        before = report.quarantine_rows(
            store.private_path(making.study, place, making.held.private.get(place, ""))
        )
        frames.append(before[report.without_names(before, making.names())["file"].isin(set(kept["file"]))])
    return report.stage_quarantine(making.study, place, frames)
