"""One child, several student numbers: 学籍号 of kind L or J become G. Declared by people, never applied as a guess.

``private/aliases.parquet`` holds which number followed which, and on what evidence. The pseudonym is that of a child's
first number, so that it stays what it was when the number changes.
"""

from __future__ import annotations

import csv
from collections.abc import Iterable, Mapping
from datetime import date
from pathlib import Path

import pandas as pd

from cobench.errors import IngestError
from cobench.ingest.identities import read_identities
from cobench.ingest.parse import parse_student_number
from cobench.ingest.readers import read_cells
from cobench.ingest.text import clean_text, header_key, name_key
from cobench.store import private_dir
from cobench.study import Study

ALIASES = ["earlier", "later", "evidence", "declared_on"]
PROPOSALS = ["earlier", "later", "name", "school", "class_id", "evidence"]
HEADERS = {"earlier": "原学籍号", "later": "现学籍号", "evidence": "依据", "confirmed": "确认"}
YES = ("是", "y", "yes", "1", "true", "√")
_FILE, _LISTED = "aliases.parquet", "aliases_to_confirm.csv"


def read_aliases(study: Study) -> pd.DataFrame:
    """Declared aliases; columns :data:`ALIASES`."""
    path = study.root / "private" / _FILE
    return pd.read_parquet(path) if path.exists() else pd.DataFrame(columns=ALIASES, dtype="str")


def alias_numbers(study: Study) -> set[str]:
    """Every number of the alias table."""
    held = read_aliases(study)
    return {*held["earlier"], *held["later"]}


def first_numbers(aliases: pd.DataFrame) -> dict[str, str]:
    """The first number of the child of each number in the alias table.

    Raises
    ------
    IngestError
        When a number follows two, or itself in the end.
    """
    before = dict(zip(aliases["later"], aliases["earlier"], strict=True))
    if len(before) < len(aliases):
        raise _contradiction(int(len(aliases) - len(before)))
    found = {}
    for number in {*aliases["earlier"], *aliases["later"]}:
        first, steps = number, 0
        while first in before:
            first, steps = before[first], steps + 1
            if steps > len(before):
                raise _contradiction(1)
        found[number] = first
    return found


def declare(study: Study, path: Path, today: date) -> tuple[pd.DataFrame, int]:
    """The alias table with what a file declares, not yet stored, and how many rows of the file were not confirmed.

    Parameters
    ----------
    path : Path
        csv or xlsx with columns 原学籍号 and 现学籍号, and 依据 (evidence) and 确认 (rows count where it says 是).

    Raises
    ------
    IngestError
        Naming the rows: a number that is damaged, that follows two, or whose holders are two children.
    """
    rows, n_waiting = _read_declared(path)
    wrong = []
    for name in ("earlier", "later"):
        parsed = [parse_student_number(text) for text in rows[name]]
        rows[name] = [each.value for each in parsed]
        wrong += [row for row, each in zip(rows["row"], parsed, strict=True) if each.value is None]
    wrong += rows.loc[rows["earlier"] == rows["later"], "row"].tolist()
    if wrong:
        raise _bad_rows(
            path, wrong, "a number is blank or damaged, or both are the same", "学籍号空缺、有误或两者相同"
        )
    evidence = rows["evidence"].mask(rows["evidence"] == "", path.name)
    new = rows.assign(evidence=evidence, declared_on=today.isoformat())[ALIASES]
    joined = pd.concat([read_aliases(study), new], ignore_index=True).drop_duplicates(["earlier", "later"])
    joined = joined.reset_index(drop=True)
    first = first_numbers(joined)
    together = _together(study, first)
    clash = rows.loc[rows["earlier"].map(first).isin(together), "row"].tolist()
    if clash:
        raise _bad_rows(
            path,
            clash,
            "both numbers are on the roster of one term: two children",
            "两个学籍号同时在同一学期名册上，是两名学生",
        )
    return joined, n_waiting


def write_aliases(study: Study, aliases: pd.DataFrame) -> None:
    """Store the alias table, for its owner's eyes only."""
    path = private_dir(study) / _FILE
    waiting = path.with_name(f".{path.name}-new")
    aliases[ALIASES].astype("str").to_parquet(waiting, index=False)
    waiting.chmod(0o600)
    waiting.replace(path)


