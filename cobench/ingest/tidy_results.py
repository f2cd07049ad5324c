"""Marks, grades and absences; answers to questionnaires."""

from __future__ import annotations

import pandas as pd

from cobench.ingest import questionnaires
from cobench.ingest.batches import Batch
from cobench.ingest.context import Context, link_rows, listed_classes, no_values, resolve_schools
from cobench.ingest.linkage import match_report
from cobench.ingest.parse import EXAM_STATES, Parsed, parse_column, parse_mark, parse_time
from cobench.ingest.quarantine import Tidy, faults, first_faults
from cobench.ingest.text import clean_text, map_unique, name_key
from cobench.ingest.tidy_people import blank, cell_faults, row_school

_REASONS = frozenset(EXAM_STATES.values())


def tidy_outcomes(batch: Batch, ctx: Context) -> Tidy:
    """Table ``outcomes``: one row a child and measure.

    A column holds marks or, in grades without marks, levels (优良中差): what most of a sheet's grade holds.
    A row with a cell that is neither goes to quarantine whole.
    """
    cells, source = batch.cells, batch.source
    term = pd.Series(ctx.term.id, index=cells.index)
    school = row_school(batch, ctx.school_codes)
    classes = listed_classes(ctx, term, school["value"], cells["class"])
    rows = pd.DataFrame(
        {
            "term": term,
            "school": school["value"],
            "class_id": classes["value"],
            "name_key": map_unique(cells["student_name"], name_key),
        }
    )
    found = link_rows(ctx, rows, cells.get("student_number"))
    group = [cells["file"], cells["sheet"], classes["grade"].fillna("")]
    measures = {name: _measure(batch, name, group) for name in source.measures if name in cells}
    broken = first_faults(
        cells.index,
        [
            ("school", school["rule"]),
            ("student_name", blank(cells["student_name"])),
            ("class", classes["rule"]),
            *((name, values["rule"]) for name, values in measures.items()),
            ("student_name", found["rule"]),
        ],
    )
    day = ctx.term.exam if source.measured_on == "exam" else ctx.term.end
    long = pd.concat(
        [
            values.drop(columns="rule").assign(student=found["student"], column=name)
            for name, values in measures.items()
        ]
    )
    long = long[~long.index.isin(broken["rid"])].rename_axis("rid").reset_index()
    clash, repeated = _repeats(long)
    good = long[~long["rid"].isin([*clash, *repeated])].sort_values(["rid", "measure"], kind="stable")
    named = clean_text(source.source) if source.source else None
    return Tidy(
        {"outcomes": good.assign(term=ctx.term.id, source=named, measured_on=pd.Timestamp(day))},
        pd.concat(
            [broken, faults((rid, "student_name", "contradicting_rows") for rid in clash)], ignore_index=True
        ),
        faults((rid, "student_name", "duplicate") for rid in repeated),
        links=match_report(rows.assign(by=found["by"]).dropna(subset=["school"]), "outcomes", "school"),
    )


def _measure(batch: Batch, name: str, group: list[pd.Series]) -> pd.DataFrame:
    """One column of results: ``measure, value, level, missing_reason, rule``."""
    texts, source = batch.cells[name], batch.source
    levels = {clean_text(level): value for level, value in source.level_values.items()}
    marks = parse_column(texts, parse_mark)
    is_level = texts.isin(set(levels))
    reason = marks["value"].where(marks["value"].isin(_REASONS))
    is_mark = marks["value"].notna() & reason.isna()
    level_name = f"{name}_level"
    n_levels, n_marks = is_level.groupby(group).transform("sum"), is_mark.groupby(group).transform("sum")
    by_level = (n_levels > n_marks) & (level_name in source.level_measures)
    rule = marks["rule"].mask(by_level & is_level, None).mask(by_level & is_mark, "not_a_level")
    value = pd.to_numeric(marks["value"].where(is_mark)).mask(by_level, texts.map(levels))
    return pd.DataFrame(
        {
            "measure": pd.Series(name, index=texts.index, dtype="object").mask(by_level, level_name),
            "value": value.astype("float64"),
            "level": texts.where(by_level & is_level, None),
            "missing_reason": reason,
            "rule": rule,
        }
    )


