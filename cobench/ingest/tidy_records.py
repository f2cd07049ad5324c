"""Registers of what was done and what is on file: table ``records``, and the tables that list people and duties."""

from __future__ import annotations

import calendar
import re
from datetime import date

import pandas as pd

from cobench.ingest.batches import Batch
from cobench.ingest.columns import constant, is_one_of, joint, name_keys, or_else, recode, stack_frames
from cobench.ingest.context import (
    Context,
    is_whole_school,
    link_rows,
    listed_classes,
    no_values,
    terms_of,
)
from cobench.ingest.fields import read_field, same_rows
from cobench.ingest.linkage import match_report
from cobench.ingest.parse import parse_count
from cobench.ingest.quarantine import Tidy, faults, first_faults
from cobench.ingest.tidy_people import blank, school_or_unit
from cobench.study import Term
from cobench.tables import TABLES

# What is on file rather than what happened: it belongs to the delivery, whatever its date.
STANDING = (
    "agreement", "archive", "evidence", "flag", "health_record", "mentor_pair", "needs_help", "plan", "report"
)  # fmt: skip
# Two of a day may be alike in all that is recorded of them.
_REPEATABLE = ("opinion", "fee_violation", "score_breach", "represented")
_MONTH = re.compile(r"month_(\d{1,2})")
_OWN = {"term", "class_id", "student", "school", "record", "kind"}
_BY_DATE = ("records", "checkins")


def tidy_register(batch: Batch, ctx: Context) -> Tidy:
    """A table that ``study.toml`` describes column by column: one row of it for each row of a file.

    Of ``records`` a row may hold several, one in each of the source's ``measures``; a blank cell of these holds none.
    A cell that can't be read puts its row aside. Rows that repeat another are no data.
    """
    cells, table = batch.cells, TABLES[batch.source.table]
    school = school_or_unit(batch, ctx)
    # A posted teacher is known at the school that sends her.
    home = (
        read_field(batch, ctx, "from_school", school["value"])
        if "from_school" in batch.source.columns
        else school
    )
    read = {
        name: read_field(batch, ctx, name, home["value"])
        for name in table.columns
        if name not in _OWN or (name == "kind" and "kind" in cells)
    }
    when, term = _terms(batch, ctx, read)
    texts = cells["class"] if "class" in cells else constant("", cells.index)
    whole = is_whole_school(texts)
    classes = listed_classes(ctx, term, school["value"], texts)
    place = pd.DataFrame({"term": term, "school": school["value"], "class_id": classes["value"].mask(whole)})
    found = _children(batch, ctx, place)
    wide = {name: _wide(batch, name) for name in batch.source.measures if name in cells}
    broken = first_faults(
        cells.index,
        [
            ("school", school["rule"]),
            *((name, blank(cells[name])) for name in _required(batch)),
            *((name, each["rule"]) for name, each in read.items()),
            *((name, each["rule"]) for name, each in wide.items()),
            ("date", when),
            ("class", classes["rule"].mask(whole)),
            ("student_name", found["rule"]),
        ],
    )
    rows = pd.DataFrame({name: each["value"] for name, each in read.items()}, index=cells.index)
    rows = rows.assign(**place, student=found["student"], rid=cells.index)
    if batch.source.kind is not None:
        rows = rows.assign(kind=constant(batch.source.kind, cells.index))
    rows = rows.drop(index=broken["rid"])
    if batch.source.table == "records":
        made, left_out = _records(batch, ctx, rows, wide)
    else:
        made, clash, left_out = _listed(batch, ctx, rows)
        broken = pd.concat([broken, clash], ignore_index=True)
    links = _links(batch, place, found)
    return Tidy({batch.source.table: made}, broken, left_out, links=links)


def _required(batch: Batch) -> list[str]:
    """Columns that may not be blank: those that a row of the table is nothing without."""
    needed = {
        "records": ("kind",),
        "checkins": ("date", "student_name"),
        "teaching": ("teacher", "role"),
        "communities": ("unit", "kind", "role"),
        "postings": ("teacher", "kind"),
        "tasks": ("unit", "kind", "planned"),
    }[batch.source.table]
    of_child = ("student_name", "class") if "student_name" in batch.source.columns else ()
    names = dict.fromkeys((*needed, *of_child))
    return [name for name in names if name in batch.cells and name not in batch.source.optional]


