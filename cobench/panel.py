"""One row per student and term: exposure, history, covariates, baselines and outcomes, each with its date.

A term has one landmark for treated and untreated: covariates and categories count up to it, exposure after it
and up to the end of the exposure window, outcomes are measured after that. :mod:`cobench.time_order` refuses what
breaks this.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from functools import cache, partial

import numpy as np
import pandas as pd
import pyarrow as pa

from cobench.errors import StudyFileError
from cobench.exposure import earlier_terms, exposure, first_level, first_true
from cobench.panel_frames import of_term, with_codes
from cobench.study import Effect, Outcome, Source, Study, Term

ATTENDING = ("enrolled", "transferred_in")
ENTRY_GRADES = (1, 7, 10)
MEASURED = ["column", "first_on", "last_on", "n_measured"]
FLOW = ["step", "n_students"]


@dataclass(frozen=True)
class Panel:
    """The panel of one term.

    Attributes
    ----------
    frame : DataFrame
        One row a student, in an order that doesn't depend on pseudonyms. Columns: ``student, term, school,
        class_id, grade, sex, birth_month, boarding``, ``category:<id>`` (bool), for each treatment
        ``<id>`` (level or missing), ``<id>:count``, ``<id>:minutes``, ``<id>:history`` (contacts up to the
        landmark), ``<id>:invited`` (0 or 1, of attendance: whether asked to come), for each outcome ``<id>`` and ``<id>@baseline``, and ``<id>@baseline:reason``.
    measured : DataFrame
        Columns :data:`MEASURED`: when each covariate and outcome column was measured.
    flow : DataFrame
        Columns :data:`FLOW`: from roster to panel.
    """

    term: Term
    frame: pd.DataFrame
    measured: pd.DataFrame
    flow: pd.DataFrame


Kept = Callable[[str, str, pd.DataFrame, Callable[[], pd.DataFrame]], pd.DataFrame]


def afresh(kind: str, id_: str, roster: pd.DataFrame, make: Callable[[], pd.DataFrame]) -> pd.DataFrame:
    """A part of a panel, made and not kept."""
    return make()


def build_panel(study: Study, term: Term, frames: Mapping[str, pd.DataFrame]) -> Panel:
    """Build the panel of ``term`` from canonical tables.

    Parameters
    ----------
    frames : mapping of table name to DataFrame
        ``students, enrolments, memberships, contacts, logs, events, attendance, outcomes`` of all terms up
        to this one, and ``scores`` (:func:`cobench.measures.scales.score_scale`).
    """
    return assemble(study, term, *with_codes(frames))


def assemble(
    study: Study, term: Term, frames: Mapping[str, pd.DataFrame], names: pa.Array, kept: Kept = afresh
) -> Panel:
    """The panel of ``term`` from frames whose students are whole numbers (places in ``names``).

    Parameters
    ----------
    kept : callable
        Gives a part (``earlier``, ``exposure``, ``outcome``, ``baseline``) of the panel, one row a student of the
        roster: as it was kept, or made by its last argument.
    """
    roster, flow = _roster(frames["enrolments"], frames["students"], term)
    panel = roster.join(_categories(study, frames["memberships"], term, roster.index))
    dated = [_on_landmark(name, panel, term) for name in panel.columns]
    earlier = kept("earlier", "", roster, lambda: earlier_terms(study, frames, roster, term, ATTENDING))
    for treatment in study.treatments.values():
        n = earlier[f"{treatment.id}:n"].to_numpy()
        exposed = kept(
            "exposure", treatment.id, roster, partial(exposure, treatment, frames, roster, term, n)
        )
        history = exposed[f"{treatment.id}:history"].astype("float64")
        unknown = earlier[f"{treatment.id}:silent"]
        panel = panel.join(exposed.assign(**{f"{treatment.id}:history": history.mask(unknown)}))
        dated.append(_on_landmark(f"{treatment.id}:history", panel, term))
    placed = cache(lambda term_id: _placed(frames["enrolments"], study.term(term_id)))
    for id_, outcome, columns in _measured(study):
        before = _values(study, "baseline", id_, outcome, frames, term, placed, roster, kept)
        if columns:
            now = _values(study, "outcome", id_, outcome, frames, term, placed, roster, kept)
            dated.append(_dates(id_, now))
            panel = panel.assign(**{id_: now["value"]})
        dated.append(_dates(f"{id_}@baseline", before))
        panel = panel.assign(**{f"{id_}@baseline": before["value"]})
        if columns:
            panel = panel.assign(**{f"{id_}@baseline:reason": _baseline_reason(before, panel, term)})
    students = pd.Series(names.take(pa.array(panel.index)).to_numpy(zero_copy_only=False), dtype="str")
    whole = panel.reset_index(drop=True)
    whole.insert(0, "student", students)
    frame = in_content_order(whole.assign(term=term.id))
    texts = {
        name: _texts(frame[name]) for name in frame if isinstance(frame[name].dtype, pd.CategoricalDtype)
    }
    frame = frame.assign(**texts)
    return Panel(term, frame, pd.DataFrame(dated, columns=MEASURED), flow)


def panel_from_source(study: Study, term: Term, source: Source, rows: pd.DataFrame) -> Panel:
    """The panel of a study whose data are already one table (``table = "panel"``)."""
    panel = rows.drop(columns=[name for name in ("term",) if name in rows])
    for treatment in study.treatments.values():
        level = first_level(treatment, panel)
        if treatment.reference_where is None:
            raise StudyFileError(
                en=f"treatments.{treatment.id}.reference_where is missing: say which rows are {treatment.reference!r}",
                zh=f"缺少 treatments.{treatment.id}.reference_where：请说明哪些行属于 {treatment.reference!r}",
            )
        is_reference = first_true([treatment.reference_where], panel) == 0
        panel = panel.assign(**{treatment.id: level.mask(level.isna() & is_reference, treatment.reference)})
    for outcome in study.outcomes.values():
        _require_column(panel, outcome)
        values = panel[outcome.column].astype("float64")
        cells = panel[[name for name in outcome.standardise if name != "term"]]
        panel = panel.assign(**{outcome.id: _standardise(values, cells) if outcome.standardise else values})
    dated = [
        {
            "column": name,
            "first_on": pd.Timestamp(day),
            "last_on": pd.Timestamp(day),
            "n_measured": len(panel),
        }
        for day, names in source.measured.items()
        for name in (*names, *(each.id for each in study.outcomes.values() if each.column in names))
    ]
    dated = list({row["column"]: row for row in dated}.values())
    frame = in_content_order(panel.assign(term=term.id))
    flow = pd.DataFrame([("rows_read", len(frame))], columns=FLOW)
    return Panel(term, frame, pd.DataFrame(dated, columns=MEASURED), flow)


def covariate_columns(study: Study, effect: Effect) -> tuple[str, ...]:
    """Panel columns that ``effect.adjust`` names (``category:*`` is every category)."""
    columns = []
    for name in effect.adjust:
        wild = [f"category:{category.id}" for category in study.categories]
        columns.extend(wild if name == "category:*" else [panel_column(name)])
    return tuple(dict.fromkeys(columns))


def panel_column(name: str) -> str:
    """The panel column that a study file calls ``name``."""
    return {"class": "class_id"}.get(name, name)


def in_content_order(frame: pd.DataFrame) -> pd.DataFrame:
    """Sort rows by what they hold, never by the pseudonym, so that another key gives the same order.

    Rows that tie are alike in every column but the pseudonym, so their order changes no result.
    """
    first = [name for name in ("school", "class_id") if name in frame]
    rest = sorted(name for name in frame.columns if name not in (*first, "student"))
    frame = frame.reset_index(drop=True)
    order = np.arange(len(frame))
    group = np.zeros(len(frame), dtype=np.int64)
    # Column after column, and only where rows still tie: few do after the first ones.
    open_rows = np.arange(len(frame))
    for name in (*first, *rest):
        if len(open_rows) == 0:
            break
        codes, values = pd.factorize(frame[name].iloc[order[open_rows]])
        texts = pd.Series(values).astype("str").tolist()
        distinct = sorted({*texts, ""})
        places = {text: place for place, text in enumerate(distinct)}
        # The last entry is for missing values, whose code is -1.
        rank = np.array([places[text] for text in [*texts, ""]])[codes]
        key = group[open_rows] * len(distinct) + rank
        moved = np.argsort(key, kind="stable")
        order[open_rows] = order[open_rows][moved]
        key = key[moved]
        starts = np.append(True, key[1:] != key[:-1])
        tied = ~(starts & np.append(starts[1:], True))
        group[open_rows] = np.cumsum(starts)
        open_rows = open_rows[tied]
    return frame.iloc[order].reset_index(drop=True)


def _texts(column: pd.Series) -> pd.Series:
    """A column of categories as texts (a twentieth of the time that ``astype`` takes)."""
    values = column.cat.categories.astype("str").array
    return pd.Series(values.take(column.cat.codes.to_numpy(), allow_fill=True), index=column.index)


def _roster(
    enrolments: pd.DataFrame, students: pd.DataFrame, term: Term
) -> tuple[pd.DataFrame, pd.DataFrame]:
    landmark = pd.Timestamp(term.landmark)
    listed = enrolments[enrolments["term"] == term.id]
    present = listed[
        listed["status"].isin(ATTENDING)
        & ~(listed["valid_from"] > landmark)
        & ~(listed["valid_to"] < landmark)
    ]
    twice = present["student"].duplicated(keep=False)
    once = present[~twice]
    flow = pd.DataFrame(
        [
            ("on_roster", listed["student"].nunique()),
            ("at_landmark", present["student"].nunique()),
            ("in_one_class", len(once)),
        ],
        columns=FLOW,
    )
    people = students[students["term"] == term.id].set_index("student")[["sex", "birth_month"]]
    roster = once.set_index("student")[["school", "class_id", "grade", "boarding"]].join(
        people, validate="1:1"
    )
    return roster.assign(grade=roster["grade"].astype("int64")), flow


def _categories(study: Study, memberships: pd.DataFrame, term: Term, students: pd.Index) -> pd.DataFrame:
    landmark = pd.Timestamp(term.landmark)
    held = memberships[
        (memberships["term"] == term.id)
        & ~(memberships["valid_from"] > landmark)
        & ~(memberships["valid_to"] < landmark)
    ]
    flags = {
        f"category:{category.id}": students.isin(held.loc[held["category"] == category.id, "student"])
        for category in study.categories
    }
    return pd.DataFrame(flags, index=students)


def _measured(study: Study) -> Iterator[tuple[str, Outcome, bool]]:
    """Outcomes, and scales that are covariates only (of which the panel has the baseline alone)."""
    for outcome in study.outcomes.values():
        yield outcome.id, outcome, True
    for scale_id in [scale for scale in study.scales if scale not in study.outcomes]:
        yield scale_id, Outcome(label=study.scales[scale_id].label, scale=scale_id), False


def _values(
    study: Study,
    kind: str,
    id_: str,
    outcome: Outcome,
    frames: Mapping[str, pd.DataFrame],
    term: Term,
    placed: Callable[[str], pd.DataFrame],
    roster: pd.DataFrame,
    kept: Kept,
) -> pd.DataFrame:
    """``value, measured_on, reason`` of an outcome (``kind``: this term's, or ``baseline``) by student of the roster."""

    def make() -> pd.DataFrame:
        if kind == "baseline":
            return _baseline_values(study, outcome, frames, term, placed).reindex(roster.index)
        return _outcome_values(outcome, frames, term, placed).reindex(roster.index)

    # Scores are made anew each time, so that nothing stored says whether they are the same.
    return make() if outcome.scale is not None else kept(kind, id_, roster, make)


def _outcome_values(
    outcome: Outcome, frames: Mapping[str, pd.DataFrame], term: Term, placed: Callable[[str], pd.DataFrame]
) -> pd.DataFrame:
    """Values of an outcome in one term by student: ``value, measured_on, reason``."""
    if outcome.scale is not None:
        scores = frames["scores"]
        own = scores[(scores["scale"] == outcome.scale) & (scores["term"] == term.id)].set_index("student")
        values = own[["score", "measured_on"]].rename(columns={"score": "value"}).assign(reason=None)
    else:
        rows = of_term(frames, "outcomes", term.id)
        mine = (rows["measure"] == outcome.measure) & rows["student"].notna()
        own = rows[mine].set_index("student")
        values = own[["value", "measured_on", "missing_reason"]].rename(columns={"missing_reason": "reason"})
    if not outcome.standardise:
        return values
    cells = placed(term.id)[[name for name in outcome.standardise if name != "term"]]
    return values.assign(value=_standardise(values["value"], cells.reindex(values.index)))


def _placed(enrolments: pd.DataFrame, term: Term) -> pd.DataFrame:
    """School, class and grade on the day of the exam, by student: whose paper a mark comes from.

    Of several spells the one that a pupil attends and that began last counts; a tie between different cells
    can't be told and leaves the cell missing.
    """
    columns = ["student", "school", "class_id", "grade"]
    listed = enrolments[enrolments["term"] == term.id]
    several = listed["student"].duplicated(keep=False)
    once, listed = listed.loc[~several, columns], listed[several]
    exam = pd.Timestamp(term.exam)
    attends = listed["status"].isin(ATTENDING) & ~(listed["valid_from"] > exam)
    began = listed["valid_from"].fillna(pd.Timestamp(term.start))
    best = listed.assign(attends=attends, began=began).sort_values(["attends", "began"], ascending=False)
    top = best.groupby("student")[["attends", "began"]].transform("first")
    best = best[(best["attends"] == top["attends"]) & (best["began"] == top["began"])]
    cells = best[columns].drop_duplicates().drop_duplicates("student", keep=False)
    return pd.concat([once, cells]).set_index("student")


def _standardise(values: pd.Series, cells: pd.DataFrame) -> pd.Series:
    """z scores within cells, with the cell's own mean and SD (ddof 1); missing in cells of one or no spread."""
    # Summed in the order of the values, so that the last digit doesn't depend on the order of the rows.
    ordered = values.sort_values(kind="stable")
    if cells.shape[1] == 0:
        return ((ordered - ordered.mean()) / ordered.std(ddof=1)).reindex(values.index)
    cells = cells.loc[ordered.index]
    grouped = ordered.groupby([cells[name] for name in cells.columns], observed=True)
    spread = grouped.transform("std")
    return ((ordered - grouped.transform("mean")) / spread).where(spread > 0).reindex(values.index)


def _baseline_values(
    study: Study,
    outcome: Outcome,
    frames: Mapping[str, pd.DataFrame],
    term: Term,
    placed: Callable[[str], pd.DataFrame],
) -> pd.DataFrame:
    if term.baseline is None:
        nothing = pd.DataFrame({"value": [], "measured_on": [], "reason": []}, dtype="float64")
        return nothing.assign(
            measured_on=pd.Series([], dtype="datetime64[s]"), reason=pd.Series([], dtype="str")
        )
    return _outcome_values(outcome, frames, study.term(term.baseline), placed)


def _baseline_reason(before: pd.DataFrame, panel: pd.DataFrame, term: Term) -> pd.Series:
    """Why a baseline is missing: its own reason, ``entry_grade``, or ``not_measured``."""
    missed = before["value"].isna()
    own = before.loc[missed, "reason"].astype("str")
    entering = panel.loc[missed, "grade"].isin(ENTRY_GRADES) & (term.start.month >= 8)
    fallback = pd.Series(np.where(entering, "entry_grade", "not_measured"), index=own.index, dtype="str")
    return own.where(own.notna(), fallback).reindex(panel.index)


def _dates(column: str, measured: pd.DataFrame) -> dict:
    """When the values of ``column`` were measured; ``n_measured`` counts values with a date."""
    known = measured.loc[measured["value"].notna(), "measured_on"].dropna()
    return {"column": column, "first_on": known.min(), "last_on": known.max(), "n_measured": len(known)}


def _on_landmark(column: str, panel: pd.DataFrame, term: Term) -> dict:
    """Roster columns, categories and history hold what was so on the landmark, by construction."""
    day = pd.Timestamp(term.landmark)
    n_measured = int(panel[column].notna().sum())
    return {"column": column, "first_on": day, "last_on": day, "n_measured": n_measured}


def _require_column(panel: pd.DataFrame, outcome: Outcome) -> None:
    if outcome.column not in panel:
        listed = ", ".join(map(str, list(panel.columns)[:40]))
        raise StudyFileError(
            en=f"outcomes.{outcome.id}.column = {outcome.column!r} is not a column of the panel; it has: {listed}",
            zh=f"outcomes.{outcome.id}.column = {outcome.column!r} 不在面板数据中；现有列：{listed}",
        )
