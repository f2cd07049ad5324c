"""Visit logs: one row a contact with one child, and which classes' logs arrived."""

from __future__ import annotations

import numpy as np
import pandas as pd

from cobench.ingest.batches import Batch, decode_levels, is_nil
from cobench.ingest.columns import (
    column,
    constant,
    factor,
    is_one_of,
    joint,
    map_names,
    or_else,
    recode,
    stack_frames,
    where,
)
from cobench.ingest.context import Context, link_rows, listed_classes, no_values, parse_dates, terms_of
from cobench.ingest.fields import note_keys, soft_labels, teachers
from cobench.ingest.linkage import match_report, match_traits, months
from cobench.ingest.parse import BLANK, parse_column, parse_minutes, parse_time
from cobench.ingest.quarantine import CONSENT_WITHDRAWN, Tidy, faults, first_faults, set_aside
from cobench.ingest.text import split_at_blanks, split_children
from cobench.ingest.tidy_people import blank, cell_faults, row_school

_CONTENT = ["student", "date", "mode", "trigger", "teacher_role", "minutes", "entered_at"]
_ENTERED = {"impossible_date": "impossible_time"}


def tidy_contacts(batch: Batch, ctx: Context) -> Tidy:
    """Tables ``contacts`` and ``logs``.

    A row that names two children (张三、李四) gives two contacts, or goes to quarantine whole when one of them
    isn't found. A row that another delivery already holds is a duplicate. ``logs`` holds the classes of which
    any row came, nil returns and quarantined rows included.
    """
    cells = batch.cells
    first = batch.cells.index.start
    nil = is_nil(batch)
    school = row_school(batch, ctx.school_codes)
    dates = parse_dates(ctx, cells["date"], batch.kinds["date"])
    dates = dates.assign(rule=dates["rule"].mask(nil & (cells["date"] == "")))
    when = terms_of(ctx, dates["value"])
    term = or_else(when["value"], ctx.term.id)
    classes = listed_classes(ctx, term, school["value"], cells["class"])
    place = pd.DataFrame({"term": term, "school": school["value"], "class_id": classes["value"]})
    children, links = _link_children(ctx, cells.loc[~nil, "student_name"], place)
    own = [
        ("mode", _required(batch, "mode")),
        ("trigger", _required(batch, "trigger")),
        ("student_name", links["rule"]),
    ]
    broken = first_faults(
        cells.index,
        [
            ("school", school["rule"]),
            ("date", dates["rule"]),
            ("date", when["rule"]),
            ("student_name", blank(cells["student_name"])),
            ("class", classes["rule"]),
            *((name, rule.mask(nil)) for name, rule in own),
        ],
    )
    facts, unread = _facts(batch, ctx, school["value"])
    sound = ~cells.index.isin(broken["rid"])
    kept = children[sound[children["rid"].to_numpy() - first]]
    about = pd.concat([place, facts], axis=1).assign(date=dates["value"])
    about = about.iloc[kept["rid"].to_numpy() - first].set_axis(kept.index)
    contacts = pd.concat([kept, about], axis=1)
    new = contacts[~_held(contacts, ctx)]
    accepted = pd.Index(new["rid"].unique())
    non_data = [(rid, "student_name", "nil_return") for rid in cells.index[nil.to_numpy() & sound]]
    non_data += [
        (rid, "student_name", "duplicate")
        for rid in cells.index[~nil.to_numpy() & sound].difference(accepted)
    ]
    return Tidy(
        {
            "contacts": new,
            "logs": new_logs("contacts", place, ctx),
            "set_aside": set_aside(children, broken, "contacts", term),
        },
        broken,
        faults(non_data),
        pd.concat([cell_faults(name, rules, accepted) for name, rules in unread.items()], ignore_index=True),
        match_report(place.assign(by=links["by"])[~nil], "contacts", "teacher"),
        match_traits(
            place.assign(by=links["by"])[~nil],
            "contacts",
            "teacher",
            {
                "grade": classes["grade"][~nil],
                "month": months(dates["value"])[~nil],
                "mode": _labelled(batch, "mode")[~nil],
            },
        ),
    )


