"""Marks, grades and absences; answers to questionnaires."""

from __future__ import annotations

import numpy as np
import pandas as pd

from cobench.ingest import questionnaires
from cobench.ingest.batches import Batch
from cobench.ingest.columns import (
    column,
    constant,
    is_one_of,
    is_value,
    joint,
    missing,
    name_keys,
    recode,
    stack_frames,
    where,
)
from cobench.ingest.context import Context, link_rows, listed_classes, no_values, resolve_schools
from cobench.ingest.linkage import match_report, match_traits, months
from cobench.ingest.parse import Parsed, parse_column, parse_mark, parse_time
from cobench.ingest.quarantine import CONSENT_WITHDRAWN, Tidy, faults, first_faults, set_aside
from cobench.ingest.text import clean_text
from cobench.ingest.tidy_people import blank, cell_faults, row_school

_RESULT = ["measure", "value", "level", "missing_reason"]


def tidy_outcomes(batch: Batch, ctx: Context) -> Tidy:
    """Table ``outcomes``: one row a child and measure.

    A column holds marks or, in grades without marks, levels (优良中差): what most of a sheet's grade holds.
    A row with a cell that is neither goes to quarantine whole.
    """
    cells, source = batch.cells, batch.source
    term = constant(ctx.term.id, cells.index)
    school = row_school(batch, ctx.school_codes)
    classes = listed_classes(ctx, term, school["value"], cells["class"])
    rows = pd.DataFrame(
        {
            "term": term,
            "school": school["value"],
            "class_id": classes["value"],
            "name_key": name_keys(cells["student_name"]),
        }
    )
    found = link_rows(ctx, rows, cells.get("student_number"))
    group, _ = pd.factorize(joint([cells["file"], cells["sheet"], classes["grade"]]))
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
    about = {"student": found["student"], "rid": pd.Series(cells.index, index=cells.index)}
    parts = [
        values.drop(columns="rule").assign(**about).drop(index=broken["rid"]) for values in measures.values()
    ]
    long = stack_frames(parts) if parts else pd.DataFrame(columns=["rid", "student", *_RESULT])
    clash, repeated = _repeats(long)
    good = long[~long["rid"].isin([*clash, *repeated])] if clash or repeated else long
    named = clean_text(source.source) if source.source else None
    put_aside = pd.concat(
        [broken, faults((rid, "student_name", "contradicting_rows") for rid in clash)], ignore_index=True
    )
    lost = pd.DataFrame({"rid": cells.index, "student": found["student"].to_numpy()})
    given = [each for name in measures for each in (name, f"{name}_level")]
    return Tidy(
        {
            "set_aside": set_aside(lost, put_aside, "outcomes", term, given or [""]),
            "outcomes": good.assign(
                term=constant(ctx.term.id, good.index),
                source=constant(named, good.index),
                measured_on=pd.Timestamp(day),
            ),
        },
        put_aside,
        faults((rid, "student_name", "duplicate") for rid in repeated),
        links=match_report(rows.assign(by=found["by"]), "outcomes", "school"),
        traits=match_traits(rows.assign(by=found["by"]), "outcomes", "school", {"grade": classes["grade"]}),
    )


