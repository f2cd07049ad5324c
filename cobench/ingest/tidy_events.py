"""Events of schools and classes, and who of the invited families came."""

from __future__ import annotations

import re

import pandas as pd

from cobench.ingest.batches import Batch, decode_levels
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
from cobench.ingest.linkage import match_report
from cobench.ingest.parse import BLANK, parse_column, parse_date, parse_minutes
from cobench.ingest.quarantine import Tidy, faults, first_faults
from cobench.ingest.readers import TEXT
from cobench.ingest.text import map_unique, name_key
from cobench.ingest.tidy_contacts import new_logs
from cobench.ingest.tidy_people import blank, cell_faults, row_school

_SAME_EVENT = ["school", "day", "kind", "place", "topic_key"]
_DATED = re.compile(
    r"(\d{4}\s*[-/.年]\s*\d{1,2}\s*[-/.月]\s*\d{1,2}\s*日?|\d{1,2}\s*[-/.月]\s*\d{1,2}\s*日?)\s*(.*)"
)


def tidy_events(batch: Batch, ctx: Context) -> Tidy:
    """Table ``events``; an event is known by school, day, kind, class and topic."""
    cells = batch.cells
    school = row_school(batch, ctx.school_codes)
    dates = parse_dates(ctx, cells["date"], batch.kinds["date"])
    when = terms_of(ctx, dates["value"])
    term = when["value"].fillna(ctx.term.id)
    texts = cells["class"] if "class" in cells else pd.Series("", index=cells.index)
    whole = is_whole_school(texts)
    classes = listed_classes(ctx, term, school["value"], texts)
    topic = cells["topic"] if "topic" in cells else pd.Series("", index=cells.index)
    topic, redacted = redact(ctx, topic)
    broken = first_faults(
        cells.index,
        [
            ("school", school["rule"]),
            ("date", dates["rule"]),
            ("date", when["rule"]),
            ("kind", _kind_fault(batch)),
            ("class", classes["rule"].mask(whole, None)),
        ],
    )
    rows = pd.DataFrame(
        {
            "term": term,
            "school": school["value"],
            "class_id": classes["value"].mask(whole, None),
            "date": dates["value"],
            "kind": decode_levels(batch, "kind")
            if "kind" in batch.source.levels
            else batch.source.event_kind,
            "topic": topic.mask(topic == "", None),
        }
    )
    rows = rows[~rows.index.isin(broken["rid"])].rename_axis("rid").reset_index()
    new, held = name_events(rows, ctx.stored["events"])
    return Tidy(
        {"events": new},
        broken,
        faults((rid, "date", "duplicate") for rid in held),
        cell_faults("topic", no_values(cells.index).mask(redacted, "redacted"), pd.Index(new["rid"])),
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
    topic = events["topic"].astype("object").where(events["topic"].notna(), "")
    return pd.DataFrame(
        {
            "school": events["school"].astype("object"),
            "day": day.astype("object"),
            "kind": events["kind"].astype("object"),
            "place": events["class_id"].astype("object").where(events["class_id"].notna(), "all"),
            "topic_key": map_unique(topic, name_key),
        }
    )


def _kind_fault(batch: Batch) -> pd.Series:
    if batch.source.event_kind is not None or "kind" not in batch.cells:
        return no_values(batch.cells.index)
    return blank(batch.cells["kind"])


def tidy_attendance(batch: Batch, ctx: Context, events: pd.DataFrame) -> Tidy:
    """Table ``attendance`` (all listed families were invited), ``logs``, and events that only the list knows.

    Parameters
    ----------
    events : DataFrame
        Events of this delivery and of those stored before.
    """
    cells = batch.cells
    school = row_school(batch, ctx.school_codes)
    named = _event_of(batch, ctx)
    when = terms_of(ctx, named["date"])
    term = when["value"].fillna(ctx.term.id)
    classes = listed_classes(ctx, term, school["value"], cells["class"])
    place = pd.DataFrame({"term": term, "school": school["value"], "class_id": classes["value"]})
    rows = place.assign(
        name_key=map_unique(cells["student_name"], name_key),
        date=named["date"],
        topic=named["topic"],
        kind=batch.source.event_kind,
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
    minutes = cells["minutes"] if "minutes" in cells else pd.Series("", index=cells.index)
    minutes = parse_column(minutes, lambda text: parse_minutes(text) if text else BLANK)
    rows = rows.assign(minutes=minutes["value"].astype("float64"), invited=True)
    rows = rows[~rows.index.isin(broken["rid"])].rename_axis("rid").reset_index()
    rows, made = _match_events(rows, events)
    clash, repeated = _repeats(rows, ctx.stored["attendance"])
    good = rows[~rows["rid"].isin(clash) & ~rows["rid"].isin(repeated)]
    return Tidy(
        {"attendance": good, "events": made, "logs": new_logs("attendance", place, ctx)},
        pd.concat(
            [broken, faults((rid, "present", "contradicting_rows") for rid in clash)], ignore_index=True
        ),
        faults((rid, "student_name", "duplicate") for rid in repeated),
        cell_faults("minutes", minutes["rule"], pd.Index(good["rid"])),
        match_report(place.join(found["by"]).dropna(subset=["school"]), "attendance", "parent"),
    )


def _event_of(batch: Batch, ctx: Context) -> pd.DataFrame:
    """Date and topic of the event that each row names (2026-03-20 亲子沟通), and the rule broken."""
    texts = batch.cells["event"]

    def parse(text: str) -> tuple:
        match = _DATED.fullmatch(text)
        day = parse_date(match.group(1), ctx.window) if match else None
        if day is None or day.value is None:
            rule = "blank_required" if not text else "unlisted_event" if day is None else day.rule
            return None, None, rule
        return day.value, match.group(2).strip() or None, None

    parsed = pd.DataFrame(
        map_unique(texts, parse).tolist(),
        columns=["date", "topic", "rule"],
        index=texts.index,
        dtype="object",
    )
    dated = batch.kinds["event"] > TEXT
    if dated.any():
        days = parse_dates(ctx, texts[dated], batch.kinds.loc[dated, "event"])
        parsed.loc[dated, "date"], parsed.loc[dated, "rule"] = days["value"], days["rule"]
    topic, _ = redact(ctx, parsed["topic"].fillna(""))
    return parsed.assign(topic=topic.mask(topic == "", None))


def _match_events(rows: pd.DataFrame, events: pd.DataFrame) -> tuple[pd.DataFrame, pd.DataFrame]:
    """Add ``event`` to ``rows``: same topic, else the only event of that day and kind, else a new one."""
    wanted = rows.drop_duplicates(["school", "date", "kind", "topic"])
    wanted = wanted.assign(class_id=None)
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
    keys = ["school", "date", "kind", "topic"]
    named = wanted[keys].assign(event=event)
    columns = ["event", "term", "school", "class_id", "date", "kind", "topic"]
    return rows.merge(named, on=keys, how="left", validate="m:1"), made[columns]


def _repeats(rows: pd.DataFrame, stored: pd.DataFrame) -> tuple[list[int], list[int]]:
    """Rows that contradict each other about a child at an event, and rows that say the same again."""
    key = ["event", "student"]
    differs = rows.groupby(key)["present"].transform("nunique") > 1
    held = pd.MultiIndex.from_frame(stored[key].astype("object"))
    again = pd.MultiIndex.from_frame(rows[key].astype("object")).isin(held)
    repeated = ~differs & (rows.duplicated(key) | again)
    return rows.loc[differs, "rid"].tolist(), rows.loc[repeated, "rid"].tolist()
