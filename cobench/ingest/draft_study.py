"""Draft a study file from a folder of schools' files. Every guess is marked ``# confirm``; none is made of answers."""

from __future__ import annotations

import json
import re
from collections.abc import Iterable
from dataclasses import dataclass, field
from datetime import date
from pathlib import Path

import pandas as pd

from cobench.errors import CobenchError, StudyFileError
from cobench.ingest.codebook_draft import MARK as CONFIRM
from cobench.ingest.codebook_draft import draft_codebook, identifying
from cobench.ingest.draft_words import (
    ALSO,
    KINDS,
    KNOWN_ONLY,
    LABELS,
    MEASURES,
    NOT_MEASURES,
    OF_EVERY_SCHOOL,
    REGISTERS,
    REQUIRED,
    SCHOOL_HEADERS,
    TABLES,
)
from cobench.ingest.headers import Located, Wanted, locate
from cobench.ingest.inspection import Inspection, inspect_file
from cobench.ingest.parse import parse_code, parse_mark
from cobench.ingest.readers import Sheet
from cobench.ingest.resent import bare_name
from cobench.ingest.text import clean_text, header_key

MOST_LABELS = 20
_TERM = re.compile(r"\d{4}-\d{4}-[12]")
_MONTH = re.compile(r"(\d{1,2})月")
_OF_LEDGER = {"holds", "value", "done"}
_DEAD = ("thumbs.db", "desktop.ini")


@dataclass(frozen=True)
class Draft:
    """Text of ``study.toml``, code books by file name, and files that nothing could be made of, with the reason."""

    study_toml: str
    codebooks: dict[str, str]
    unknown: tuple[tuple[str, str], ...] = ()


@dataclass
class _Kind:
    """Files that look alike: one source of the draft. ``table`` may be a shape of a table (:data:`TABLES`)."""

    table: str
    title: str
    in_folder: bool
    suffixes: set[str] = field(default_factory=set)
    headers: dict[str, list[str]] = field(default_factory=dict)
    n_files: int = 0
    seen: dict[str, int] = field(default_factory=dict)
    labels: dict[str, dict[str, None]] = field(default_factory=dict)
    measures: dict[str, None] = field(default_factory=dict)
    registers: dict[str, list[str]] = field(default_factory=dict)
    instrument: str = ""
    linkage: str = "none"
    platform: str = ""


def draft_study(folder: Path, study_id: str) -> Draft:
    """Guess sources, columns, labels and code books from the files in ``folder`` (``[<term>/]<school>/<file>``).

    Raises
    ------
    StudyFileError
        When the folder holds no file that could be recognised.
    """
    paths = sorted(
        path
        for path in folder.rglob("*")
        if path.is_file() and not path.name.startswith((".", "~$")) and path.name.lower() not in _DEAD
    )
    kinds: dict[tuple, _Kind] = {}
    codebooks: dict[str, str] = {}
    unknown = []
    for path in paths:
        label = path.relative_to(folder).as_posix()
        try:
            found = inspect_file(path)
            sheets = [reading.sheet for reading in found.readings]
        except CobenchError as error:
            unknown.append((label, error.en))
            continue
        if any(reading.layout is not None for reading in found.readings):
            _take_questionnaire(found, path, folder, kinds, codebooks)
        elif not any([_take(sheet, path, folder, kinds) for sheet in sheets]):
            unknown.append((label, "no known kind of table"))
    if not kinds:
        raise StudyFileError(
            en=f"{folder.name}: none of {len(paths)} files could be recognised; start from `cobench new DIR` alone",
            zh=f"{folder.name}：{len(paths)} 个文件都无法识别；请只用 `cobench new DIR` 新建",
        )
    terms = sorted(
        {part for path in paths for part in path.relative_to(folder).parts if _TERM.fullmatch(part)}
    )
    if not terms and _TERM.fullmatch(folder.name):
        terms = [folder.name]
    return Draft(_study_text(study_id, terms, list(kinds.values()), unknown), codebooks, tuple(unknown))


def draft_source(sheet: Sheet, path: Path) -> str | None:
    """Source of ``study.toml`` that a sheet may be, every line a guess; None where it looks like none."""
    kinds: dict[tuple, _Kind] = {}
    if not _take(sheet, path, path.parent, kinds):
        return None
    return "\n".join(line for kind in kinds.values() for line in _source_lines(kind, "measure"))