def _terms(batch: Batch, ctx: Context, read: dict[str, pd.DataFrame]) -> tuple[pd.Series, pd.Series]:
    """Rule broken by each row's date, and its term: that of the date where the row tells of a day."""
    index = batch.cells.index
    if batch.source.table not in _BY_DATE or batch.source.kind in STANDING:
        return no_values(index), constant(ctx.term.id, index)
    found = terms_of(ctx, read["date"]["value"])
    if "kind" in read:
        standing = is_one_of(read["kind"]["value"], STANDING)
        found = found.assign(value=found["value"].mask(standing), rule=found["rule"].mask(standing))
    return found["rule"], or_else(found["value"], ctx.term.id)


def _children(batch: Batch, ctx: Context, place: pd.DataFrame) -> pd.DataFrame:
    """Child of each row that names one: ``student, rule, by``."""
    cells = batch.cells
    if "student_name" not in cells:
        return pd.DataFrame({name: no_values(cells.index) for name in ("student", "rule", "by")})
    rows = place.assign(name_key=name_keys(cells["student_name"]))
    found = link_rows(ctx, rows, cells.get("student_number"))
    none = cells["student_name"] == ""
    return found.assign(**{name: found[name].mask(none) for name in ("student", "rule", "by")})


def _links(batch: Batch, place: pd.DataFrame, found: pd.DataFrame) -> pd.DataFrame:
    if "student_name" not in batch.cells:
        return pd.DataFrame()
    named = batch.cells["student_name"] != ""
    rows = place.assign(by=found["by"])[named.to_numpy()]
    return match_report(rows.dropna(subset=["school"]), batch.source.table, "school")


# ---- records -------------------------------------------------------------------------------------------


def _wide(batch: Batch, name: str) -> pd.DataFrame:
    """One wide column: ``value`` (a number, or True and False where ``levels.holds`` lists the text) and ``rule``."""
    texts, levels = batch.cells[name], batch.source.levels.get("holds", {})

    def value(text: str):
        return levels[text] if text in levels else parse_count(text).value

    def rule(text: str) -> str | None:
        return None if text in levels else parse_count(text).rule

    return pd.DataFrame({"value": recode(texts, value), "rule": recode(texts, rule)})


def _records(
    batch: Batch, ctx: Context, rows: pd.DataFrame, wide: dict[str, pd.DataFrame]
) -> tuple[pd.DataFrame, pd.DataFrame]:
    """Rows of ``records`` and rows of the file that are no data."""
    parts = [rows.assign(nth=0)] if not wide else []
    for nth, (name, cells) in enumerate(wide.items()):
        own = rows.assign(**_named(batch, name, ctx.term, rows.index), nth=nth)
        parts.append(own.assign(**_valued(cells["value"].loc[own.index])).loc[_entered(cells, own.index)])
    made = stack_frames(parts)
    content = [name for name in TABLES["records"].columns if name != "record" and name in made]
    again = same_rows(made, content) & ~is_one_of(made["kind"], _REPEATABLE)
    again |= _held(made, ctx, content)
    kept = made[~again].reset_index(drop=True)
    empty = rows.loc[~rows["rid"].isin(made["rid"]), "rid"]
    repeated = made.loc[again & ~made["rid"].isin(kept["rid"]), "rid"].drop_duplicates()
    key = pd.Series(kept["rid"].astype("str") + "-" + kept["nth"].astype("str"), index=kept.index)
    left_out = [
        *((rid, "kind", "no_entry") for rid in empty),
        *((rid, "kind", "duplicate") for rid in repeated),
    ]
    return kept.drop(columns="nth").assign(record=ctx.term.id + "-" + key), faults(left_out)


def _named(batch: Batch, name: str, term: Term, index: pd.Index) -> dict[str, object]:
    """Kind, item and date that the name of a wide column says."""
    kind, *parts = ([batch.source.kind] if batch.source.kind else []) + name.split(".")
    said: dict[str, object] = {"kind": constant(kind, index)}
    month = _MONTH.fullmatch(parts[-1]) if parts else None
    if month:
        said["date"] = constant(month_end(term, int(month.group(1))), index)
        parts.pop()
    return said | {"item": constant(".".join(parts), index)} if parts else said


