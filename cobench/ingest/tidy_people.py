"""Schools, the roster (students and their enrolment) and category memberships."""

from __future__ import annotations

from collections.abc import Iterable

import pandas as pd

from cobench.errors import CobenchError, DuplicateStudentError
from cobench.ingest.batches import Batch, decode_levels
from cobench.ingest.columns import constant, is_one_of, name_keys, recode, stack_frames, where
from cobench.ingest.context import (
    Context,
    class_ids,
    link_rows,
    listed_classes,
    no_values,
    parse_dates,
    redact,
    resolve_schools,
)
from cobench.ingest.headers import place
from cobench.ingest.linkage import match_report
from cobench.ingest.parse import parse_column, parse_month, parse_student_numbers
from cobench.ingest.persons import Persons
from cobench.ingest.quarantine import CONSENT_WITHDRAWN, Tidy, faults, first_faults
from cobench.ingest.readers import NUMBER
from cobench.study import Term

_PERSON = ["name_key", "sex", "birth_month"]
_ROSTER = ["school", "class_id", "name", "student", "student_number"]
_ACTIVE = ("enrolled", "transferred_in")


def blank(texts: pd.Series) -> pd.Series:
    """Rule ``blank_required`` where a text is blank."""
    return where(is_one_of(texts, [""]), "blank_required", texts.index)


def cell_faults(column: str, rules: pd.Series, accepted: pd.Index) -> pd.DataFrame:
    """Cells of accepted rows that could not be read."""
    broken = rules[rules.notna()]
    broken = broken[broken.index.isin(accepted)]
    return faults((rid, column, rule) for rid, rule in broken.items())


def row_school(batch: Batch, codes: dict[str, str]) -> pd.DataFrame:
    """School of each row as ``value`` and ``rule``: from a column, else from the file."""
    if "school" in batch.cells:
        return resolve_schools(batch.cells["school"], codes)
    return pd.DataFrame({"value": batch.cells["school_of_file"], "rule": no_values(batch.cells.index)})


def school_or_unit(batch: Batch, ctx: Context) -> pd.DataFrame:
    """As :func:`row_school`; a row of a school community (``unit``) needs no school."""
    cells = batch.cells
    if "unit" not in cells:
        return row_school(batch, ctx.school_codes)
    if "school" not in cells and batch.source.school in (None, "column"):
        return pd.DataFrame({name: no_values(cells.index) for name in ("value", "rule")})
    found = row_school(batch, ctx.school_codes)
    none = cells["unit"] != ""
    if "school" in cells:
        none &= cells["school"] == ""
    return found.assign(rule=found["rule"].mask(none))


def tidy_schools(batch: Batch, term: Term) -> Tidy:
    """Table ``schools``; a row that repeats another is a duplicate, two that contradict go to quarantine."""
    cells = batch.cells
    rows = pd.DataFrame(
        {
            "school": cells["school"],
            "name": cells["name"],
            "short_name": cells.get("short_name", constant("", cells.index)),
            "former_names": cells.get("former_names", no_values(cells.index)),
            "stage": decode_levels(batch, "stage"),
            "term": term.id,
        }
    ).astype("object")
    repeated = rows.duplicated()
    clash = rows[~repeated].duplicated("school", keep=False).reindex(rows.index, fill_value=False)
    broken = first_faults(
        rows.index[~repeated],
        [(name, blank(cells[name])) for name in ("school", "name", "stage")]
        + [("school", where(clash, "contradicting_rows"))],
    )
    good = rows[~repeated & ~rows.index.isin(broken["rid"])]
    return Tidy(
        {"schools": good.rename_axis("rid").reset_index()},
        broken,
        faults((rid, "school", "duplicate") for rid in rows.index[repeated]),
    )


