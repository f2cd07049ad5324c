"""Events of schools and classes, and who of the invited families came."""

from __future__ import annotations

import re

import numpy as np
import pandas as pd

from cobench.ingest.batches import Batch, decode_levels
from cobench.ingest.columns import column, constant, factor, joint, name_keys, or_else, recode, where
from cobench.ingest.context import (
    Context,
    is_whole_school,
    link_rows,
    listed_classes,
    no_values,
    parse_dates,
    redact,
    terms_of,
)
from cobench.ingest.fields import read_field, speakers
from cobench.ingest.linkage import match_report, match_traits, months
from cobench.ingest.parse import BLANK, parse_column, parse_date, parse_minutes
from cobench.ingest.quarantine import Tidy, faults, first_faults
from cobench.ingest.readers import TEXT
from cobench.ingest.text import map_unique, name_key
from cobench.ingest.tidy_contacts import new_logs
from cobench.ingest.tidy_people import blank, cell_faults, row_school, school_or_unit
from cobench.tables import empty

_SAME_EVENT = ["school", "day", "kind", "place", "topic_key", "subject"]
_PLACES = ("grade", "unit")
_FACTS = ("subject", "n_invited", "n_present", "minutes", "has_minutes", "has_feedback")
_DATED = re.compile(
    r"(\d{4}\s*[-/.年]\s*\d{1,2}\s*[-/.月]\s*\d{1,2}\s*日?|\d{1,2}\s*[-/.月]\s*\d{1,2}\s*日?)\s*(.*)"
)


def tidy_events(batch: Batch, ctx: Context) -> Tidy:
    """Table ``events``; an event is known by school, day, kind, class and topic."""
    cells = batch.cells
    school = school_or_unit(batch, ctx)
    dates = parse_dates(ctx, cells["date"], batch.kinds["date"])
    when = terms_of(ctx, dates["value"])
    term = or_else(when["value"], ctx.term.id)
    facts = {name: read_field(batch, ctx, name, school["value"]) for name in (*_PLACES, *_FACTS)}
    texts = cells["class"] if "class" in cells else constant("", cells.index)
    whole = is_whole_school(texts)
    classes = listed_classes(ctx, term, school["value"], texts)
    topic = cells["topic"] if "topic" in cells else constant("", cells.index)
    topic, redacted = redact(ctx, topic, school["value"])
    broken = first_faults(
        cells.index,
        [
            ("school", school["rule"]),
            ("date", dates["rule"]),
            ("date", when["rule"]),
            ("kind", _kind_fault(batch)),
            ("class", classes["rule"].mask(whole)),
            *((name, facts[name]["rule"]) for name in _PLACES),
        ],
    )
    rows = pd.DataFrame(
        {
            "term": term,
            "school": school["value"],
            "class_id": classes["value"].mask(whole),
            "date": dates["value"],
            "kind": decode_levels(batch, "kind")
            if "kind" in batch.source.levels
            else batch.source.event_kind,
            "topic": recode(topic, lambda text: text or None),
            "speaker": speakers(ctx, cells["speaker"]) if "speaker" in cells else no_values(cells.index),
            **{name: each["value"] for name, each in facts.items()},
        }
    ).astype("object")
    rows = rows.drop(index=broken["rid"]).rename_axis("rid").reset_index()
    known = ctx.stored["events"] if ctx.is_old(rows["date"]).any() else empty("events")
    new, held = name_events(rows, known)
    accepted = pd.Index(new["rid"])
    unread = [cell_faults(name, facts[name]["rule"], accepted) for name in _FACTS]
    return Tidy(
        {"events": new},
        broken,
        faults((rid, "date", "duplicate") for rid in held),
        pd.concat([cell_faults("topic", where(redacted, "redacted"), accepted), *unread], ignore_index=True),
    )


