"""The term stage: everything that reports of a term read, computed once and kept in ``derived/<term>``."""

from __future__ import annotations

import hashlib
from collections.abc import Callable, Sequence
from concurrent.futures import Executor
from dataclasses import replace
from functools import cache
from pathlib import Path

import duckdb
import pandas as pd
from threadpoolctl import threadpool_limits

from cobench import __version__, for_whom, imputed, lost, store
from cobench.designs import design_of, never_before, specifications
from cobench.effects.checks import Check
from cobench.effects.estimate import (
    EffectResult,
    estimate_effect,
    estimate_variant,
    not_estimable_result,
)
from cobench.effects.estimates import adjust_family
from cobench.effects.multiplicity import FAMILY, family_adjusted
from cobench.errors import CobenchError, StudyFileError
from cobench.ingest.codebook import instrument_ranges
from cobench.measures.answered import answered, items
from cobench.measures.scales import RELIABILITY, SCORES, reliability, score_scale
from cobench.missing import missing_reasons, without_set_aside
from cobench.monitor import (
    communities,
    coverage,
    gaming,
    next_families,
    reading,
    satisfaction,
    standards,
    units,
)
from cobench.monitor.declared_value_added import value_added_frames
from cobench.monitor.periods import school_days
from cobench.over_terms import DOSE, TERMS, curve_frame, dose_curve, terms_curve
from cobench.panel import (
    Panel,
    panel_from_source,
)
from cobench.panel_store import read_panel
from cobench.side_by_side import side_by_side
from cobench.study import Effect, Study, Term
from cobench.time_order import check_time_order

Progress = Callable[[str, int, int], None]
# Stored rows up to which tables may be read twice, to be judged while the panel is made.
MOST_TWICE = 5_000_000
CANONICAL = (
    "schools", "students", "enrolments", "memberships", "contacts", "logs", "events", "attendance", "responses",
    "outcomes", "set_aside", "records", *communities.TABLES,
)  # fmt: skip
CHECKS = ["effect", "contrast", "check", "status", "text_zh", "text_en"]


def silent(step: str, done: int, total: int) -> None:
    """Progress that nobody reads."""


def prepare(study: Study, term_id: str, *, jobs: int = 1, on_progress: Progress = silent) -> bool:
    """Compute the term stage of ``term_id`` if what it rests on has changed; True if it was computed.

    The stored tables must be there already (:func:`cobench.ingest.ingest.ingest_term`).
    """
    key = current_key(study)
    if store.stage_key(study, term_id) == key:
        return False
    frames = compute(study, study.term(term_id), jobs=jobs, on_progress=on_progress)
    store.write_stage(study, term_id, key, frames)
    return True


def current_key(study: Study) -> str:
    """Key of the stage that today's tables, study file, code books and code would give."""
    books = [study.root / name for each in study.instruments.values() for name in each.codebooks]
    texts = [path.read_bytes() for path in books if path.exists()]
    return store.inputs_key(study, extra=code_key() + hashlib.sha256(b"\0".join(texts)).hexdigest())


@cache
def code_key() -> str:
    """Hash of the code that computes the stage, so that an upgrade never leaves old numbers in place."""
    root = Path(__file__).parent
    digest = hashlib.sha256(__version__.encode())
    for room in ("measures", "effects", "monitor"):
        for path in sorted((root / room).rglob("*.*")):
            if path.suffix in (".py", ".toml"):
                digest.update(path.read_bytes())
    for name in (
        "designs.py",
        "panel.py",
        "over_terms.py",
        "imputed.py",
        "lost.py",
        "for_whom.py",
        "panel_frames.py",
        "panel_store.py",
        "exposure.py",
        "roll.py",
        "time_order.py",
        "declared.py",
        "missing.py",
        "stage.py",
        "tables.py",
        "study.py",
        "effect_keys.py",
        "sources.py",
        "standard.py",
    ):
        digest.update((root / name).read_bytes())
    return digest.hexdigest()


