"""Files sent again: which two files stand for the same thing, and which of them has been chosen.

Two files of one source and one school are one thing sent twice when their names are the same but for the marks
that people and programs add on sending again (最终版2, 修订, v2, 副本, (1)), or when half of the smaller file's rows
stand in the other as well. Files of different names and different rows (one a class or month) all count. A source
declared ``several = true`` sends many files: there only the marks that say "instead of" (最终版, 修订, 副本) tell, as
a counter may number parts and an export may repeat earlier rows.
"""

from __future__ import annotations

import json
import re
import tomllib
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, replace
from datetime import datetime
from fnmatch import fnmatchcase
from itertools import combinations
from pathlib import Path, PurePosixPath
from typing import TYPE_CHECKING

import numpy as np
import pandas as pd

from cobench.declared import build
from cobench.errors import ResentFileError, StudyFileError
from cobench.files import write_text
from cobench.ingest.columns import factor
from cobench.ingest.text import clean_text
from cobench.study import Study, Term

if TYPE_CHECKING:
    from cobench.ingest.batches import FileCells, RawFile

CHOICES = "choices.toml"
SHARED_ROWS = 0.5
_LEAST_SHARED = 2
_FEW = 1000
# Odd, without pattern: spreads what two columns have in common over all bits.
_SPREAD = np.uint64(0x9E3779B97F4A7C15)
_INSTEAD = re.compile(
    r"(?:最终版?|终版|终稿|定稿|修订(?:版|稿)?|修改(?:版|稿|后)?|更正(?:版|稿|后)?|订正(?:版|稿|后)?|更新(?:版|后)?"
    r"|新版|正式版|重报|重新报送|副本|复件|复制|拷贝|第[\d一二三四五]+[版稿]"
    r"|(?<![a-z])(?:copy(?:\s+of)?|final|revised|updated|v(?:er)?\.?\s?\d+(?:\.\d+)*))(?:\s*\d{1,2}(?!\d))?",
    re.IGNORECASE,
)
# A counter that a program adds; after a grade (三(1), 初二(3), 4(2)) it is a class.
_COUNTER = re.compile(r"(?<![\d一二三四五六七八九十初高])\s*[(\[【]\s*\d{1,2}\s*[)\]】]\s*$")
_EDGES = re.compile(r"^[\s_\-—·.、,]+|[\s_\-—·.、,]+$|[(\[【]\s*[)\]】]")


@dataclass(frozen=True)
class Sent:
    """A file as compared: ``home`` is its school or folder, ``rows`` the hashes of its data rows (None: unread)."""

    label: str
    home: str
    several: bool = False
    rows: np.ndarray | None = None


@dataclass(frozen=True)
class NamedFile:
    """A file and the content it had."""

    file: str
    sha256: str


@dataclass(frozen=True)
class Choice:
    """A decision: of files sent again, ``file`` counts and those of ``over`` don't, as long as all are as they were."""

    term: str
    file: str
    sha256: str
    chosen_at: str
    over: tuple[NamedFile, ...] = ()


@dataclass(frozen=True)
class _ChoicesFile:
    choices: tuple[Choice, ...] = ()


def bare_name(stem: str, *, several: bool = False) -> str:
    """A file name without the marks of sending again; of a source with several files, counters stay."""
    name, before = clean_text(stem), None
    while name != before:
        before = name
        name = _EDGES.sub("", _INSTEAD.sub("", name))
        if not several:
            name = _COUNTER.sub("", name)
    return name.casefold() or clean_text(stem).casefold()


def row_hashes(found: FileCells) -> np.ndarray:
    """Hashes of the distinct data rows of a file by content (canonical columns, place left out); uint64."""
    parts = []
    for located in found.located:
        whole = np.zeros(len(located.cells), dtype="uint64")
        for name in sorted(name for name in located.cells.columns if name not in ("sheet", "row")):
            codes, distinct = factor(located.cells[name])
            own = pd.util.hash_array(np.array([*map(str, distinct), ""], dtype=object), categorize=False)
            whole = (whole ^ own[codes]) * _SPREAD
        parts.append(whole)
    return pd.unique(np.concatenate(parts)) if parts else np.array([], dtype="uint64")


def sent_again(files: Sequence[Sent]) -> list[tuple[Sent, ...]]:
    """Groups of files of one source that stand for the same thing, in order of their labels."""
    pairs = {*_of_one_name(files), *_of_one_content(files)}
    groups: list[set[int]] = []
    for one, other in sorted(pairs):
        touched = [group for group in groups if group & {one, other}]
        groups = [group for group in groups if group not in touched]
        groups.append({one, other}.union(*touched))
    return [tuple(files[index] for index in sorted(group)) for group in sorted(groups, key=min)]