def _take_questionnaire(
    found: Inspection, path: Path, folder: Path, kinds: dict, codebooks: dict[str, str]
) -> None:
    """Add a questionnaire to the kind that its title tells, and draft the code book of a new one."""
    reading = next(each for each in found.readings if each.layout is not None)
    title = _questionnaire_title(path.stem)
    kind = kinds.setdefault(("responses", title), _Kind("responses", title, bool(_inside(path, folder))))
    if not kind.instrument:
        kind.platform = reading.layout.platform
        kind.instrument = f"{_respondent_of(title)}s_{sum(key[0] == 'responses' for key in kinds)}"
        codebooks[f"{kind.instrument}.toml"] = draft_codebook(found, kind.instrument)
        told = identifying(reading)
        kind.linkage = "student" if "name" in told else "class" if "class" in told else "none"
    _note(kind, path)


def _respondent_of(title: str) -> str:
    """Who answered, from the title: a guess."""
    return "teacher" if "教师" in title or "老师" in title else "student" if "学生" in title else "parent"


def _inside(path: Path, folder: Path) -> list[str]:
    """Folders between that of the term and the file."""
    return [part for part in path.relative_to(folder).parts[:-1] if not _TERM.fullmatch(part)]


def _take(sheet: Sheet, path: Path, folder: Path, kinds: dict) -> bool:
    """Add a sheet to the kind that it looks like; False where it looks like none."""
    inside = _inside(path, folder)
    best = _best_table(sheet, path.name)
    if best is None:
        return False
    table, located = best
    title = _title(path.stem, inside)
    kind = kinds.setdefault((table, title, bool(inside)), _Kind(table, title, bool(inside)))
    _note(kind, path)
    for name, header in located.headers.items():
        listed = kind.headers.setdefault(name, [])
        if header not in listed:
            listed.append(header)
        kind.seen[name] = kind.seen.get(name, 0) + 1
        # The item of a mentoring pair is its number.
        if name in LABELS and name in located.cells and table != "mentor_pairs":
            kind.labels.setdefault(name, {}).update(dict.fromkeys(located.cells[name].astype("str").unique()))
    if table == "outcomes":
        kind.measures.update(dict.fromkeys(_measures(sheet, located)))
    for header, (name, cells) in _registered(table, sheet, located).items():
        if header not in kind.registers.setdefault(name, []):
            kind.registers[name].append(header)
        ticks = dict.fromkeys(cell for cell in cells if cell in LABELS["holds"])
        if ticks:
            kind.labels.setdefault("holds", {}).update(ticks)
    return True


def _note(kind: _Kind, path: Path) -> None:
    kind.suffixes.add(path.suffix.lower())
    kind.n_files += 1


def _best_table(sheet: Sheet, name: str) -> tuple[str, Located] | None:
    """The table whose required columns are all there, the one with most columns found."""
    found = []
    for table, required in REQUIRED.items():
        school = {} if table == "schools" else {"school": SCHOOL_HEADERS}
        aliases = {**school, **required, **ALSO[table]}
        try:
            located = locate(sheet, Wanted(aliases, frozenset(aliases) - set(required)), name)
        except CobenchError:
            continue
        if set(required) <= set(located.headers):
            if table == "outcomes" and not _measures(sheet, located):
                continue
            own = len(_registered(table, sheet, located))
            told = own > 0 or bool(_OF_LEDGER & set(located.headers))
            if (table in (*REGISTERS, "ledger") and not told) or not _has_codes(located):
                continue
            # Columns of a register say more of what a file is than the names and days beside them.
            sure = len(required) + 3 * (told and TABLES.get(table) == "records")
            found.append((sure, len(located.headers) + own, table, located))
    if not found:
        return None
    best = max(found, key=lambda each: each[:2])
    return best[2], best[3]


def _has_codes(located: Located) -> bool:
    """Whether the codes of school communities, where a column of that name is there, are codes."""
    if "unit" not in located.headers:
        return True
    given = [text for text in located.cells["unit"].astype("str") if text]
    return bool(given) and sum(parse_code(text).rule is None for text in given) >= 0.8 * len(given)


def _other_columns(sheet: Sheet, located: Located) -> list[tuple[str, list[str]]]:
    """Headers that are no column of the table, each with its filled-in cells."""
    found = []
    # Rows without a name below the header are its second row (语文 | 数学 below 期末成绩).
    cells = located.cells
    named = cells[cells["student_name"].astype("str") != ""] if "student_name" in cells else cells
    first = int(named["row"].min()) - sheet.first_row if len(named) else 0
    taken = {header_key(each) for each in located.headers.values()}
    for place in range(sheet.text.shape[1]):
        names = [clean_text(cell) for cell in sheet.text[:first, place] if clean_text(cell)]
        if names and header_key(names[-1]) not in taken:
            given = [clean_text(cell) for cell in sheet.text[first:, place]]
            found.append((names[-1], [cell for cell in given if cell]))
    return found


def _measures(sheet: Sheet, located: Located) -> list[str]:
    """Headers of columns that hold marks, levels or counts: a subject known by name, or numbers in most cells."""
    headers = []
    left_out = set(map(header_key, NOT_MEASURES))
    for header, given in _other_columns(sheet, located):
        if header_key(header) in left_out:
            continue
        marks = sum(parse_mark(cell).rule is None for cell in given)
        if header in MEASURES or (given and marks >= 0.8 * len(given) and len(header) <= 12):
            headers.append(header)
    return headers