def compute(
    study: Study, term: Term, *, jobs: int = 1, on_progress: Progress = silent
) -> dict[str, pd.DataFrame]:
    """All derived frames of ``term`` by name."""
    panels = [source for source in study.sources if source.table == "panel"]
    with side_by_side(jobs if len(study.effects_in(term.id)) > 1 else 1) as pool:
        if panels:
            rows = store.read_table(study, "panel_source", [term.id])
            panel = panel_from_source(study, term, panels[0], rows)
            return _of_panel(study, panel, [], {}, pool, on_progress)
        beside = jobs > 1 and store.n_rows(study) < MOST_TWICE
        monitored = pool.submit(_monitored, study, term) if beside else None
        frames = read_frames(study, term)
        on_progress("scales", 0, 1)
        measured = scale_frames(study, frames) | answer_frames(term, frames)
        panel = read_panel(study, term, measured["scores"])
        panel = without_set_aside(study, panel, frames["set_aside"])
        if monitored is None:
            measured |= monitor_frames(study, term, frames)
        earlier = earlier_panels(study, term, measured["scores"], frames["set_aside"])
        known = {**frames, "scores": measured["scores"]}
        found = _of_panel(study, panel, earlier, known, pool, on_progress)
        return {**measured, **(monitored.result() if monitored else {}), **found}


def _monitored(study: Study, term: Term) -> dict[str, pd.DataFrame]:
    return monitor_frames(study, term, read_frames(study, term))


def _of_panel(
    study: Study,
    panel: Panel,
    earlier: Sequence[Panel],
    frames: dict[str, pd.DataFrame],
    pool: Executor,
    on_progress: Progress,
) -> dict[str, pd.DataFrame]:
    """What rests on the panel of a term; ``frames`` say why something is missing in it."""
    effects = study.effects_in(panel.term.id)
    estimated = {each.id: pool.submit(estimate_declared, study, panel, each) for each in effects}
    added = pool.submit(value_added_frames, study, panel)
    ranked = {each.id: pool.submit(_ranked, study, panel, each) for each in effects if each.heterogeneity}
    missing = missing_reasons(study, panel, frames)
    completed = {
        each.id: pool.submit(_completed, study, panel, each, missing) for each in effects if each.impute
    }
    drawn = {
        each.id: lost.lost_rows(study, panel, population_of(panel.frame, each), each)
        for each in effects
        if each.assignment
    }
    followed = curves(study, panel, earlier)
    results = {}
    for done, (id_, result) in enumerate(estimated.items()):
        results[id_] = result.result()
        on_progress("effects", done + 1, len(effects))
    return {
        "missing": missing,
        "panel": panel.frame,
        "measured": panel.measured,
        "roster_flow": panel.flow,
        **estimate_frames(study, results),
        **followed,
        **imputed.stacked({id_: rows.result() for id_, rows in completed.items()}),
        **lost.stacked(drawn),
        **for_whom.stacked({id_: rows.result() for id_, rows in ranked.items()}),
        **added.result(),
    }


def _completed(
    study: Study, panel: Panel, effect: Effect, missing: pd.DataFrame
) -> tuple[pd.DataFrame, pd.DataFrame]:
    with threadpool_limits(1):
        return imputed.imputed_rows(study, panel, population_of(panel.frame, effect), effect, missing)


def _ranked(study: Study, panel: Panel, effect: Effect) -> dict[str, pd.DataFrame]:
    with threadpool_limits(1):
        return for_whom.for_whom(study, panel, population_of(panel.frame, effect), effect)


def earlier_panels(study: Study, term: Term, scores: pd.DataFrame, set_aside: pd.DataFrame) -> list[Panel]:
    """Panels of the terms before ``term``, where some effect is followed over terms."""
    if not any(effect.over_terms for effect in study.effects_in(term.id)):
        return []
    return [
        without_set_aside(study, read_panel(study, each, scores), set_aside)
        for each in study.terms_until(term.id)[:-1]
    ]