def _repeats(long: pd.DataFrame) -> tuple[list[int], list[int]]:
    """Rows of files that contradict each other about a child's result, and rows that say the same again."""
    key = ["student", "measure"]
    content = ["value", "level", "missing_reason"]
    known = long.astype({"value": "object"}).fillna({name: "" for name in content})
    same = known.duplicated([*key, *content])
    differs = known.duplicated(key, keep=False) & ~known.duplicated([*key, *content], keep=False)
    clash = known.groupby(key)["rid"].transform("size") > 1
    clash &= differs.groupby([known[name] for name in key]).transform("any")
    clashing = sorted(set(long.loc[clash, "rid"]))
    repeated = sorted(set(long.loc[same & ~long["rid"].isin(clashing), "rid"]))
    return clashing, repeated


def tidy_responses(batch: Batch, ctx: Context) -> Tidy:
    """Table ``responses``, long; a questionnaire that can't be linked is kept without a child."""
    cells, codebook = batch.cells, batch.codebook
    linkage = ctx.study.instruments[batch.source.instrument].linkage
    term = pd.Series(ctx.term.id, index=cells.index)
    school = _school_of(batch, ctx, linkage)
    place = pd.DataFrame({"term": term, "school": school["value"]})
    place = place.assign(class_id=_class_of(batch, ctx, place, linkage))
    submitted = parse_column(cells["submitted"], _required_time)
    found = _child_of(batch, ctx, place, linkage)
    broken = first_faults(cells.index, [("school", school["rule"]), ("submitted", submitted["rule"])])
    good = cells.index[~cells.index.isin(broken["rid"])]
    about = place.assign(
        student=found["student"], measured_on=pd.to_datetime(submitted["value"]).dt.normalize()
    ).loc[good]
    texts, hidden = questionnaires.stored_texts(cells.loc[good], codebook, ctx)
    blocks = [
        questionnaires.answers(texts[each.id], each, codebook).join(about).assign(item=each.id)
        for each in codebook.stored
    ]
    long = pd.concat(blocks).rename_axis("rid").reset_index()
    long = long.assign(
        instrument=codebook.instrument, version=codebook.version, respondent=codebook.respondent
    )
    order = {each.id: position for position, each in enumerate(codebook.stored)}
    long = long.iloc[
        long.assign(position=long["item"].map(order)).sort_values(["rid", "position"]).index
    ].reset_index(drop=True)
    unlinked = no_values(cells.index).mask(found["student"].isna() & (linkage == "student"), "unlinked")
    report = place.assign(by=found["by"]).dropna(subset=["school"])
    return Tidy(
        {"responses": long},
        broken,
        cells=pd.concat([cell_faults("student_name", unlinked, good), hidden], ignore_index=True),
        links=match_report(report, "responses", codebook.respondent),
    )


def _required_time(text: str) -> Parsed:
    return parse_time(text) if text else Parsed(rule="blank_required")


def _school_of(batch: Batch, ctx: Context, linkage: str) -> pd.DataFrame:
    if linkage == "none" or "school" not in batch.cells:
        return pd.DataFrame({"value": batch.cells["school_of_file"], "rule": no_values(batch.cells.index)})
    return resolve_schools(batch.cells["school"], ctx.school_codes)


def _class_of(batch: Batch, ctx: Context, place: pd.DataFrame, linkage: str) -> pd.Series:
    if linkage not in ("student", "class") or "class" not in batch.cells:
        return no_values(batch.cells.index)
    return listed_classes(ctx, place["term"], place["school"], batch.cells["class"])["value"]


def _child_of(batch: Batch, ctx: Context, place: pd.DataFrame, linkage: str) -> pd.DataFrame:
    if linkage != "student" or "student_name" not in batch.cells:
        return pd.DataFrame({"student": no_values(place.index), "by": no_values(place.index)})
    rows = place.assign(name_key=map_unique(batch.cells["student_name"], name_key))
    return link_rows(ctx, rows, batch.cells.get("student_number"))