def _facts(batch: Batch, ctx: Context, school: pd.Series) -> tuple[pd.DataFrame, dict[str, pd.Series]]:
    """What a contact was, by row, and the rules that single cells break."""
    minutes, entered = _parsed(batch, "minutes", parse_minutes), _parsed(batch, "entered_at", parse_time)
    facts = pd.DataFrame(
        {
            "mode": _labelled(batch, "mode"),
            "trigger": _labelled(batch, "trigger"),
            "teacher_role": _labelled(batch, "teacher_role"),
            "minutes": minutes["value"],
            "entered_at": entered["value"],
        }
    )
    entered_rule = recode(entered["rule"], lambda rule: _ENTERED.get(rule, rule))
    paper, paper_rules = _paper(batch, ctx, school)
    return facts.assign(**paper), {"minutes": minutes["rule"], "entered_at": entered_rule, **paper_rules}


def _paper(
    batch: Batch, ctx: Context, school: pd.Series
) -> tuple[dict[str, pd.Series], dict[str, pd.Series]]:
    """Who made the contact, what is on file of it, and what was agreed: columns that the file has, and rules broken."""
    cells = batch.cells
    found, rules = {}, {}
    for name in ("follow_up_due", "follow_up_done"):
        if name in cells:
            dates = parse_dates(ctx, cells[name], batch.kinds[name])
            found[name] = dates["value"]
            rules[name] = where(dates["rule"].notna() & (cells[name] != ""), "unreadable_follow_up")
    for name in ("has_form", "has_photo"):
        if name in cells:
            labels = soft_labels(batch, name)
            found[name], rules[name] = labels["value"], labels["rule"]
    if "teacher" in cells:
        found["teacher"] = teachers(ctx, cells["teacher"], school)
    if "note" in cells:
        found["note_key"] = note_keys(ctx, cells["note"])
    return found, rules


def new_logs(table: str, place: pd.DataFrame, ctx: Context) -> pd.DataFrame:
    """Rows of ``logs``: classes of ``place`` (``term, school, class_id``) that no earlier delivery has logged."""
    first = place[~pd.Series(joint(place[name] for name in place)).duplicated().to_numpy()]
    logs = first.dropna(subset=["class_id"]).astype("object").assign(table=table)
    keys = ["table", "class_id", "term"]
    if (logs["term"] != ctx.term.id).any():
        stored = pd.MultiIndex.from_frame(ctx.stored["logs"][keys].astype("object"))
        logs = logs[~pd.MultiIndex.from_frame(logs[keys]).isin(stored)]
    return logs.sort_values(keys).reset_index(drop=True)


def _parsed(batch: Batch, column: str, parse) -> pd.DataFrame:
    texts = batch.cells.get(column)
    if texts is None:
        texts = constant("", batch.cells.index)
    return parse_column(texts, lambda text: parse(text) if text else BLANK)


def _labelled(batch: Batch, column: str) -> pd.Series:
    return decode_levels(batch, column) if column in batch.cells else no_values(batch.cells.index)


def _required(batch: Batch, column: str) -> pd.Series:
    if column not in batch.cells or column in batch.source.optional:
        return no_values(batch.cells.index)
    return blank(batch.cells[column])


def _link_children(ctx: Context, names: pd.Series, place: pd.DataFrame) -> tuple[pd.DataFrame, pd.DataFrame]:
    """Children of each row (``rid, student``), and ``rule`` and ``by`` of each row of ``place``.

    A name with blanks inside (张 三) is tried whole first; only if the class has no such child is it read as
    several children.
    """
    children = _explode(names, split_children)
    found = _link(ctx, children, place)
    spaced = _spaced(names)
    spaced = spaced[
        spaced.index.isin(children["rid"].to_numpy()[is_one_of(found["rule"], ["unknown_student"])])
    ]
    if len(spaced):
        again = _explode(spaced, split_at_blanks)
        again_found = _link(ctx, again, place)
        whole = again_found["rule"].isna().groupby(again["rid"]).transform("all")
        better = again[whole]
        stay = ~children["rid"].isin(better["rid"])
        children = stack_frames([children[stay], better])
        found = stack_frames([found[stay], again_found[whole]])
    children, found = _without_withdrawn(children, found)
    joined = children.assign(student=found["student"])
    at = children["rid"].to_numpy() - place.index.start
    rule = _first_of(found["rule"], at, place.index)
    by = _first_of(found["by"], at, place.index).mask(rule.notna())
    order = np.argsort(joined["rid"].to_numpy(), kind="stable")
    return joined[["rid", "student"]].iloc[order].reset_index(drop=True), pd.DataFrame(
        {"rule": rule, "by": by}
    )