def curves(study: Study, panel: Panel, earlier: Sequence[Panel]) -> dict[str, pd.DataFrame]:
    """Declared curves of every effect of the panel's term, by dose and over terms, and what tests say of them."""
    rows, checks = {}, {}
    for effect in study.effects_in(panel.term.id):
        frame = population_of(panel.frame, effect)
        if effect.doses:
            rows[effect.id, DOSE], checks[f"{effect.id}:{DOSE}"] = dose_curve(study, panel, frame, effect)
        if effect.over_terms:
            panels = [replace(each, frame=population_of(each.frame, effect)) for each in (*earlier, panel)]
            rows[effect.id, TERMS], checks[f"{effect.id}:{TERMS}"] = terms_curve(study, panels, effect)
    told = {name: _check_rows(found) for name, found in checks.items()}
    return {"curves": curve_frame(rows), "curve_checks": _stacked(told, CHECKS[1:])}


def read_frames(study: Study, term: Term) -> dict[str, pd.DataFrame]:
    """Canonical tables of all terms up to ``term``."""
    terms = [each.id for each in study.terms_until(term.id)]
    return {name: store.read_table(study, name, terms) for name in CANONICAL}


def scale_frames(study: Study, frames: dict[str, pd.DataFrame]) -> dict[str, pd.DataFrame]:
    """Scores of all declared scales and how reliable they are."""
    responses = frames["responses"]
    ranges = instrument_ranges(study)
    scores = [score_scale(responses, scale, ranges[scale.instrument]) for scale in study.scales.values()]
    alphas = [reliability(responses, scale, ranges[scale.instrument]) for scale in study.scales.values()]
    return {
        "scores": pd.concat(scores, ignore_index=True) if scores else pd.DataFrame(columns=SCORES),
        "reliability": pd.concat(alphas, ignore_index=True) if alphas else pd.DataFrame(columns=RELIABILITY),
    }


def answer_frames(term: Term, frames: dict[str, pd.DataFrame]) -> dict[str, pd.DataFrame]:
    """Who answered the questionnaires of ``term``, and what became of every answer asked for."""
    names = ("enrolments", "schools", "responses")
    enrolments, schools, responses = (frames[name][frames[name]["term"] == term.id] for name in names)
    return {"answered": answered(enrolments, schools, responses), "items": items(responses)}


def monitor_frames(study: Study, term: Term, frames: dict[str, pd.DataFrame]) -> dict[str, pd.DataFrame]:
    """Standards and coverage of ``term``."""
    with units.stored(study, term) as connection:
        judged = standards.judge(connection, study, term)
        read_along = reading.reading_by_school(connection, study, term)
    return {
        "standards": judged,
        "reading": read_along,
        "unusual": gaming.unusual_records(frames["contacts"], term, school_days(term)),
        "follow_ups": next_families.follow_ups(term, frames["contacts"]),
        "key_papers": coverage.key_papers(study, term, frames),
        "opinions": coverage.opinions(term, frames["records"]),
        "reach": coverage.reach(term, frames),
        "reach_by_class": coverage.reach(term, frames, by=("school", "class_id")),
        "weeks": coverage.coverage_by_week(term, frames),
        "lectures": coverage.lectures(term, frames),
        "key_students": coverage.key_students(study, term, frames),
        **communities.community_frames(study, term, frames),
        **satisfaction.satisfaction_frames(study, term, frames),
    }


def estimate_frames(study: Study, results: dict[str, EffectResult]) -> dict[str, pd.DataFrame]:
    """Frames of estimates and of what was checked, from the results of every declared effect."""
    estimates = (
        pd.concat([result.estimates for result in results.values()], ignore_index=True) if results else None
    )
    return {
        "estimates": pd.DataFrame() if estimates is None else adjust_family(estimates),
        "family": _family(estimates, [result.scores for result in results.values()], study.seed),
        "checks": _stacked({id_: _check_rows(result.checks) for id_, result in results.items()}, CHECKS[1:]),
        "balance": _stacked({id_: result.balance for id_, result in results.items()}),
        "balance_by_method": _stacked({id_: result.balance_by_method for id_, result in results.items()}),
        "overlap": _stacked({id_: result.overlap for id_, result in results.items()}),
        "flow": _stacked({id_: result.flow for id_, result in results.items()}),
    }


