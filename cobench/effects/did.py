"""Difference in differences over terms: staggered exposures that last, and visits that come and go."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import pandas as pd
from scipy import stats

from cobench.effects.carry_over import carry_over_check, declared_in_words, declared_terms
from cobench.effects.checks import Check
from cobench.effects.did_averages import Fitted, gather, joint_test
from cobench.effects.did_cells import Cell, first_start_cells, switch_cells
from cobench.effects.did_checks import (
    controls_check,
    lagged_outcome_check,
    pre_trend_check,
    terms_of_controls,
)
from cobench.effects.did_fit import cluster_codes, fit_cell
from cobench.effects.did_panel import StudentTerms, absorbing, at_two_terms, complete_students, read_terms
from cobench.effects.did_tables import (
    AVERAGES,
    BANDS,
    Line,
    bands_of,
    group_label,
    lines,
    row_of_line,
    without_answer,
)
from cobench.effects.estimates import as_estimates
from cobench.effects.evidence import Evidence, evidence_of
from cobench.effects.reasons import not_estimable
from cobench.effects.sample import FLOW, add_step, check_known, levels_of
from cobench.errors import NotEstimableError, ParameterError

DRAWS = 9999
SEED = 20240901
CELLS = ["group", "before", "term", "base", "at", "kind", "n_exposed", "n_unexposed", "n_trimmed", "reason"]


@dataclass(frozen=True)
class DidDesign:
    """What is declared of one comparison over terms; the names are those of :func:`did`."""

    outcome: str
    treatment: str
    student: str
    term: str
    covariates: tuple[str, ...] = ()
    cluster: str | None = None
    controls: str = "not_yet"
    exposure: str = "absorbing"
    lasting: int | None = None
    anticipation: int = 0
    base: str = "varying"
    students: str = "each_pair"
    se_type: str | None = None
    role: str = "exploratory"
    assumption: str = ""
    n_draws: int = DRAWS
    seed: int = SEED


@dataclass(frozen=True)
class DidFit:
    """Everything about one comparison over terms.

    Attributes
    ----------
    level : str
    estimates : DataFrame
        As :func:`did` returns them.
    cells : DataFrame
        Columns :data:`CELLS`, one row a two-by-two comparison: whom it used, and why it could not be estimated.
    bands : DataFrame
        Columns :data:`cobench.effects.did_tables.BANDS`: simultaneous over all rows of an estimand.
    contributions : ndarray, (K, N)
        Influence of each student on each estimated cell (over n), students in the order of their content.
    checks : tuple of Check
        ``lagged_outcome``, ``pre_trend``, ``carry_over``, ``controls``.
    evidence : Evidence
    flow : DataFrame
        :data:`cobench.effects.sample.FLOW`, in students.
    """

    level: str
    estimates: pd.DataFrame
    cells: pd.DataFrame
    bands: pd.DataFrame
    contributions: np.ndarray
    checks: tuple[Check, ...]
    evidence: Evidence
    flow: pd.DataFrame

    def check(self, name: str) -> Check:
        """The check of this name."""
        return next(each for each in self.checks if each.name == name)


def did(
    frame: pd.DataFrame, outcome: str, treatment: str, student: str, term: str, **options: object
) -> pd.DataFrame:
    """Effects over terms by difference in differences; options as in :func:`fit_did`, which tells more.

    Returns
    -------
    DataFrame
        :data:`cobench.effects.estimates.COLUMNS`. ``group_time``: one row a group and term (``subgroup`` the group,
        ``term``, ``at`` the terms since its start). Averages: ``simple``; ``dynamic`` by ``at``, ``group`` by
        ``subgroup`` and ``calendar`` by ``term``, each with an overall row; ``carry_over``, where a limit was declared,
        is what an exposure does after it, which should be nothing. Intervals are pointwise.
    """
    fits = fit_did(frame, outcome, treatment, student, term, **options)
    return pd.concat([fit.estimates for fit in fits], ignore_index=True)


def fit_did(
    frame: pd.DataFrame,
    outcome: str,
    treatment: str,
    student: str,
    term: str,
    covariates: Sequence[str] = (),
    cluster: str | None = None,
    controls: str = "not_yet",
    exposure: str = "absorbing",
    carry_over: object = None,
    anticipation: int = 0,
    base: str = "varying",
    students: str = "each_pair",
    reference: object = None,
    se_type: str | None = None,
    role: str = "exploratory",
    assumption: str = "",
    n_draws: int = DRAWS,
    seed: int = SEED,
) -> tuple[DidFit, ...]:
    """Group-time effects, their averages, bands and tests; one fit a level of the treatment.

    Parameters
    ----------
    frame : DataFrame
        One row a student and term.
    covariates : sequence of str
        Of the base term; with them each comparison is doubly robust (Sant'Anna and Zhao 2020).
    cluster : str, optional
        Groups at or above the student that students don't leave; each student is their own without it.
    controls : {"not_yet", "never"}
        Students not exposed by the end of the comparison, or in no term at all.
    exposure : {"absorbing", "reversible"}
        Whether an exposure holds for ever. ``reversible``: a start is compared with students of the same history who
        stay unexposed in that term, and ``carry_over`` has to be declared.
    carry_over : {"none", "any"} or int
        Terms after its own in which an exposure still matters. ``any``: only first exposures are used, and effects
        are those of having started, whatever followed.
    anticipation : int
        Terms before the start in which outcomes may move already.
    base : {"varying", "universal"}
        Before the start: compared with the term before, or with the base term throughout.
    students : {"each_pair", "all_terms"}
        Each comparison uses the students measured in both of its terms, or only those measured in all terms.
    se_type : {"IF", "IF-CR2"}, optional
        Influence functions as they are (as R's did), or corrected for the leverage of clusters, by default with a
        cluster; Satterthwaite's df in both. Without a cluster they are as they are.
    role : {"exploratory", "robustness", "confirmatory"}
        Of the ``simple`` row. It is never confirmatory unless the check ``lagged_outcome`` passes.
    assumption : str
        Why trends would have been parallel; without it evidence is at most ``adjusted_association``.

    Raises
    ------
    ParameterError
        For an unknown word, or a reversible exposure without a declared carry-over.
    """
    check_known("controls", controls, ("not_yet", "never"))
    check_known("exposure", exposure, ("absorbing", "reversible"))
    check_known("base", base, ("varying", "universal"))
    check_known("students", students, ("each_pair", "all_terms"))
    check_known("role", role, ("exploratory", "robustness", "confirmatory"))
    check_known("se_type", se_type, (None, "IF", "IF-CR2") if cluster else (None, "IF"))
    check_known("anticipation", anticipation, range(100))
    if exposure == "absorbing" and carry_over is not None:
        raise ParameterError(
            en="carry_over is for exposure = reversible; an absorbing exposure holds for ever",
            zh="carry_over 只用于 exposure = reversible；absorbing 表示一经接受便一直持续",
        )
    design = DidDesign(
        outcome, treatment, student, term, tuple(covariates), cluster, controls, exposure,
        declared_terms(carry_over) if exposure == "reversible" else None, int(anticipation), base, students,
        se_type, role, assumption, n_draws, seed,
    )  # fmt: skip
    levels, lowest = levels_of(frame, treatment, reference)
    return tuple(_fit_level(frame, design, level, lowest) for level in levels)


def _fit_level(frame: pd.DataFrame, design: DidDesign, level: str, reference: str) -> DidFit:
    names = {"treatment": design.treatment, "level": level, "outcome": design.outcome}
    try:
        panel = _panel(frame, design, level, reference)
        cells = tuple(_cells(panel, design))
        return _fit_cells(panel, cells, design)
    except NotEstimableError as error:
        return _refused(names, error)
    except np.linalg.LinAlgError:
        return _refused(names, not_estimable("numerical", method="did"))


def _refused(names: dict[str, str], error: NotEstimableError) -> DidFit:
    rows = [without_answer(names, error.en, estimand=each) for each in AVERAGES]
    check = Check("estimable", "failed", text={"zh": error.zh, "en": error.en}, contrast=names["level"])
    return DidFit(
        names["level"], as_estimates(rows), pd.DataFrame(columns=CELLS), pd.DataFrame(columns=BANDS),
        np.zeros((0, 0)), (check,), evidence_of("did", status="not_estimable"), pd.DataFrame(columns=FLOW),
    )  # fmt: skip


def _panel(frame: pd.DataFrame, design: DidDesign, level: str, reference: str) -> StudentTerms:
    panel = read_terms(
        frame, outcome=design.outcome, treatment=design.treatment, student=design.student, term=design.term,
        level=level, reference=reference, covariates=design.covariates, cluster=design.cluster,
    )  # fmt: skip
    if design.lasting is None:
        panel = absorbing(panel, whole_history=design.exposure == "reversible")
    panel = at_two_terms(panel)
    if design.students == "all_terms":
        panel = complete_students(panel)
    if len(panel.y) == 0:
        raise not_estimable("no_rows", treatment=design.treatment, outcome=design.outcome)
    return panel


def _cells(panel: StudentTerms, design: DidDesign) -> list[Cell]:
    if design.lasting is None:
        found = list(first_start_cells(panel, design.controls, design.base, design.anticipation))
    else:
        found = list(switch_cells(panel, design.lasting, design.controls, design.anticipation))
    if not any(cell.kind == "effect" for cell in found):
        raise not_estimable("nobody_starts", treatment=panel.names["treatment"])
    return found


def _fit_cells(panel: StudentTerms, cells: tuple[Cell, ...], design: DidDesign) -> DidFit:
    clusters = cluster_codes(panel)
    without, having = terms_of_controls(panel, cells)
    no_controls = not_estimable(
        "no_controls_in_terms", treatment=panel.names["treatment"], terms=", ".join(without), others=", ".join(having) or "-"
    )  # fmt: skip
    fits, reasons = [], []
    for cell in cells:
        try:
            fits.append(fit_cell(panel, cell, bool(design.covariates), clusters))
            reasons.append("")
        except NotEstimableError as error:
            fits.append(None)
            reasons.append(no_controls.en if panel.terms[cell.term] in without else error.en)
    answered = [place for place, fit in enumerate(fits) if fit is not None]
    raw = design.cluster is None or design.se_type == "IF"
    if not any(cells[place].kind == "effect" for place in answered):
        first = next(place for place, cell in enumerate(cells) if cell.kind == "effect")
        raise no_controls if without else NotEstimableError(en=reasons[first], zh=reasons[first])
    fitted = gather([cells[p] for p in answered], [fits[p] for p in answered], clusters, panel.first, raw)
    told = [line for line in lines(fitted, panel, design.lasting) if line.average.std_error > 0]
    level = panel.names["level"]
    checks = (
        lagged_outcome_check(panel, design.lasting, design.anticipation, clusters, level),
        _pre_trend(told, fitted, panel, design),
        _carry_over(told, design, level),
        controls_check(panel.terms, without, having, level),
    )
    evidence = evidence_of("did", checks=checks, assumption=design.assumption)
    rows = _rows(told, fitted, panel, design, checks, evidence)
    rows += [
        without_answer(
            panel.names, reasons[place], estimand="group_time", subgroup=group_label(cell, panel),
            term=panel.terms[cell.term], at=cell.at,
        )
        for place, cell in enumerate(cells) if fits[place] is None
    ]  # fmt: skip
    used = np.logical_or.reduce([fit.exposed | fit.unexposed for fit in fitted.fits])
    flow = add_step(add_step(panel.flow, "not_compared", int(used.sum())), "analysed", int(used.sum()))
    return DidFit(
        level, as_estimates(rows), _cell_table(panel, cells, fits, reasons), bands_of(told, design.n_draws, design.seed),
        fitted.contributions, checks, evidence, flow,
    )  # fmt: skip


def _rows(
    told: list[Line],
    fitted: Fitted,
    panel: StudentTerms,
    design: DidDesign,
    checks: tuple[Check, ...],
    evidence: Evidence,
) -> list[dict]:
    lagged = next(check for check in checks if check.name == "lagged_outcome")
    allowed = design.role != "confirmatory" or lagged.status == "passed"
    known = np.isfinite(panel.y)
    first = panel.y[np.arange(len(panel.y)), known.argmax(axis=1)]
    spread = float(np.nanstd(first, ddof=1))
    rows = []
    for line in told:
        role = design.role if line.estimand == "simple" and allowed else "exploratory"
        rows.append({**row_of_line(line, fitted, panel, spread), "role": role, "evidence": evidence.evidence})
    return rows


def _pre_trend(told: list[Line], fitted: Fitted, panel: StudentTerms, design: DidDesign) -> Check:
    """Joint tests before the start: of the averages by event, which decides, and of all cells."""
    pre = np.array([cell.kind == "pre" for cell in fitted.cells])
    by_cell = _divergence(fitted, panel, design)
    tests = {}
    for estimand in ("dynamic", "group_time"):
        before = [
            line.average for line in told if line.estimand == estimand and pre[line.average.members].all()
        ]
        pattern = [
            np.average(by_cell[found.members], weights=fitted.sizes[found.members]) for found in before
        ]
        tests[estimand] = joint_test(before, np.array(pattern)) if before else None
    return pre_trend_check(tests, panel.names["level"])


def _divergence(fitted: Fitted, panel: StudentTerms, design: DidDesign) -> np.ndarray:
    """What a straight divergence of one a term between starters and their controls adds to each cell, (K,).

    Where controls start later themselves, each group can't diverge from all others alike: there its trend is straight in
    the term of its start, one a term on average over the effects' comparisons.
    """
    apart = np.array([panel.times[cell.term] - panel.times[cell.base] for cell in fitted.cells])
    if design.controls == "never" or design.lasting is not None:
        return apart
    later = np.array(
        [
            panel.first[fit.unexposed].mean() - cell.group
            for cell, fit in zip(fitted.cells, fitted.fits, strict=True)
        ]
    )
    effect = np.array([cell.kind == "effect" for cell in fitted.cells])
    return apart * later / np.average(later[effect], weights=fitted.sizes[effect])


def _carry_over(told: list[Line], design: DidDesign, level: str) -> Check:
    if design.lasting is None:
        absorbing_text = {"zh": "干预一经开始便一直持续", "en": "once exposed, always exposed"}
        said = absorbing_text if design.exposure == "absorbing" else declared_in_words(None)
        text = {
            "zh": f"声明：{said['zh']}；只比较首次接受者，无需检验。",
            "en": f"Declared: {said['en']}; only first exposures are compared, so nothing hangs on it.",
        }
        return Check("carry_over", "not_applicable", text=text, contrast=level)
    line = next((each for each in told if each.estimand == "carry_over"), None)
    if line is None:
        return carry_over_check(design.lasting, *[np.nan] * 5, level)
    found = line.average
    p = float(2 * stats.t.sf(abs(found.estimate) / found.std_error, found.df))
    return carry_over_check(design.lasting, line.at, found.estimate, found.std_error, found.df, p, level)


def _cell_table(panel: StudentTerms, cells: tuple[Cell, ...], fits: list, reasons: list[str]) -> pd.DataFrame:
    rows = [
        (
            panel.terms[cell.group], cell.before, panel.terms[cell.term], panel.terms[cell.base], cell.at, cell.kind,
            fit.n_exposed if fit else None, fit.n_unexposed if fit else None, fit.trimmed if fit else None, reason,
        )
        for cell, fit, reason in zip(cells, fits, reasons, strict=True)
    ]  # fmt: skip
    table = pd.DataFrame(rows, columns=CELLS)
    return table.astype(dict.fromkeys(["n_exposed", "n_unexposed", "n_trimmed"], "Int64"))