def tidy_roster(
    batch: Batch, term: Term, persons: Persons, schools: pd.DataFrame, codes: dict[str, str]
) -> Tidy:
    """Tables ``students`` and ``enrolments``, and ``roster``: who answers to which name, quarantined rows included.

    Raises
    ------
    DuplicateStudentError
        When two rows of one school claim one student number but differ, or rows of two schools describe
        different children under it.
    """
    cells = batch.cells
    stages = dict(zip(schools["school"], schools["stage"], strict=True))
    school = row_school(batch, codes)
    year = constant(term.school_year, cells.index)
    classes = class_ids(school["value"], cells["class"], year, stages)
    number = parse_student_numbers(cells["student_number"], batch.kinds["student_number"] == NUMBER)
    birth = _optional(batch, "birth_month", parse_month)
    broken = first_faults(
        cells.index,
        [
            ("student_number", persons.withdrawn.rules_of_numbers(number["value"])),
            ("school", school["rule"]),
            ("student_name", blank(cells["student_name"])),
            ("student_number", number["rule"]),
            ("class", classes["rule"]),
            ("status", blank(cells["status"]) if "status" in cells else no_values(cells.index)),
        ],
    )
    facts = {
        "student_number": number["value"],
        "birth_month": birth["value"],
        "school": school["value"],
        "class_id": classes["value"],
        "grade": classes["grade"],
    }
    rows = _roster_rows(batch, term).assign(**facts)
    good = rows.drop(index=broken["rid"])
    repeated = good.index[good.duplicated("student_number")]
    if len(repeated):
        good, repeated = _without_repeats(good)
    good = good.assign(student=persons.students(good["student_number"]))
    blocked = _not_withdrawn(rows.loc[broken["rid"]], broken, persons)
    blocked = blocked[blocked["class_id"].notna() & (blocked["name_key"] != "")]
    listed = [good[_ROSTER], blocked.assign(student=no_values(blocked.index))[_ROSTER]]
    good_rows = good.rename_axis("rid").reset_index()
    return Tidy(
        {
            "students": _people(good_rows),
            "enrolments": good_rows,
            "roster": stack_frames(listed).assign(term=lambda made: constant(term.id, made.index)),
        },
        broken,
        faults((rid, "student_number", "duplicate") for rid in repeated),
        cell_faults("birth_month", birth["rule"], good.index),
    )


def _not_withdrawn(blocked: pd.DataFrame, broken: pd.DataFrame, persons: Persons) -> pd.DataFrame:
    """Rows in quarantine but those of withdrawn children, whose classes are remembered instead."""
    gone = (broken["rule"] == CONSENT_WITHDRAWN).to_numpy()
    listed = blocked[gone & blocked["class_id"].notna().to_numpy()]
    persons.withdrawn.learn(listed["class_id"], listed["name_key"])
    return blocked[~gone]


def _without_repeats(good: pd.DataFrame) -> tuple[pd.DataFrame, pd.Index]:
    """Rows without those that repeat another, and these; what contradicts another stops."""
    shared = good[good.duplicated("student_number", keep=False)].astype("object")
    content = ["student_number", *_PERSON, "school", "class_id", "boarding", "status"]
    repeated = shared.index[shared.duplicated(content)]
    _check_duplicates(shared.drop(index=repeated))
    return good.drop(index=repeated), repeated


def _roster_rows(batch: Batch, term: Term) -> pd.DataFrame:
    """Place, name and labels of each roster row, enrolled for the whole term."""
    cells = batch.cells
    enrolled = constant("enrolled", cells.index)
    return cells[["file", "sheet", "row"]].assign(
        name=cells["student_name"],
        name_key=name_keys(cells["student_name"]),
        sex=_labelled(batch, "sex"),
        boarding=_labelled(batch, "boarding"),
        status=decode_levels(batch, "status") if "status" in cells else enrolled,
        term=constant(term.id, cells.index),
        valid_from=pd.Timestamp(term.start),
        valid_to=pd.Timestamp(term.end),
    )


def _optional(batch: Batch, column: str, parse) -> pd.DataFrame:
    if column in batch.cells:
        return parse_column(batch.cells[column], parse)
    return pd.DataFrame({"value": no_values(batch.cells.index), "rule": no_values(batch.cells.index)})


def _labelled(batch: Batch, column: str) -> pd.Series:
    return decode_levels(batch, column) if column in batch.cells else no_values(batch.cells.index)


