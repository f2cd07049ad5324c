"""Who has sent what: every school's files against those that the study expects. Opens and recognises, never tidies."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from dataclasses import dataclass, field
from fnmatch import fnmatchcase
from pathlib import PurePosixPath

import pandas as pd

from cobench.declared import Text
from cobench.errors import CobenchError
from cobench.ingest import batches, headers, questionnaires, resent
from cobench.ingest.batches import FileCells, RawFile
from cobench.ingest.codebook import Codebook, term_codebooks
from cobench.ingest.context import school_codes
from cobench.ingest.ingest import silent
from cobench.ingest.problems import no_schools
from cobench.ingest.readers import read_cells
from cobench.ingest.text import clean_text
from cobench.ingest.tidy_people import tidy_schools
from cobench.study import Source, Study, Term
from cobench.tables import conform

Progress = Callable[[str, int, int], None]
STATES = {
    "received": Text("已收", "received"),
    "missing": Text("缺", "missing"),
    "duplicate": Text("重复", "duplicate"),
    "unreadable": Text("读不懂", "unreadable"),
}
STATUS = ["school", "name", "kind", "state", "n_files", "files"]
PROBLEMS = ["school", "name", "kind", "state", "file", "why_zh", "why_en", "place"]
STRAY = ["file", "why_zh", "why_en"]


@dataclass(frozen=True)
class Received:
    """What has arrived of a term.

    Attributes
    ----------
    status : DataFrame
        Columns :data:`STATUS`: a row for each school and each kind of file that it owes, and one with school ""
        for each kind that the district owes; ``kind`` is :attr:`cobench.study.Source.title`.
    problems : DataFrame
        Columns :data:`PROBLEMS`: what is missing, unreadable or sent twice, why, and where the file belongs.
    stray : DataFrame
        Columns :data:`STRAY`: files that fit no kind, or whose school can't be told.
    """

    term: Term
    status: pd.DataFrame
    problems: pd.DataFrame
    stray: pd.DataFrame


@dataclass
class _Delivery:
    """Files of a delivery as opened; built up file by file."""

    read: dict[str, FileCells] = field(default_factory=dict)
    broken: dict[str, tuple[RawFile, CobenchError]] = field(default_factory=dict)
    stray: list[tuple[str, Text]] = field(default_factory=list)


def receive(study: Study, term_id: str, *, on_progress: Progress = silent) -> Received:
    """Which files of ``term_id`` have come, school by school.

    Raises
    ------
    CobenchError
        When the study file or a code book is not as declared, or schools owe files and there is no list of them.
    """
    term = study.term(term_id)
    batches.check_sources(study)
    codebooks = term_codebooks(study, term.id)
    raws = batches.find_files(study, term)
    delivery = _open_all(study, term, raws, codebooks, on_progress)
    schools = _schools(study, term, delivery)
    codes = school_codes(schools)
    senders = {label: _senders(found, codes) for label, found in delivery.read.items()}
    senders |= {label: _sender_of_broken(raw, codes) for label, (raw, _) in delivery.broken.items()}
    for label, who in senders.items():
        raw = delivery.read[label].raw if label in delivery.read else delivery.broken[label][0]
        if not who and raw.source.expected == "school":
            delivery.stray.append((label, Text("无法判断属于哪所学校；请按学校名录命名文件夹或文件",
                "its school can't be told; name the folder or file after the list of schools")))  # fmt: skip
    homes = {label: next(iter(who)) for label, who in senders.items() if len(who) == 1}
    groups = resent.groups_of(delivery.read.values(), homes, [raw for raw, _ in delivery.broken.values()])
    return _judged(study, term, schools, delivery, senders, groups)


def open_groups(study: Study, term_id: str) -> list[tuple[RawFile, ...]]:
    """Groups of files sent again, those settled by an earlier choice included."""
    term = study.term(term_id)
    codebooks = term_codebooks(study, term.id)
    raws = batches.find_files(study, term)
    delivery = _open_all(study, term, raws, codebooks, silent, settled=False)
    lists = [found for found in delivery.read.values() if found.raw.source.table == "schools"]
    codes = school_codes(_schools(study, term, delivery)) if lists else {}
    senders = {label: _senders(found, codes) for label, found in delivery.read.items()}
    senders |= {label: _sender_of_broken(raw, codes) for label, (raw, _) in delivery.broken.items()}
    homes = {label: next(iter(who)) for label, who in senders.items() if len(who) == 1}
    return resent.groups_of(delivery.read.values(), homes, [raw for raw, _ in delivery.broken.values()])


def place_of(source: Source, term: Term, school: str = "", folder: str = "") -> str:
    """Where a file of ``source`` belongs and how it is named, relative to the study; else the pattern itself."""
    pattern = PurePosixPath(source.files.replace("{term}", term.id))
    suffix = "".join(PurePosixPath(pattern.name).suffixes[-1:])
    suffix = suffix if suffix and "*" not in suffix else ".xlsx"
    # A school's own part of a list of all schools must not bear the name of the list.
    of_school = source.school != "folder" and source.expected == "school"
    name = f"{source.title}_{folder or school}" if of_school else source.title
    parts = [folder if part in ("*", "{school}") else part for part in pattern.parts[:-1]]
    wanted = pattern.name.replace("{school}", "*")
    for candidate in (name, f"{folder or school}_{source.title}"):
        if fnmatchcase(candidate + suffix, wanted):
            return PurePosixPath(*parts, candidate + suffix).as_posix()
    return PurePosixPath(*parts, pattern.name).as_posix()


def _open_all(
    study: Study,
    term: Term,
    raws: list[RawFile],
    codebooks: dict[str, Codebook],
    on_progress: Progress,
    *,
    settled: bool = True,
) -> _Delivery:
    """Open every file; identical copies are left out, and superseded files where ``settled``."""
    delivery = _Delivery()
    lesser = resent.superseded(study, term.id, raws) if settled else {}
    seen = set()
    for done, raw in enumerate(raws):
        on_progress("receive", done, len(raws))
        place = (raw.path.parent, raw.sha256)
        if raw.label in lesser or (place in seen and raw.source is not None):
            continue
        seen.add(place)
        if raw.source is None:
            delivery.stray.append((raw.label, _looks_like(raw, study, term, codebooks)))
            continue
        try:
            if raw.source.table == "panel":
                continue
            delivery.read[raw.label] = batches.read_file(raw, codebooks.get(raw.source.instrument or ""))
        except CobenchError as error:
            delivery.broken[raw.label] = (raw, error)
    return delivery


def _looks_like(raw: RawFile, study: Study, term: Term, codebooks: dict[str, Codebook]) -> Text:
    """What a file that fits no source may be, from its headers."""
    try:
        sheets = [sheet for sheet in read_cells(raw.path, raw.label) if not sheet.hidden]
    except CobenchError as error:
        return Text(error.zh, error.en)
    fitting = []
    for source in study.sources:
        try:
            for sheet in sheets[:1]:
                if source.table == "responses":
                    questionnaires.locate(sheet, codebooks[source.instrument], raw.label, source)
                elif source.table != "panel":
                    headers.locate(sheet, batches.wanted_columns(source), raw.label)
                else:
                    continue
                fitting.append(source)
        except CobenchError:
            continue
    if not fitting:
        return Text("不符合 study.toml 中的任何来源", "fits no source of study.toml")
    titles = " / ".join(dict.fromkeys(source.title for source in fitting))
    folder = raw.path.parent.name
    places = "；".join(dict.fromkeys(place_of(source, term, folder=folder) for source in fitting[:3]))
    return Text(
        f"文件名不符合任何来源，内容像“{titles}”；请改名或移动为 {places}",
        f"its name fits no source; its content looks like {titles}: rename or move it to {places}",
    )


def _schools(study: Study, term: Term, delivery: _Delivery) -> pd.DataFrame:
    found = [each for each in delivery.read.values() if each.raw.source.table == "schools"]
    if not found:
        if any(source.expected == "school" for source in study.sources):
            broken = [error for raw, error in delivery.broken.values() if raw.source.table == "schools"]
            raise broken[0] if broken else no_schools(study, term)
        return conform("schools", pd.DataFrame())
    batch = batches.put_together(found[0].raw.source, found, {}, 0, None)
    problems = batches.unknown_levels(batch)
    if problems:
        raise problems[0]
    return conform("schools", tidy_schools(batch, term).tables["schools"])


def _senders(found: FileCells, codes: dict[str, str]) -> set[str]:
    """Schools that a file speaks for: by its place, its sheets, or its column."""
    named = {batches.school_in(name, codes) for _, name in batches.names_of_school(found)}
    if not named:
        columns = [each.cells["school"] for each in found.located if "school" in each.cells]
        named = {codes.get(clean_text(text)) for column in columns for text in column.unique()}
    return named - {None}


def _sender_of_broken(raw: RawFile, codes: dict[str, str]) -> set[str]:
    """Schools that a file nobody can open may speak for: all of them, where only its rows would tell."""
    names = {"folder": raw.path.parent.name, "file": raw.path.stem}
    if raw.source.school not in names:
        return set(codes.values())
    return {batches.school_in(names[raw.source.school], codes)} - {None}


def _judged(
    study: Study,
    term: Term,
    schools: pd.DataFrame,
    delivery: _Delivery,
    senders: dict[str, set[str]],
    groups: list[tuple[RawFile, ...]],
) -> Received:
    again = {raw.label: group for group in groups for raw in group}
    folders = _folders(delivery, senders)
    status, problems = [], []
    for source in study.sources:
        for school, name in _owing(source, schools, term):
            folder = folders.get(school) or (f"{school}_{name}" if school else "")
            own = [
                label
                for label, raw in _of_source(delivery, source)
                if source.expected != "school" or school in senders[label]
            ]
            state, found = _state(own, delivery, again)
            place = place_of(source, term, school, folder)
            status.append((school, name, source.title, state, len(own), "；".join(own)))
            problems += [(school, name, source.title, state, *each, place) for each in found]
    stray = [(label, why.zh, why.en) for label, why in sorted(delivery.stray)]
    return Received(
        term,
        pd.DataFrame(status, columns=STATUS),
        pd.DataFrame(problems, columns=PROBLEMS),
        pd.DataFrame(stray, columns=STRAY),
    )


def _state(
    own: list[str], delivery: _Delivery, again: dict[str, tuple[RawFile, ...]]
) -> tuple[str, list[tuple[str, str, str]]]:
    """State of one school's files of one kind, and ``file, why_zh, why_en`` of what is wrong with them."""
    if not own:
        return "missing", [("", "未收到", "has not arrived")]
    found = []
    broken = {label: delivery.broken[label][1] for label in own if label in delivery.broken}
    found += [(label, error.zh, error.en) for label, error in broken.items()]
    blank = [label for label in own if label in delivery.read and not _holds_rows(delivery.read[label])]
    found += [(label, "没有数据行；没有内容也请报“无”", "holds no row of data; write 无 (none) if there is none")
              for label in blank]  # fmt: skip
    twice = {again[label][0].label: again[label] for label in own if label in again}
    for group in twice.values():
        zh = f"报送了 {len(group)} 份且内容不同；请学校确认以哪一份为准，再用 cobench choose 指定"
        en = f"{len(group)} files with different content; ask the school which one counts, then `cobench choose` it"
        found.append(("；".join(raw.label for raw in group), zh, en))
    if twice:
        return "duplicate", found
    return ("unreadable" if broken or blank else "received"), found


def _holds_rows(found: FileCells) -> bool:
    return any(len(each.cells) for each in found.located)


def _of_source(delivery: _Delivery, source: Source) -> list[tuple[str, RawFile]]:
    raws = [found.raw for found in delivery.read.values()] + [raw for raw, _ in delivery.broken.values()]
    return sorted((raw.label, raw) for raw in raws if raw.source is source)


def _owing(source: Source, schools: pd.DataFrame, term: Term) -> Iterable[tuple[str, str]]:
    """Schools that owe files of ``source`` in ``term`` (code and name); ("", "") for the district."""
    if source.terms and term.id not in source.terms:
        return []
    if source.expected == "school":
        owing = schools[schools["stage"].isin(source.stages)] if source.stages else schools
        return list(zip(owing["school"], owing["name"], strict=True))
    return [("", "")] if source.expected == "district" and source.table != "panel" else []


def _folders(delivery: _Delivery, senders: dict[str, set[str]]) -> dict[str, str]:
    """The folder that each school uses already."""
    raws = [found.raw for found in delivery.read.values()] + [raw for raw, _ in delivery.broken.values()]
    return {
        school: raw.path.parent.name
        for raw in raws
        if raw.source.school == "folder"
        for school in senders[raw.label]
    }