def _measure(batch: Batch, name: str, group: np.ndarray) -> pd.DataFrame:
    """One column of results: ``measure, value, level, missing_reason, rule``."""
    texts, source = batch.cells[name], batch.source
    index = texts.index
    levels = {clean_text(level): value for level, value in source.level_values.items()}
    marks = parse_column(texts, parse_mark)
    reason = recode(marks["value"], lambda mark: mark if isinstance(mark, str) else None)
    value = recode(marks["value"], lambda mark: None if isinstance(mark, str) else mark)
    found = {"value": value, "missing_reason": reason, "rule": marks["rule"]}
    level_name = f"{name}_level"
    if level_name not in source.level_measures:
        return pd.DataFrame({"measure": constant(name, index), "level": missing(index), **found})
    is_level = is_value(texts, levels.__contains__)
    is_mark = value.notna().to_numpy()
    n_groups = int(group.max(initial=0)) + 1
    n_levels, n_marks = (np.bincount(group[rows], minlength=n_groups) for rows in (is_level, is_mark))
    by_level = (n_levels > n_marks)[group]
    rule = (
        marks["rule"].astype("object").mask(by_level & is_level, None).mask(by_level & is_mark, "not_a_level")
    )
    level = recode(texts, lambda text: text if text in levels else None).mask(~by_level)
    of_level = recode(texts, levels.get).astype("object")
    return pd.DataFrame(
        {
            "measure": column(by_level.astype(np.int8), [name, level_name], index),
            "value": recode(value.astype("object").mask(by_level, of_level), lambda each: each),
            "level": level,
            "missing_reason": reason,
            "rule": recode(rule, lambda each: each),
        }
    )


def _repeats(long: pd.DataFrame) -> tuple[list[int], list[int]]:
    """Rows of files that contradict each other about a child's result, and rows that say the same again."""
    key = ["student", "measure"]
    pairs = pd.Series(joint(long[name] for name in key))
    long = long[pairs.duplicated(keep=False).to_numpy()].astype("object")
    if long.empty:
        return [], []
    content = ["value", "level", "missing_reason"]
    known = long.fillna({name: "" for name in content})
    same = known.duplicated([*key, *content])
    differs = known.duplicated(key, keep=False) & ~known.duplicated([*key, *content], keep=False)
    clash = differs.groupby([known[name] for name in key]).transform("any")
    clashing = sorted(set(long.loc[clash, "rid"]))
    repeated = sorted(set(long.loc[same & ~long["rid"].isin(clashing), "rid"]))
    return clashing, repeated


def tidy_responses(batch: Batch, ctx: Context) -> Tidy:
    """Table ``responses``, long; a questionnaire that can't be linked is kept without a child."""
    cells, codebook = batch.cells, batch.codebook
    linkage = ctx.study.instruments[batch.source.instrument].linkage
    term = constant(ctx.term.id, cells.index)
    school = _school_of(batch, ctx, linkage)
    place = pd.DataFrame({"term": term, "school": school["value"]})
    place = place.assign(class_id=_class_of(batch, ctx, place, linkage))
    submitted = parse_column(cells["submitted"], _required_time)
    found = _child_of(batch, ctx, place, linkage)
    gone = where(is_one_of(found["rule"], [CONSENT_WITHDRAWN]), CONSENT_WITHDRAWN, cells.index)
    broken = first_faults(
        cells.index,
        [("student_name", gone), ("school", school["rule"]), ("submitted", submitted["rule"])],
    )
    good = cells.index[~cells.index.isin(broken["rid"])]
    about = place.assign(
        student=found["student"], measured_on=recode(submitted["value"], lambda time: time.normalize())
    ).loc[good]
    texts, hidden = questionnaires.stored_texts(cells.loc[good], codebook, ctx, school["value"].loc[good])
    blocks = [
        questionnaires.answers(texts[each.id], each, codebook)
        .join(about.astype("object"))
        .assign(item=each.id)
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
    unlinked = where(found["student"].isna() & (linkage == "student"), "unlinked")
    report = place.assign(by=found["by"])
    return Tidy(
        {"responses": long},
        broken,
        cells=pd.concat([cell_faults("student_name", unlinked, good), hidden], ignore_index=True),
        links=match_report(report, "responses", codebook.respondent),
        traits=match_traits(report, "responses", codebook.respondent, {"month": months(submitted["value"])}),
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
        return pd.DataFrame({name: no_values(place.index) for name in ("student", "by", "rule")})
    rows = place.assign(name_key=name_keys(batch.cells["student_name"]))
    return link_rows(ctx, rows, batch.cells.get("student_number"))