def propose(identities: pd.DataFrame, births: pd.DataFrame, declared: Mapping[str, str]) -> pd.DataFrame:
    """Pairs of numbers that may be one child's: an L or J number of one term, a G number of the next roster.

    Only what is unique is proposed: one child of that name in the class who leaves the roster with an L or J number,
    one who comes to it with a G number, born in the same month.

    Parameters
    ----------
    identities : DataFrame
        Identity map, terms in order of their ids.
    births : DataFrame
        ``student, term, birth_month``.
    declared : mapping
        From :func:`first_numbers`; these numbers are not proposed again.

    Returns
    -------
    DataFrame
        Columns :data:`PROPOSALS`.
    """
    known = identities.dropna(subset=["student", "student_number", "class_id"])
    known = known.merge(births, on=["student", "term"], how="left", validate="m:m").drop_duplicates()
    known = known[known["birth_month"].notna()].assign(key=lambda rows: rows["name"].map(name_key))
    spans = known.groupby("student_number").agg(first=("term", "min"), last=("term", "max"))
    place = ["school", "class_id", "key", "birth_month"]
    people = known.drop_duplicates(["student_number", *place]).join(spans, on="student_number")
    people = people[~people["student_number"].isin(list(declared))]
    temporary = people["student_number"].str[0].isin(["L", "J"])
    pairs = people[temporary].merge(people[~temporary], on=place, suffixes=("", "_later"))
    pairs = pairs[pairs["last"] < pairs["first_later"]]
    alone = ~pairs.duplicated("student_number", keep=False) & ~pairs.duplicated(
        "student_number_later", keep=False
    )
    alone &= pairs.groupby(place)["student_number"].transform("size") == 1
    found = pairs[alone]
    evidence = "同校、同班、同名、同出生年月；" + found["last"] + " → " + found["first_later"]
    return (
        found.assign(earlier=found["student_number"], later=found["student_number_later"], evidence=evidence)[
            PROPOSALS
        ]
        .sort_values(["school", "class_id", "earlier"])
        .reset_index(drop=True)
    )


def write_proposals(study: Study, proposals: pd.DataFrame) -> Path:
    """Write proposals to ``private/aliases_to_confirm.csv`` for somebody to put 是 into the column 确认."""
    path = private_dir(study) / _LISTED
    with open(path, "w", encoding="utf-8-sig", newline="") as file:
        path.chmod(0o600)
        writer = csv.writer(file)
        writer.writerow(
            [
                HEADERS["confirmed"],
                HEADERS["earlier"],
                HEADERS["later"],
                "姓名",
                "学校",
                "班级",
                HEADERS["evidence"],
            ]
        )
        for each in proposals.itertuples():
            writer.writerow(
                ["", each.earlier, each.later, each.name, each.school, each.class_id, each.evidence]
            )
    return path


def _read_declared(path: Path) -> tuple[pd.DataFrame, int]:
    for sheet in read_cells(path, path.name):
        for top in range(min(10, len(sheet.text))):
            keys = [header_key(cell) for cell in sheet.text[top]]
            if HEADERS["earlier"] not in keys or HEADERS["later"] not in keys:
                continue
            body = sheet.text[top + 1 :]
            columns = {
                name: [clean_text(row[keys.index(header)]) for row in body]
                if header in keys
                else [""] * len(body)
                for name, header in HEADERS.items()
            }
            rows = pd.DataFrame({**columns, "row": sheet.row_numbers[top + 1 :]})
            rows = rows[(rows["earlier"] != "") | (rows["later"] != "")]
            agreed = rows["confirmed"].str.lower().isin(YES) | (HEADERS["confirmed"] not in keys)
            return rows[agreed].reset_index(drop=True), int((~agreed).sum())
    raise IngestError(
        en=f"{path.name}: no sheet has the columns {HEADERS['earlier']} (earlier number) and {HEADERS['later']} (number "
        "now); name them so",
        zh=f"{path.name}：没有工作表含有「{HEADERS['earlier']}」和「{HEADERS['later']}」两列；请按此命名",
    )


def _together(study: Study, first: Mapping[str, str]) -> set[str]:
    """First numbers of which two numbers stand on the roster of one term."""
    held = read_identities(study, columns=["term", "student_number"]).dropna().drop_duplicates()
    held = held[held["student_number"].isin(list(first))]
    held = held.assign(first=held["student_number"].map(first))
    return set(held.loc[held.duplicated(["term", "first"], keep=False), "first"])


def _bad_rows(path: Path, rows: Iterable[int], en: str, zh: str) -> IngestError:
    listed = ", ".join(map(str, sorted(set(rows))[:20]))
    return IngestError(
        en=f"{path.name}, row {listed}: {en}; mend the file, nothing was stored",
        zh=f"{path.name} 第 {listed} 行：{zh}；请修正文件，未保存任何内容",
    )


def _contradiction(n: int) -> IngestError:
    return IngestError(
        en=f"the alias table contradicts itself: {n} number(s) follow two others, or follow in a circle; "
        "mend the file that declares them",
        zh=f"学籍号对应关系自相矛盾：有 {n} 个号码对应两个前号，或循环对应；请修正声明文件",
    )