def _of_one_name(files: Sequence[Sent]) -> Iterable[tuple[int, int]]:
    by_name: dict[tuple[str, str], list[int]] = {}
    for index, each in enumerate(files):
        name = bare_name(PurePosixPath(each.label).stem, several=each.several)
        by_name.setdefault((each.home, name), []).append(index)
    return (pair for same in by_name.values() for pair in combinations(same, 2))


def _of_one_content(files: Sequence[Sent]) -> Iterable[tuple[int, int]]:
    """Pairs of which the smaller has half of its rows, and two rows or more, in common with the other."""
    read = [index for index, each in enumerate(files) if not each.several and each.rows is not None]
    if len(read) < 2:
        return
    rows = np.concatenate([files[index].rows for index in read])
    owner = np.repeat(read, [len(files[index].rows) for index in read])
    frame = pd.DataFrame({"row": rows, "owner": owner})
    shared = frame[frame.duplicated("row", keep=False)]
    both = shared.merge(shared, on="row", suffixes=("", "_other"))
    counted = both[both["owner"] < both["owner_other"]].groupby(["owner", "owner_other"]).size()
    for (one, other), n in counted.items():
        least = min(len(files[one].rows), len(files[other].rows))
        if n >= max(_LEAST_SHARED, SHARED_ROWS * least):
            yield one, other


def groups_of(
    files: Iterable[FileCells], homes: Mapping[str, str], unread: Iterable[RawFile] = ()
) -> list[tuple[RawFile, ...]]:
    """Files of a delivery that were sent twice and differ, source by source.

    Parameters
    ----------
    files : files read, identical copies and superseded files left out.
    homes : school of a file by its label, where known.
    unread : files that can't be read; only their names tell.
    """
    by_source: dict[int, list[tuple[RawFile, FileCells | None]]] = {}
    for raw, found in [*((each.raw, each) for each in files), *((raw, None) for raw in unread)]:
        if raw.source is not None:
            by_source.setdefault(id(raw.source), []).append((raw, found))
    groups = []
    for own in by_source.values():
        by_home: dict[str, list[tuple[RawFile, FileCells | None]]] = {}
        for raw, found in sorted(own, key=lambda each: each[0].label):
            apart = raw.source.school == "folder"
            by_home.setdefault(_home(raw, homes) if apart else "", []).append((raw, found))
        for together in by_home.values():
            raws = {raw.label: raw for raw, _ in together}
            alike = _may_share_rows(together)
            sent = [
                Sent(
                    raw.label,
                    _home(raw, homes),
                    raw.source.several,
                    row_hashes(found) if at in alike else None,
                )
                for at, (raw, found) in enumerate(together)
            ]
            groups += [tuple(raws[each.label] for each in group) for group in sent_again(sent)]
    return groups


def _may_share_rows(files: Sequence[tuple[RawFile, FileCells | None]]) -> set[int]:
    """Places of files that could hold a row of another: no column tells them apart.

    Most columns of few values do (the school, the class), which spares hashing every row.
    """
    read = [
        (at, _few_values(found))
        for at, (raw, found) in enumerate(files)
        if found is not None and not raw.source.several
    ]
    return {
        at
        for (one, own), (other, their) in combinations(read, 2)
        if not any(own[name].isdisjoint(their[name]) for name in own.keys() & their.keys())
        for at in (one, other)
    }


def _few_values(found: FileCells) -> dict[str, set]:
    """Values of each column that has few."""
    held: dict[str, set[str]] = {}
    many = {"sheet", "row"}
    for located in found.located:
        for name in located.cells.columns.difference(sorted(many)):
            values = factor(located.cells[name])[1]
            if len(values) > _FEW:
                many.add(name)
            else:
                held.setdefault(name, set()).update(map(str, values))
    return {name: values for name, values in held.items() if name not in many}


def _home(raw: RawFile, homes: Mapping[str, str]) -> str:
    return homes.get(raw.label, raw.path.parent.as_posix())


def conflict(group: Sequence[RawFile]) -> ResentFileError:
    """The error that stops ingest until one file of ``group`` is chosen."""
    names = [raw.label for raw in group]
    return ResentFileError(
        en=f"sent more than once, with different content: {'; '.join(names)}; say which one counts with "
        f"`cobench choose {names[-1]}` (the others are kept and counted as superseded), or declare "
        "several = true for this source in study.toml if all of them count",
        zh=f"同一材料报送了多份且内容不同：{'；'.join(names)}；请用 `cobench choose {names[-1]}` 指定以哪一份为准"
        "（其余保留并计为已被替代）；如各份都应计入，请在 study.toml 该来源下声明 several = true",
    )