def name_events(rows: pd.DataFrame, stored: pd.DataFrame) -> tuple[pd.DataFrame, list[int]]:
    """Give events their ids (school-day-kind-class), those of one id and another topic a number.

    Returns
    -------
    DataFrame
        ``rows`` that are new, with column ``event``.
    list of int
        ``rid`` of rows that repeat one of these or of ``stored``.
    """
    known = _event_keys(stored).drop_duplicates(_SAME_EVENT)
    keyed = _event_keys(rows)
    same = pd.MultiIndex.from_frame(keyed[_SAME_EVENT])
    held = keyed.duplicated(_SAME_EVENT).to_numpy() | same.isin(pd.MultiIndex.from_frame(known[_SAME_EVENT]))
    new = keyed[~held]
    base = new["school"] + "-" + new["day"] + "-" + new["kind"] + "-" + new["place"]
    of_known = (
        known["school"] + "-" + known["day"] + "-" + known["kind"] + "-" + known["place"]
    ).value_counts()
    number = base.groupby(base).cumcount() + base.map(of_known).fillna(0).astype("int64")
    event = base.where(number == 0, base + "-" + (number + 1).astype("str"))
    named = rows[~held].assign(event=event)
    return named, rows.loc[held, "rid"].tolist()


def _event_keys(events: pd.DataFrame) -> pd.DataFrame:
    day = pd.to_datetime(events["date"]).dt.strftime("%Y%m%d")
    topic, unit, subject = (_filled(events, name, "") for name in ("topic", "unit", "subject"))
    grade = _filled(events, "grade", None)
    grade = grade.where(grade.isna(), "g" + grade.astype("str").str.removesuffix(".0"))
    school = _filled(events, "school", None)
    place = _filled(events, "class_id", None).fillna(grade).fillna(unit.where((unit != "") & school.notna()))
    return pd.DataFrame(
        {
            "school": school.fillna(unit),
            "day": day.astype("object"),
            "kind": events["kind"].astype("object"),
            "place": place.fillna("all"),
            "topic_key": map_unique(topic, name_key).astype("object"),
            "subject": subject,
        }
    )


def _filled(events: pd.DataFrame, name: str, otherwise: str | None) -> pd.Series:
    """A column of events as objects; those that only a sign-in list knows have no more than date and topic."""
    if name not in events:
        return pd.Series(otherwise, index=events.index, dtype="object")
    values = events[name].astype("object")
    return values.where(values.notna(), otherwise)


def _kind_fault(batch: Batch) -> pd.Series:
    if batch.source.event_kind is not None or "kind" not in batch.cells:
        return no_values(batch.cells.index)
    return blank(batch.cells["kind"])


def tidy_attendance(batch: Batch, ctx: Context, events: pd.DataFrame) -> Tidy:
    """Table ``attendance`` (all listed families were invited), ``logs``, and events that only the list knows.

    Parameters
    ----------
    events : DataFrame
        Events of this delivery.
    """
    cells = batch.cells
    school = row_school(batch, ctx.school_codes)
    named = _event_of(batch, ctx, school["value"])
    when = terms_of(ctx, named["date"])
    term = or_else(when["value"], ctx.term.id)
    classes = listed_classes(ctx, term, school["value"], cells["class"])
    place = pd.DataFrame({"term": term, "school": school["value"], "class_id": classes["value"]})
    rows = place.assign(
        name_key=name_keys(cells["student_name"]),
        date=named["date"],
        topic=named["topic"],
        kind=constant(batch.source.event_kind, cells.index),
        present=decode_levels(batch, "present"),
    )
    found = link_rows(ctx, rows, cells.get("student_number"))
    rows = rows.assign(student=found["student"])
    broken = first_faults(
        cells.index,
        [
            ("school", school["rule"]),
            ("event", named["rule"]),
            ("event", when["rule"]),
            ("student_name", blank(cells["student_name"])),
            ("class", classes["rule"]),
            ("present", blank(cells["present"])),
            ("student_name", found["rule"]),
        ],
    )
    minutes = cells["minutes"] if "minutes" in cells else constant("", cells.index)
    minutes = parse_column(minutes, lambda text: parse_minutes(text) if text else BLANK)
    rows = rows.assign(minutes=minutes["value"], invited=constant(True, cells.index))
    rows = rows.drop(index=broken["rid"]).rename_axis("rid").reset_index()
    rows, made = _match_events(rows, events, ctx)
    clash, repeated = _repeats(rows, ctx)
    good = rows[~rows["rid"].isin([*clash, *repeated])] if clash or repeated else rows
    return Tidy(
        {"attendance": good, "events": made, "logs": new_logs("attendance", place, ctx)},
        pd.concat(
            [broken, faults((rid, "present", "contradicting_rows") for rid in clash)], ignore_index=True
        ),
        faults((rid, "student_name", "duplicate") for rid in repeated),
        cell_faults("minutes", minutes["rule"], pd.Index(good["rid"])),
        match_report(place.assign(by=found["by"]), "attendance", "parent"),
        match_traits(
            place.assign(by=found["by"]),
            "attendance",
            "parent",
            {
                "grade": classes["grade"],
                "month": months(named["date"]),
                "present": decode_levels(batch, "present"),
            },
        ),
    )