def _people(enrolled: pd.DataFrame) -> pd.DataFrame:
    """One row a child; a child in two schools is described by the one that has it now."""
    columns = ["student", "sex", "birth_month", "term", "rid"]
    shared = enrolled.duplicated("student", keep=False).to_numpy()
    once, several = enrolled.loc[~shared, columns], enrolled[shared].astype("object")
    if several.empty:
        return once
    order = (~several["status"].isin(_ACTIVE)).astype("int64").sort_values(kind="stable").index
    grouped = several.loc[order].groupby("student", sort=False)
    return stack_frames([once, grouped[columns[1:]].first().reset_index().astype({"rid": "int64"})])


def _check_duplicates(rows: pd.DataFrame) -> None:
    shared = rows[rows.duplicated("student_number", keep=False)]
    errors: list[CobenchError] = []
    for _, same in shared.groupby("student_number", sort=False):
        one_child = all(same[column].dropna().nunique() <= 1 for column in _PERSON)
        if one_child and not same.duplicated("school").any():
            continue
        errors.append(_duplicate(same))
    if errors:
        raise merged_duplicates(errors)


def _duplicate(same: pd.DataFrame) -> DuplicateStudentError:
    places_en, places_zh = [], []
    for (file, sheet), rows in same.groupby(["file", "sheet"], sort=True):
        en, zh = place(file, sheet)
        listed = ", ".join(map(str, rows["row"]))
        places_en.append(f"{en}, rows {listed}")
        places_zh.append(f"{zh} 第 {listed} 行")
    return DuplicateStudentError(
        en=f"one student number (学籍号) stands in different rows: {'; '.join(places_en)}; correct or remove one",
        zh=f"同一学籍号出现在不同的行：{'；'.join(places_zh)}；请改正或删去其一",
    )


def merged_duplicates(errors: Iterable[CobenchError]) -> DuplicateStudentError:
    """One error for all numbers that stand twice."""
    errors = list(errors)
    return DuplicateStudentError(
        en="\n".join(error.en for error in errors[:20]), zh="\n".join(error.zh for error in errors[:20])
    )


def tidy_memberships(batch: Batch, ctx: Context) -> Tidy:
    """Table ``memberships``: dated categories of children found on the delivery's roster."""
    cells = batch.cells
    term = constant(ctx.term.id, cells.index)
    school = row_school(batch, ctx.school_codes)
    classes = listed_classes(ctx, term, school["value"], cells["class"])
    dates = parse_dates(ctx, cells["valid_from"], batch.kinds["valid_from"])
    rows = pd.DataFrame(
        {
            "term": term,
            "school": school["value"],
            "class_id": classes["value"],
            "name_key": name_keys(cells["student_name"]),
        }
    )
    found = link_rows(ctx, rows, cells.get("student_number"))
    broken = first_faults(
        cells.index,
        [
            ("school", school["rule"]),
            ("student_name", blank(cells["student_name"])),
            ("class", classes["rule"]),
            ("category", blank(cells["category"])),
            ("valid_from", dates["rule"]),
            ("student_name", found["rule"]),
        ],
    )
    source = cells["source"] if "source" in cells else constant("", cells.index)
    source, redacted = redact(ctx, source, school["value"])
    tidy = pd.DataFrame(
        {
            "student": found["student"],
            "term": term,
            "category": decode_levels(batch, "category"),
            "valid_from": dates["value"],
            "valid_to": None,
            "source": recode(source, lambda text: text or None),
        }
    )
    good = tidy[~tidy.index.isin(broken["rid"])]
    repeated = good.index[good.duplicated(["student", "category", "valid_from"])]
    good = good.drop(index=repeated)
    return Tidy(
        {"memberships": good.rename_axis("rid").reset_index()},
        broken,
        faults((rid, "student_name", "duplicate") for rid in repeated),
        cell_faults("source", where(redacted, "redacted"), good.index),
        match_report(rows.assign(by=found["by"]).dropna(subset=["school"]), "memberships", "school"),
    )