def adopted(study: Study, term: Term, raws: list[RawFile]) -> list[RawFile]:
    """``raws``, where files that fit a source only without their marks (最终版_家访记录.xlsx) belong to it."""
    patterns = [
        (each, PurePosixPath(each.pattern(term.id)).parts) for each in study.sources if each.sql is None
    ]
    return [raw if raw.source is not None else _adopted(raw, patterns) for raw in raws]


def _adopted(raw: RawFile, patterns) -> RawFile:
    path = PurePosixPath(raw.label)
    bare = bare_name(path.stem)
    if bare == clean_text(path.stem).casefold():
        return raw
    parts = (*path.parts[:-1], bare + path.suffix.lower())
    fitting = [
        source
        for source, pattern in patterns
        if len(pattern) == len(parts)
        and all(
            fnmatchcase(part.casefold(), each.casefold()) for part, each in zip(parts, pattern, strict=True)
        )
    ]
    return replace(raw, source=fitting[0]) if len(fitting) == 1 else raw


# ---- what has been chosen -----------------------------------------------------------------------------


def read_choices(study: Study) -> tuple[Choice, ...]:
    """Decisions recorded in ``choices.toml`` of the study.

    Raises
    ------
    StudyFileError
        When the file can't be read as what ``cobench choose`` writes.
    """
    path = study.root / CHOICES
    if not path.exists():
        return ()
    try:
        data = tomllib.loads(path.read_text(encoding="utf-8"))
    except (tomllib.TOMLDecodeError, UnicodeDecodeError) as error:
        raise StudyFileError(
            en=f"{CHOICES} can't be read: {error}; mend the line named, or delete the file and choose again",
            zh=f"{CHOICES} 无法读取：{error}；请修正所指的行，或删除该文件后重新选择",
        ) from None
    return build(_ChoicesFile, data, "").choices


def superseded(study: Study, term_id: str, raws: Iterable[RawFile]) -> dict[str, str]:
    """The file chosen instead, by the label of each superseded file; a changed file is not covered by a choice."""
    hashes = {raw.label: raw.sha256 for raw in raws}
    found = {}
    for choice in read_choices(study):
        if choice.term == term_id and hashes.get(choice.file) == choice.sha256:
            lesser = [each.file for each in choice.over if hashes.get(each.file) == each.sha256]
            found |= dict.fromkeys(lesser, choice.file)
    return {label: chosen for label, chosen in found.items() if chosen not in found}


def record_choice(study: Study, term_id: str, chosen: RawFile, group: Sequence[RawFile]) -> Choice:
    """Write down that ``chosen`` counts of ``group``; an earlier decision about any of its files goes.

    ``group`` is all that was sent for the one thing, superseded files among it.
    """
    over = tuple(NamedFile(raw.label, raw.sha256) for raw in group if raw.label != chosen.label)
    now = datetime.now().astimezone().isoformat(timespec="seconds")
    choice = Choice(term_id, chosen.label, chosen.sha256, now, over)
    touched = {chosen.label, *(each.file for each in over)}
    kept = [
        each
        for each in read_choices(study)
        if each.term != term_id or not touched & {each.file, *(lesser.file for lesser in each.over)}
    ]
    write_text(study.root / CHOICES, _as_toml([*kept, choice]))
    return choice


def _as_toml(choices: Iterable[Choice]) -> str:
    lines = [
        "# Which of files sent again counts, written by `cobench choose`. 重复报送的材料以哪一份为准，由 cobench choose 写入。"
    ]
    for each in choices:
        over = ", ".join(
            f"{{file = {_quoted(lesser.file)}, sha256 = {_quoted(lesser.sha256)}}}" for lesser in each.over
        )
        lines += ["", "[[choices]]"]
        lines += [
            f"{name} = {_quoted(getattr(each, name))}" for name in ("term", "file", "sha256", "chosen_at")
        ]
        lines.append(f"over = [{over}]")
    return "\n".join(lines) + "\n"


def _quoted(text: str) -> str:
    return json.dumps(text, ensure_ascii=False)


def find_group(groups: Iterable[Sequence[RawFile]], file: Path) -> tuple[RawFile, tuple[RawFile, ...]] | None:
    """The file of ``groups`` that lies at ``file``, and its group."""
    for group in groups:
        for raw in group:
            if raw.path.resolve() == file.resolve():
                return raw, tuple(group)
    return None