def _event_of(batch: Batch, ctx: Context, school: pd.Series) -> pd.DataFrame:
    """Date and topic of the event that each row names (2026-03-20 亲子沟通), and the rule broken."""
    texts = batch.cells["event"]

    def parse(text: str) -> tuple:
        match = _DATED.fullmatch(text)
        day = parse_date(match.group(1), ctx.window) if match else None
        if day is None or day.value is None:
            rule = "blank_required" if not text else "unlisted_event" if day is None else day.rule
            return None, None, rule
        return day.value, match.group(2).strip() or None, None

    codes, distinct = factor(texts)
    parsed = [parse(text) for text in distinct]
    date, topic, rule = (column(codes, [each[place] for each in parsed], texts.index) for place in range(3))
    dated = batch.kinds["event"] > TEXT
    if dated.any():
        days = parse_dates(ctx, texts, batch.kinds["event"])
        pair = pd.DataFrame({"date": date, "rule": rule}).astype("object")
        pair[dated] = days.rename(columns={"value": "date"}).astype("object")[dated]
        date, rule = pair["date"], pair["rule"]
    redacted, _ = redact(ctx, or_else(topic, ""), school)
    return pd.DataFrame({"date": date, "topic": recode(redacted, lambda text: text or None), "rule": rule})


def _match_events(
    rows: pd.DataFrame, events: pd.DataFrame, ctx: Context
) -> tuple[pd.DataFrame, pd.DataFrame]:
    """Add ``event`` to ``rows``: same topic, else the only event of that day and kind, else a new one."""
    if ctx.is_old(rows["date"]).any():
        events = pd.concat([ctx.stored["events"], events], ignore_index=True)
    keys = ["school", "date", "kind", "topic"]
    codes, places = pd.factorize(joint(rows[name] for name in keys))
    first = np.flatnonzero(~pd.Series(codes).duplicated().to_numpy())
    wanted = rows.iloc[first][["rid", "term", *keys]].astype("object").assign(class_id=None)
    wanted = wanted.astype({"rid": "int64"})
    known, asked = _event_keys(events).assign(event=events["event"]), _event_keys(wanted)
    day = ["school", "day", "kind"]
    exact = known.drop_duplicates([*day, "topic_key"]).set_index([*day, "topic_key"])["event"]
    sole = known[~known.duplicated(day, keep=False)].set_index(day)["event"]
    by_topic = exact.reindex(pd.MultiIndex.from_frame(asked[[*day, "topic_key"]])).to_numpy()
    by_day = sole.reindex(pd.MultiIndex.from_frame(asked[day])).to_numpy()
    event = pd.Series(by_topic, index=wanted.index, dtype="object")
    event = event.where(event.notna(), pd.Series(by_day, index=wanted.index, dtype="object"))
    made, _ = name_events(wanted[event.isna()], events)
    event = event.where(event.notna(), made["event"])
    columns = ["event", "term", "school", "class_id", "date", "kind", "topic"]
    return rows.assign(event=column(codes, event.tolist(), rows.index)), made[columns]


def _repeats(rows: pd.DataFrame, ctx: Context) -> tuple[list[int], list[int]]:
    """Rows that contradict each other about a child at an event, and rows that say the same again."""
    key = ["event", "student"]
    pairs = pd.Series(joint(rows[name] for name in key))
    shared = rows[pairs.duplicated(keep=False).to_numpy() | ctx.is_old(rows["date"])].astype("object")
    if shared.empty:
        return [], []
    differs = shared.groupby(key)["present"].transform("nunique") > 1
    again = np.zeros(len(shared), dtype=bool)
    if ctx.is_old(shared["date"]).any():
        held = pd.MultiIndex.from_frame(ctx.stored["attendance"][key].astype("object"))
        again = pd.MultiIndex.from_frame(shared[key]).isin(held)
    repeated = ~differs & (shared.duplicated(key) | again)
    return shared.loc[differs, "rid"].tolist(), shared.loc[repeated, "rid"].tolist()