def _family(estimates: pd.DataFrame | None, scores: list[pd.DataFrame], seed: int) -> pd.DataFrame:
    """Both adjustments of the confirmatory family, side by side."""
    if estimates is None:
        return pd.DataFrame(columns=FAMILY)
    return family_adjusted(estimates, pd.concat(scores, ignore_index=True), seed=seed)


def estimate_declared(study: Study, panel: Panel, effect: Effect) -> EffectResult:
    """Estimate one declared effect as often as it is declared; what can't be estimated comes back as rows
    that say why.
    """
    design = design_of(study, panel.term.id, effect)
    variants = [each.design for each in specifications(study, panel.term.id, effect) if each.variant]
    treatment = study.treatments[effect.treatment]
    try:
        if not effect.replication_only:
            used = [*design.covariates, *(name for each in variants for name in each.covariates)]
            check_time_order(panel, dict.fromkeys(used), effect.outcome, dates_required=True)
        frame = population_of(panel.frame, effect)
    except CobenchError as error:
        if isinstance(error, StudyFileError):
            raise
        refused = [not_estimable_result(each, error.en, error.zh) for each in (design, *variants)]
        rows = [refused[0].estimates, *(each.estimates.assign(role="robustness") for each in refused[1:])]
        return replace(refused[0], estimates=pd.concat(rows, ignore_index=True))
    for column in never_before(effect):
        history = frame[f"{effect.treatment}:history"]
        frame = frame.assign(**{column: (history == 0).astype("object").where(history.notna())})
    levels = [treatment.reference, *(level.id for level in treatment.levels if level.use == "contrast")]
    known = frame[effect.treatment].isin(levels)
    excluded = frame[effect.treatment].notna() & ~known
    frame = frame.assign(**{effect.treatment: frame[effect.treatment].where(~excluded)})
    with threadpool_limits(1):  # thousands of small products, which threads make slower
        result = estimate_effect(frame, design)
        rows = [result.estimates, *(estimate_variant(frame, each, design) for each in variants)]
    return replace(result, estimates=pd.concat(rows, ignore_index=True))


def population_of(frame: pd.DataFrame, effect: Effect) -> pd.DataFrame:
    """Rows of the panel that ``effect.filter`` keeps."""
    if effect.filter is None:
        return frame
    with duckdb.connect(":memory:") as connection:
        connection.register("panel", frame)
        try:
            kept = connection.sql(
                f"select coalesce(({effect.filter})::boolean, false) as kept from panel"
            ).df()
        except duckdb.Error as error:
            raise StudyFileError(
                en=f"effects.{effect.id}.filter {effect.filter!r} can't be evaluated: {str(error).splitlines()[0]}",
                zh=f"effects.{effect.id}.filter {effect.filter!r} 无法计算：{str(error).splitlines()[0]}",
            ) from None
    return frame[kept["kept"].to_numpy(dtype=bool)].reset_index(drop=True)


def _check_rows(checks: tuple[Check, ...]) -> pd.DataFrame:
    rows = [
        {
            "contrast": check.contrast,
            "check": check.name,
            "status": check.status,
            "text_zh": check.text["zh"],
            "text_en": check.text["en"],
        }
        for check in checks
    ]
    return pd.DataFrame(rows, columns=CHECKS[1:])


def _stacked(frames: dict[str, pd.DataFrame], columns: list[str] | None = None) -> pd.DataFrame:
    filled = [frame.assign(effect=effect) for effect, frame in frames.items() if len(frame)]
    if not filled:
        return pd.DataFrame(columns=["effect", *(columns or [])])
    stacked = pd.concat(filled, ignore_index=True)
    return stacked[["effect", *(name for name in stacked if name != "effect")]]