def _registered(table: str, sheet: Sheet, located: Located) -> dict[str, tuple[str, list[str]]]:
    """Columns of a register by header: the record that each gives, and its filled-in cells."""
    found = {}
    for header, given in _other_columns(sheet, located) if table in REGISTERS else ():
        month = _MONTH.search(header)
        name = REGISTERS[table].get(_MONTH.sub("{n}月", header) if month else header)
        if name is not None:
            found[header] = (name.replace("{n}", month.group(1)) if month else name, given)
    return found


def _title(stem: str, inside: list[str]) -> str:
    """The part of a file name that says what it is: without marks, dates, counters and the school's own name."""
    name = clean_text(bare_name(stem))
    for part in inside:
        for piece in (part, *part.split("_")):
            name = name.replace(clean_text(piece), "")
    name = re.sub(r"\d+(?:年|月|日|学年|学期)?|第[一二]学期", "", name)
    return re.sub(r"[\s_\-—()（）.·]+", "", name) or clean_text(stem)


def _questionnaire_title(stem: str) -> str:
    parts = [
        part
        for part in clean_text(stem).split("_")
        if part and not part.isdigit() and not part.startswith("按")
    ]
    return parts[0] if parts else clean_text(stem)


# ---- the text -----------------------------------------------------------------------------------------


def _study_text(study_id: str, terms: list[str], kinds: list[_Kind], unknown: list[tuple[str, str]]) -> str:
    lines = [
        f"# Drafted by cobench from files. Every line marked “{CONFIRM[2:]}” is a guess: check it and delete the mark.",
        "# 由 cobench 根据文件起草。凡标有 confirm 的行都是猜测：核对后删去该标记。`cobench check` 列出尚未核对之处。",
        "",
        "[study]",
        f"id = {_quoted(study_id)}",
        f'label = {{zh = "（学区名）家校协同育人评估", en = "(District) home-school evaluation"}}  {CONFIRM}: its name',
    ]
    for term in terms or [_term_of_today()]:
        lines += ["", *_term_lines(term)]
    for number, kind in enumerate(kinds, start=1):
        lines += ["", *_source_lines(kind, f"measure_{number}")]
    for kind in kinds:
        if kind.table == "responses":
            lines += [
                "",
                f"[instruments.{kind.instrument}]",
                f'codebook = "codebooks/{kind.instrument}.toml"',
                f'linkage = "{kind.linkage}"  {CONFIRM}: student, class, school or none',
                f'respondent = "{_respondent_of(kind.title)}"  {CONFIRM}',
            ]
    categories = dict.fromkeys(
        _value("category", label) for kind in kinds for label in kind.labels.get("category", ()) if label
    )
    for each in categories:
        label = next((zh for zh, value in LABELS["category"].items() if value == each), str(each))
        lines += ["", "[[categories]]", f"id = {_quoted(str(each))}", f"label = {_quoted(label)}"]
        lines.append(f'source = "?"  {CONFIRM}: where the definition of this category stands')
    lines += [
        "",
        "# Not drafted: treatments, scales, outcomes and effects. Declare them before you see the outcomes.",
    ]
    lines += [f"# Not recognised: {label} ({reason.splitlines()[0][:120]})" for label, reason in unknown]
    return "\n".join(lines) + "\n"


def _term_of_today() -> str:
    today = date.today()
    year = today.year if today.month >= 8 else today.year - 1
    return f"{year}-{year + 1}-{1 if today.month >= 8 or today.month == 1 else 2}"


def _term_lines(term: str) -> list[str]:
    year, half = int(term[:4]), term[-1]
    days = (
        (date(year, 9, 1), date(year, 9, 15), date(year, 12, 19), date(year + 1, 1, 15), date(year + 1, 1, 22))
        if half == "1"
        else (date(year + 1, 2, 20), date(year + 1, 3, 6), date(year + 1, 6, 5), date(year + 1, 6, 28), date(year + 1, 7, 6))
    )  # fmt: skip
    names = ("start", "landmark", "exposure_end", "exam", "end")
    said = (
        "first day",
        "covariates up to this day, exposure after it",
        "last day of exposure",
        "day of the exam",
        "last day",
    )
    lines = ["[[terms]]", f"id = {_quoted(term)}"]
    return lines + [f"{n} = {day}  {CONFIRM}: {what}" for n, day, what in zip(names, days, said, strict=True)]