def _without_withdrawn(children: pd.DataFrame, found: pd.DataFrame) -> tuple[pd.DataFrame, pd.DataFrame]:
    """Children but those withdrawn who stand beside others: the row still speaks of the others."""
    gone = is_one_of(found["rule"], [CONSENT_WITHDRAWN])
    if not gone.any():
        return children, found
    rid = children["rid"]
    stay = ~(gone & rid.isin(rid[~gone]).to_numpy())
    return children[stay].reset_index(drop=True), found[stay].reset_index(drop=True)


def _spaced(names: pd.Series) -> pd.Series:
    """Cells that may name several children with blanks between them."""
    codes, distinct = factor(names)
    parts = map_names(distinct, split_at_blanks, lambda _: ())
    return names[np.array([*map(bool, parts), False])[codes]]


def _first_of(values: pd.Series, at: np.ndarray, index: pd.Index) -> pd.Series:
    """The first value that stands at each place of ``index``."""
    codes, distinct = factor(values)
    held = np.flatnonzero(codes >= 0)[::-1]
    placed = np.full(len(index), -1, dtype=np.int64)
    placed[at[held]] = codes[held]
    return column(placed, distinct, index)


def _explode(names: pd.Series, split) -> pd.DataFrame:
    """One row a child: ``rid`` and ``name_key``."""
    codes, distinct = factor(names)
    parts = map_names(distinct, split, lambda name: (name,))
    n_parts = np.array([*map(len, parts), 0])[codes]
    start = np.cumsum([0, *map(len, parts)])[codes]
    flat = [child for each in parts for child in each]
    rows = np.repeat(np.arange(len(names)), n_parts)
    nth = np.arange(len(rows)) - np.repeat(np.cumsum(n_parts) - n_parts, n_parts)
    index = pd.RangeIndex(len(rows))
    return pd.DataFrame(
        {"rid": names.index.to_numpy()[rows], "name_key": column(start[rows] + nth, flat, index)}, index=index
    )


def _link(ctx: Context, children: pd.DataFrame, place: pd.DataFrame) -> pd.DataFrame:
    about = place.iloc[children["rid"].to_numpy() - place.index.start].set_axis(children.index)
    return link_rows(ctx, pd.concat([children, about], axis=1))


def _held(contacts: pd.DataFrame, ctx: Context) -> np.ndarray:
    """Contacts that stand earlier in this delivery, or in an earlier one."""
    held = pd.Series(joint(contacts[name] for name in _CONTENT)).duplicated().to_numpy().copy()
    old = ctx.is_old(contacts["date"])
    if old.any():
        known = set(_content_key(ctx.stored["contacts"]))
        held[old] |= _content_key(contacts.loc[old, _CONTENT].astype("object")).isin(known).to_numpy()
    return held


def _content_key(contacts: pd.DataFrame) -> pd.Series:
    """One text a contact; equal for the same contact in two exports."""
    columns = contacts[_CONTENT].assign(
        date=pd.to_datetime(contacts["date"]).dt.strftime("%Y-%m-%d"),
        entered_at=pd.to_datetime(contacts["entered_at"]).dt.strftime("%Y-%m-%d %H:%M:%S"),
        minutes=contacts["minutes"].astype("float64").astype("str"),
    )
    key = pd.Series("", index=contacts.index, dtype="object")
    for name in _CONTENT:
        key = key + "|" + columns[name].astype("object").where(columns[name].notna(), "").astype("object")
    return key
