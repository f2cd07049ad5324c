"""Visit logs: one row a contact with one child, and which classes' logs arrived."""

from __future__ import annotations

import pandas as pd

from cobench.ingest.batches import Batch, decode_levels, is_nil
from cobench.ingest.context import Context, link_rows, listed_classes, no_values, parse_dates, terms_of
from cobench.ingest.linkage import match_report
from cobench.ingest.parse import BLANK, parse_column, parse_minutes, parse_time
from cobench.ingest.quarantine import Tidy, faults, first_faults
from cobench.ingest.text import map_unique, split_at_blanks, split_children
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
    nil = is_nil(batch)
    school = row_school(batch, ctx.school_codes)
    dates = parse_dates(ctx, cells["date"], batch.kinds["date"])
    dates = dates.assign(rule=dates["rule"].mask(nil & (cells["date"] == ""), None))
    when = terms_of(ctx, dates["value"])
    term = when["value"].fillna(ctx.term.id)
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
            *((name, rule.mask(nil, None)) for name, rule in own),
        ],
    )
    facts, unread = _facts(batch)
    sound = ~cells.index.isin(broken["rid"])
    kept = children[children["rid"].isin(cells.index[sound])]
    contacts = kept.join(place.join(facts).assign(date=dates["value"]), on="rid")
    new = contacts[~_held(contacts, ctx.stored["contacts"])]
    accepted = pd.Index(new["rid"].unique())
    non_data = [(rid, "student_name", "nil_return") for rid in cells.index[nil & sound]]
    non_data += [(rid, "student_name", "duplicate") for rid in cells.index[~nil & sound].difference(accepted)]
    return Tidy(
        {"contacts": new, "logs": new_logs("contacts", place, ctx)},
        broken,
        faults(non_data),
        pd.concat([cell_faults(name, rules, accepted) for name, rules in unread.items()], ignore_index=True),
        match_report(place.join(links["by"])[~nil].dropna(subset=["school"]), "contacts", "teacher"),
    )


def _facts(batch: Batch) -> tuple[pd.DataFrame, dict[str, pd.Series]]:
    """What a contact was, by row, and the rules that its minutes and time of entry break."""
    minutes, entered = _parsed(batch, "minutes", parse_minutes), _parsed(batch, "entered_at", parse_time)
    facts = pd.DataFrame(
        {
            "mode": _labelled(batch, "mode"),
            "trigger": _labelled(batch, "trigger"),
            "teacher_role": _labelled(batch, "teacher_role"),
            "minutes": minutes["value"].astype("float64"),
            "entered_at": pd.to_datetime(entered["value"]),
        }
    )
    return facts, {"minutes": minutes["rule"], "entered_at": entered["rule"].replace(_ENTERED)}


def new_logs(table: str, place: pd.DataFrame, ctx: Context) -> pd.DataFrame:
    """Rows of ``logs``: classes of ``place`` (``term, school, class_id``) that no other delivery has logged."""
    logs = place.dropna(subset=["class_id"]).drop_duplicates().assign(table=table)
    keys = ["table", "class_id", "term"]
    stored = pd.MultiIndex.from_frame(ctx.stored["logs"][keys].astype("object"))
    held = pd.MultiIndex.from_frame(logs[keys].astype("object")).isin(stored)
    return logs[~held].sort_values(keys).reset_index(drop=True)


def _parsed(batch: Batch, column: str, parse) -> pd.DataFrame:
    texts = batch.cells.get(column)
    if texts is None:
        texts = pd.Series("", index=batch.cells.index)
    return parse_column(texts, lambda text: parse(text) if text else BLANK)


def _labelled(batch: Batch, column: str) -> pd.Series:
    return decode_levels(batch, column) if column in batch.cells else no_values(batch.cells.index)


def _required(batch: Batch, column: str) -> pd.Series:
    if column not in batch.cells or column in batch.source.optional:
        return no_values(batch.cells.index)
    return blank(batch.cells[column])


def _link_children(ctx: Context, names: pd.Series, place: pd.DataFrame) -> tuple[pd.DataFrame, pd.DataFrame]:
    """Children of each row (``rid, student``), and ``rule`` and ``by`` of each row.

    A name with blanks inside (张 三) is tried whole first; only if the class has no such child is it read as
    several children.
    """
    children = _explode(names, split_children)
    found = _link(ctx, children, place)
    failed = set(children.loc[found["rule"] == "unknown_student", "rid"])
    spaced = {rid: split_at_blanks(names[rid]) for rid in failed if split_at_blanks(names[rid])}
    if spaced:
        again = _explode(names[list(spaced)], split_at_blanks)
        again_found = _link(ctx, again, place)
        whole = again_found["rule"].isna().groupby(again["rid"]).transform("all")
        better = again[whole]
        stay = ~children["rid"].isin(better["rid"])
        children = pd.concat([children[stay], better], ignore_index=True)
        found = pd.concat([found[stay], again_found[whole]], ignore_index=True)
    joined = children.assign(student=found["student"], rule=found["rule"], by=found["by"])
    by_row = joined.groupby("rid").agg(rule=("rule", "first"), by=("by", "first"))
    rule = by_row["rule"].astype("object").reindex(place.index)
    links = pd.DataFrame(
        {"rule": rule, "by": by_row["by"].astype("object").reindex(place.index).where(rule.isna())}
    )
    return joined[["rid", "student"]].sort_values("rid", kind="stable").reset_index(drop=True), links


def _explode(names: pd.Series, split) -> pd.DataFrame:
    parts = map_unique(names, split).explode().dropna()
    return pd.DataFrame({"rid": parts.index, "name_key": parts.to_numpy(dtype=object)})


def _link(ctx: Context, children: pd.DataFrame, place: pd.DataFrame) -> pd.DataFrame:
    return link_rows(ctx, children.join(place, on="rid"))


def _held(contacts: pd.DataFrame, stored: pd.DataFrame) -> pd.Series:
    """Contacts that stand earlier in this delivery, or in another one."""
    own = _content_key(contacts)
    return own.duplicated() | own.isin(set(_content_key(stored)))


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