def _source_lines(kind: _Kind, prefix: str) -> list[str]:
    suffix = kind.suffixes.pop() if len(kind.suffixes) == 1 else ""
    star, table = "*" if kind.table != "schools" else "", TABLES.get(kind.table, kind.table)
    folder = "*/" if kind.in_folder else ""
    before = "*" if kind.table == "responses" else ""
    lines = [
        "[[sources]]",
        f"table = {_quoted(table)}  {CONFIRM}: {kind.n_files} files look like this",
        f"files = {_quoted(f'data/raw/{{term}}/{folder}{before}{kind.title}{star}{suffix}')}  {CONFIRM}",
    ]
    if kind.table == "responses":
        return [*lines, f"platform = {_quoted(kind.platform)}", f"instrument = {_quoted(kind.instrument)}"]
    lines += _owed_lines(kind)
    if kind.table in KINDS:
        lines.append(f"kind = {_quoted(KINDS[kind.table])}  {CONFIRM}: what each row is a record of")
    labelled, told = _labels_of(kind)
    lines += told
    columns = ", ".join(f"{name} = {_list(texts)}" for name, texts in kind.headers.items())
    lines.append(f"columns = {{{columns}}}  {CONFIRM}")
    sure = set(REQUIRED[kind.table]) | {"school"}
    optional = [name for name in kind.headers if name not in sure]
    if optional:
        lines.append(f"optional = {_list(optional)}  {CONFIRM}: may be absent from a file")
    if kind.table == "attendance":
        lines.append(f'event_kind = "lecture"  {CONFIRM}: what families were invited to')
    if kind.table == "outcomes":
        named = {MEASURES.get(each, f"{prefix}_{i}"): each for i, each in enumerate(kind.measures, start=1)}
        listed = ", ".join(f"{name} = {_list([header])}" for name, header in named.items())
        lines.append(f"measures = {{{listed}}}  {CONFIRM}: which columns are results")
    if kind.registers:
        listed = ", ".join(f"{_quoted(name)} = {_list(texts)}" for name, texts in kind.registers.items())
        lines.append(f"measures = {{{listed}}}  {CONFIRM}: which columns are records, and of what")
    for name, values in labelled.items():
        if name in kind.headers or name == "holds":
            lines += [f"[sources.levels.{name}]"]
            lines += [f"{_quoted(label)} = {_toml(_value(name, label))}  {CONFIRM}" for label in values]
    return lines


def _owed_lines(kind: _Kind) -> list[str]:
    """How the school of a row is known, and who owes the file."""
    if kind.table == "schools":
        return []
    how = "folder" if kind.in_folder else "column" if "school" in kind.headers else "file"
    if how != "column":
        kind.headers.pop("school", None)
    of_units = how == "file" and "unit" in kind.headers
    lines = [] if of_units else [f'school = "{how}"  {CONFIRM}: how the school of a row is known']
    if how == "column" and kind.table in OF_EVERY_SCHOOL:
        lines.append(f'expected = "school"  {CONFIRM}: every school owes its rows; "none" where nobody does')
    return lines


def _labels_of(kind: _Kind) -> tuple[dict[str, list[str]], list[str]]:
    """Labels by column, and what is to be said of columns that are left out."""
    labelled = {name: sorted(each for each in values if each) for name, values in kind.labels.items()}
    lines = []
    for name in [name for name in KNOWN_ONLY if name in labelled]:
        known = [each for each in labelled[name] if _value(name, each) != "unknown"]
        if len(known) < len(labelled[name]):
            n = len(labelled[name]) - len(known)
            lines.append(f"# {name}: {n} other labels, to be added below by hand  {CONFIRM}")
        labelled[name] = known
    for name, values in labelled.items():
        if not values or (len(values) > MOST_LABELS and name not in KNOWN_ONLY):
            kind.headers.pop(name, None)
            lines.append(f"# {name}: left out, its column holds no short list of labels  {CONFIRM}")
    return labelled, lines


def _value(column: str, label: str) -> str | bool:
    """What a label stands for: known, or contained in a known one, else ``unknown``."""
    known = LABELS[column]
    if label in known:
        return known[label]
    inside = [value for each, value in known.items() if each in label and len(each) > 1]
    return inside[0] if len(inside) == 1 else "unknown"


def _toml(value: str | bool) -> str:
    return str(value).lower() if isinstance(value, bool) else _quoted(value)


def _list(texts: Iterable[str]) -> str:
    return "[" + ", ".join(map(_quoted, texts)) + "]"


def _quoted(text: str) -> str:
    return json.dumps(text, ensure_ascii=False)


def guesses(texts: dict[str, str]) -> pd.DataFrame:
    """Lines still marked ``# confirm``: ``file, line, text``."""
    rows = [
        (file, number, line.strip())
        for file, text in texts.items()
        for number, line in enumerate(text.splitlines(), start=1)
        if CONFIRM in line
    ]
    return pd.DataFrame(rows, columns=["file", "line", "text"])