def month_end(term: Term, month: int) -> date:
    """Last day of a month of the term, or the term's own last day where that is earlier."""
    year = term.start.year if month >= term.start.month else term.start.year + 1
    last = date(year, month, calendar.monthrange(year, month)[1])
    return min(last, term.end)


def _valued(values: pd.Series) -> dict[str, pd.Series]:
    """A wide cell as ``holds`` (True, False) or ``value`` (a number)."""
    return {
        "holds": recode(values, lambda each: each if isinstance(each, bool) else None),
        "value": recode(values, lambda each: None if isinstance(each, bool) else each),
    }


def _entered(cells: pd.DataFrame, index: pd.Index) -> pd.Series:
    return cells["value"].loc[index].notna()


def _held(made: pd.DataFrame, ctx: Context, content: list[str]) -> pd.Series:
    """Records of earlier days that another delivery has brought."""
    if not len(made) or "date" not in made:
        return pd.Series(False, index=made.index)
    old = ctx.is_old(made["date"]) & ~is_one_of(made["kind"], STANDING)
    if not old.any():
        return pd.Series(False, index=made.index)
    known = set(_content_key(ctx.stored["records"], content))
    found = pd.Series(old, index=made.index)
    found[old] = _content_key(made[old], content).isin(known).to_numpy()
    return found


def _content_key(records: pd.DataFrame, content: list[str]) -> pd.Series:
    key = pd.Series("", index=records.index, dtype="object")
    for name in content:
        texts = records[name].astype("object")
        if TABLES["records"].columns[name] == "date":
            texts = pd.to_datetime(texts).dt.strftime("%Y-%m-%d")
        elif TABLES["records"].columns[name] in ("float", "int"):
            texts = texts.astype("float64").astype("str")
        key = key + "|" + texts.astype("object").where(texts.notna(), "").astype("str")
    return key


# ---- lists of people, places and duties ------------------------------------------------------------------


def _listed(
    batch: Batch, ctx: Context, rows: pd.DataFrame
) -> tuple[pd.DataFrame, pd.DataFrame, pd.DataFrame]:
    """Rows of a keyed table; rows of one key that differ (two check-ins of a day apart) are put aside."""
    table = TABLES[batch.source.table]
    made = rows.reset_index(drop=True)
    if batch.source.table == "tasks" and "task" not in batch.cells:
        made = made.assign(task="K" + made["rid"].astype("str"))
    for name in table.key:
        # A blank is a value of a key: the school's leader has no class and no subject.
        if table.columns[name] == "text":
            made[name] = or_else(made[name], "") if name in made else ""
    if batch.source.table == "checkins":
        # Read twice on one day: the longer time counts.
        order = made["minutes"].astype("float64").fillna(0).sort_values(ascending=False, kind="stable").index
        again = same_rows(made.loc[order], list(table.key)).reindex(made.index)
        again |= _held_checkins(made, ctx)
        clash = pd.Series(False, index=made.index)
    else:
        content = [name for name in table.columns if name in made]
        again = same_rows(made, content)
        keys = pd.Series(joint(made.loc[~again, name] for name in table.key), index=made.index[~again])
        clash = keys.duplicated(keep=False).reindex(made.index, fill_value=False)
    first = table.key[0] if table.key[0] in batch.cells else "student_name"
    put_aside = faults((rid, first, "contradicting_rows") for rid in made.loc[clash, "rid"])
    repeated = faults((rid, first, "duplicate") for rid in made.loc[again, "rid"])
    return made[~again & ~clash], put_aside, repeated


def _held_checkins(made: pd.DataFrame, ctx: Context) -> pd.Series:
    found = pd.Series(ctx.is_old(made["date"]), index=made.index)
    if found.any():
        stored = ctx.stored["checkins"]
        known = set(zip(stored["student"], pd.to_datetime(stored["date"]), strict=True))
        own = made.loc[found, ["student", "date"]].astype("object")
        pairs = zip(own["student"], pd.to_datetime(own["date"]), strict=True)
        found[found] = [pair in known for pair in pairs]
    return found
