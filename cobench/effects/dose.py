"""How much goes with how much: visits, minutes, lectures attended, against none at all.

One regression holds a curve of each dose (steps, a line, or a restricted cubic spline; Harrell 2015, ch. 2.4),
covariates and fixed effects. With student and term effects on a frame long over terms, the curve is of each student's
own changes, so that exposure may start at different terms; what was done in earlier terms is then assumed to be over,
unless it is a covariate.

The curve ends where students do: no point beyond the dose that one in twenty of the exposed reached.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass

import numpy as np
import pandas as pd
from scipy import stats

from cobench.effects.adjust import effect_columns, standardised
from cobench.effects.answers import check_clusters
from cobench.effects.dose_shapes import Shape, choose_shape
from cobench.effects.effect_sizes import hedges_correction, pooled_sd
from cobench.effects.estimates import as_estimates
from cobench.effects.evidence import evidence_of
from cobench.effects.exposure import mostly_between
from cobench.effects.inference import OlsFit, dense_codes, fit_ols
from cobench.effects.joint import (
    DRAWS,
    SEED,
    Combinations,
    absorbed,
    as_normal,
    combine,
    joint_test,
    multiplier_draws,
    simultaneous,
)
from cobench.effects.reasons import not_estimable
from cobench.effects.sample import Sample, as_number, check_known, require_columns, take_sample
from cobench.errors import NotEstimableError

SHAPES = (None, "bins", "linear", "spline")
LEAST_SHARE = 0.05
LEVEL = 0.95
CURVE = [
    "dose", "contrast", "at", "estimate", "std_error", "df", "conf_low", "conf_high", "band_low", "band_high",
]  # fmt: skip
TESTS = ["test", "dose", "statistic", "df_num", "df_denom", "p_value"]
SUPPORT = [
    "dose", "shape", "share_none", "median_of_exposed", "highest", "highest_supported", "share_left_to_explain",
]  # fmt: skip
SOME = "some"


@dataclass(frozen=True)
class DoseFit:
    """Dose-response of one model.

    Attributes
    ----------
    estimates : DataFrame
        Frame of estimates: each dose against none (``at`` is the dose), then each against the one before it.
        Confidence limits are pointwise.
    curve, steps : DataFrame
        Columns :data:`CURVE`: doses against none, and against the one before (what more adds), with pointwise limits
        and bands that hold together over all doses of the model.
    tests : DataFrame
        Columns :data:`TESTS`. ``any``: no dose differs from none. ``linearity``: the curve is a line through none.
        ``never_falls``, ``never_rises``: no step goes down (up). With several kinds: ``any`` of all and
        ``kinds_equal``, that one contact does as much in each kind.
    support : DataFrame
        Columns :data:`SUPPORT`; the last is the share of the variance of the dose that covariates and fixed effects
        leave.
    knots : dict of str to tuple
        Knots of a spline, or lower edges of the steps.
    """

    estimates: pd.DataFrame
    curve: pd.DataFrame
    steps: pd.DataFrame
    tests: pd.DataFrame
    support: pd.DataFrame
    knots: dict[str, tuple[float, ...]]


def dose_response(
    frame: pd.DataFrame,
    outcome: str,
    treatment: str | Sequence[str],
    covariates: Sequence[str] = (),
    fixed_effects: Sequence[str] = (),
    cluster: str | None = None,
    **options: object,
) -> pd.DataFrame:
    """The frame of estimates of :func:`fit_dose`; a reason instead where nothing can be estimated."""
    try:
        return fit_dose(frame, outcome, treatment, covariates, fixed_effects, cluster, **options).estimates
    except NotEstimableError as error:
        reason = error.en
    except np.linalg.LinAlgError:
        reason = not_estimable("numerical", method="dose").en
    names = [treatment] if isinstance(treatment, str) else list(treatment)
    return as_estimates([_unanswered(name, outcome, "dose", np.nan, reason) for name in names])


def fit_dose(
    frame: pd.DataFrame,
    outcome: str,
    treatment: str | Sequence[str],
    covariates: Sequence[str] = (),
    fixed_effects: Sequence[str] = (),
    cluster: str | None = None,
    *,
    shape: str | None = None,
    edges: Sequence[float] | None = None,
    knots: Sequence[float] | int | None = None,
    at: Sequence[float] | None = None,
    least_share: float = LEAST_SHARE,
    level: float = LEVEL,
    n_draws: int = DRAWS,
    seed: int = SEED,
) -> DoseFit:
    """Outcome by dose.

    Parameters
    ----------
    treatment : str or sequence of str
        Column of doses (0 is none), or several: kinds of exposure (home, phone, WeChat) that share one model, each
        given the others.
    fixed_effects : sequence of str, or of tuples of str
        As in :func:`cobench.effects.regress`; ``["student", "term"]`` on a frame long over terms.
    cluster : str, optional
        CR2 with Satterthwaite df; across terms a group that survives re-classing. Without it HC2.
    shape : {"bins", "linear", "spline"}, optional
        Steps for counts with few values and a spline else, by default.
    edges : sequence of float, optional
        Lower edges of the steps, the first above 0; the last step has no upper end.
    knots : sequence of float or int, optional
        Knots of the spline, or how many (3 to 7) at Harrell's quantiles of the doses above 0; 4 by default.
    at : sequence of float, optional
        Doses of the curve; by default whole numbers or twelve even ones, up to the support.
    least_share : float
        Share of the exposed that must have reached a dose for it to be shown.
    level : float
    n_draws, seed
        Of the multiplier bootstrap by cluster behind the bands.

    Raises
    ------
    NotEstimableError
    """
    check_known("shape", shape, SHAPES)
    names = [treatment] if isinstance(treatment, str) else list(treatment)
    sample = take_dose_sample(frame, outcome, names, covariates, fixed_effects, cluster)
    check_clusters(sample)
    groups = None if sample.cluster is None else dense_codes(sample.cluster)
    shapes = [
        choose_shape(name, dose, groups, shape, edges, knots, at, least_share)
        for name, dose in zip(names, sample.extra.T, strict=True)
    ]
    model = _fit(sample, shapes, groups)
    points, steps = _contrasts(model, shapes)
    found = combine(model.lean, model.directions([each.pair for each in points]), groups)
    moves = combine(model.lean, model.directions([each.pair for each in steps]), groups)
    _check_errors(found, sample)
    curve = _curve(points, found, level, n_draws, seed)
    climb = _curve(steps, moves, level, n_draws, seed)
    between = sample.cluster is not None and mostly_between(sample)
    adjusted = bool(covariates or fixed_effects)
    grade = evidence_of("dose", between=between, adjusted=adjusted).evidence
    rows = _rows(sample, shapes, [curve, climb], grade, cluster, level)
    rows += [
        _unanswered(each.name, outcome, each.contrast(point), point, each.beyond_reason)
        for each in shapes
        for point in each.beyond
    ]
    return DoseFit(
        estimates=as_estimates(rows),
        curve=curve,
        steps=climb,
        tests=_tests(model, shapes, steps, moves, groups, n_draws, seed),
        support=_support(model, sample, shapes),
        knots={each.name: each.places for each in shapes},
    )


def take_dose_sample(
    frame: pd.DataFrame,
    outcome: str,
    names: Sequence[str],
    covariates: Sequence[str],
    fixed_effects: Sequence[str],
    cluster: str | None,
) -> Sample:
    """Complete rows with the doses as columns of ``extra``; ``d`` is one where any dose is above zero.

    Raises
    ------
    NotEstimableError
        For text, infinite or negative doses, or where nobody or everybody has some.
    """
    require_columns(frame, [outcome, *names])
    for name in names:
        values = as_number(frame[name].dropna())
        if (values < 0).any():
            raise not_estimable("dose_negative", column=name)
    doses = pd.DataFrame({name: frame[name].astype("float64") for name in names})
    some = (doses > 0).any(axis=1).map({True: SOME, False: "none"}).where(doses.notna().all(axis=1))
    label = " + ".join(names)
    own = {f"\0{name}": doses[name] for name in names}
    work, cells, dummies = effect_columns(frame.assign(**own), fixed_effects)
    return take_sample(
        work.assign(**{label: some}), outcome=outcome, treatment=label, level=SOME, reference="none",
        covariates=[*covariates, *dummies], within=cells, cluster=cluster, extra=list(own),
    )  # fmt: skip


@dataclass(frozen=True)
class _Model:
    """The fit, the same without nested cells for its errors, and the places of each dose among the kept columns."""

    fit: OlsFit
    lean: OlsFit
    places: dict[str, np.ndarray]
    scales: dict[str, np.ndarray]

    def direction(self, name: str, values: np.ndarray) -> np.ndarray:
        """Vector (k,) of a combination ``values`` (q,) of the basis of one dose."""
        found = np.zeros(len(self.fit.kept))
        kept = self.places[name] >= 0
        found[self.places[name][kept]] = (values / self.scales[name])[kept]
        return found

    def directions(self, pairs: Sequence[tuple[str, np.ndarray]]) -> np.ndarray:
        return np.column_stack([self.direction(name, values) for name, values in pairs])


@dataclass(frozen=True)
class _Point:
    """A dose against another: ``values`` is the difference of their bases."""

    name: str
    contrast: str
    at: float
    values: np.ndarray

    @property
    def pair(self) -> tuple[str, np.ndarray]:
        return self.name, self.values


def _fit(sample: Sample, shapes: Sequence[Shape], groups: np.ndarray | None) -> _Model:
    """Least squares with covariates first and the curves last.

    Raises
    ------
    NotEstimableError
        Where a dose doesn't vary enough given the rest.
    """
    before = standardised(sample.covariates.x)
    blocks = [each.basis(dose) for each, dose in zip(shapes, sample.extra.T, strict=True)]
    scales = [np.where(block.std(axis=0) > 0, block.std(axis=0), 1.0) for block in blocks]
    parts = [block / scale for block, scale in zip(blocks, scales, strict=True)]
    fit = fit_ols(sample.y, np.column_stack([before, *parts]), sample.cell)
    if fit.dof_resid < 1:
        raise not_estimable("perfect_fit", outcome=sample.outcome)
    places, start = {}, before.shape[1]
    for each, block in zip(shapes, blocks, strict=True):
        found = [fit.position(start + column) for column in range(block.shape[1])]
        if None in found:
            within = sample.names["within"] or "the sample"
            raise not_estimable("no_variation_within", within=within, treatment=each.name)
        places[each.name] = np.array(found)
        start += block.shape[1]
    named = {each.name: scale for each, scale in zip(shapes, scales, strict=True)}
    return _Model(fit, absorbed(fit, groups), places, named)


def _contrasts(model: _Model, shapes: Sequence[Shape]) -> tuple[list[_Point], list[_Point]]:
    """Each dose against none, and each against the one before."""
    points, steps = [], []
    for each in shapes:
        none = each.basis(np.zeros(1))[0]
        values = each.basis(np.array(each.at))
        for place, dose in enumerate(each.at):
            points.append(_Point(each.name, each.contrast(dose), dose, values[place] - none))
            before = none if place == 0 else values[place - 1]
            contrast = each.contrast(dose, each.at[place - 1] if place else 0.0)
            steps.append(_Point(each.name, contrast, dose, values[place] - before))
    return points, steps


def _check_errors(found: Combinations, sample: Sample) -> None:
    if not np.isfinite(found.std_errors).all() or found.std_errors.min() <= 1e-10 * float(np.std(sample.y)):
        raise not_estimable("perfect_fit", outcome=sample.outcome)


def _curve(
    points: Sequence[_Point], found: Combinations, level: float, n_draws: int, seed: int
) -> pd.DataFrame:
    half = stats.t.ppf((1 + level) / 2, found.df) * found.std_errors
    band = simultaneous(found, level, n_draws, seed) * found.std_errors
    table = {
        "dose": [each.name for each in points], "contrast": [each.contrast for each in points],
        "at": [each.at for each in points], "estimate": found.estimates, "std_error": found.std_errors, "df": found.df,
        "conf_low": found.estimates - half, "conf_high": found.estimates + half,
        "band_low": found.estimates - band, "band_high": found.estimates + band,
    }  # fmt: skip
    return pd.DataFrame(table)[CURVE]


def _rows(
    sample: Sample,
    shapes: Sequence[Shape],
    curves: Sequence[pd.DataFrame],
    grade: str,
    cluster: str | None,
    level: float,
) -> list[dict]:
    """Rows of the frame of estimates; a first step is a dose against none and isn't repeated."""
    treated = sample.d == 1
    spread = pooled_sd(sample.y[treated], sample.y[~treated])
    factor = hedges_correction(len(sample.y)) / spread if spread > 0 else np.nan
    codes = sample.cluster
    rows, seen = [], set()
    exposed = {each.name: dose > 0 for each, dose in zip(shapes, sample.extra.T, strict=True)}
    for curve in curves:
        for each in curve.drop(columns=["band_low", "band_high"]).to_dict("records"):
            name = each.pop("dose")
            if (name, each["contrast"]) in seen:
                continue
            seen.add((name, each["contrast"]))
            own = exposed[name]
            rows.append(
                each | {
                    "population": "all", "treatment": name, "outcome": sample.outcome, "estimand": "dose_response",
                    "method": "dose", "conf_level": level, "effect_size": each["estimate"] * factor,
                    "es_type": "hedges_g (pooled SD of the two arms)", "n_obs": len(sample.y),
                    "n_treated": int(own.sum()), "n_clusters": None if codes is None else len(np.unique(codes)),
                    "n_treated_clusters": None if codes is None else len(np.unique(codes[own])),
                    "se_type": "CR2" if cluster else "HC2", "evidence": grade,
                }
            )  # fmt: skip
    return rows


def _unanswered(name: str, outcome: str, contrast: str, at: float, reason: str) -> dict:
    return {
        "treatment": name, "contrast": contrast, "at": at, "outcome": outcome, "estimand": "dose_response",
        "method": "dose", "status": "not_estimable", "reason": reason, "evidence": "not_estimable",
    }  # fmt: skip


def _tests(
    model: _Model,
    shapes: Sequence[Shape],
    steps: Sequence[_Point],
    moves: Combinations,
    groups: np.ndarray | None,
    n_draws: int,
    seed: int,
) -> pd.DataFrame:
    rows = []

    def add(test: str, dose: str, pairs: Callable[[], Sequence[tuple[str, np.ndarray]]]) -> None:
        try:
            own = joint_test(model.lean, model.directions(pairs()), groups)
        except NotEstimableError:
            rows.append((test, dose, *[np.nan] * 4))
            return
        rows.append((test, dose, own.statistic, own.df_num, own.df_denom, own.p_value))

    draws = multiplier_draws(moves, n_draws, seed)
    ratios = as_normal(moves)
    for each in shapes:
        add("any", each.name, lambda each=each: [(each.name, row) for row in np.eye(each.n_columns)])
        curved = each.curvature()
        if len(curved):
            add("linearity", each.name, lambda each=each, curved=curved: [(each.name, row) for row in curved])
        own = np.array([point.name == each.name for point in steps])
        for test, sign in (("never_falls", -1.0), ("never_rises", 1.0)):
            statistic = float((sign * ratios[own]).max())
            p = (1 + np.sum((sign * draws[:, own]).max(axis=1) >= statistic)) / (n_draws + 1)
            rows.append((test, each.name, statistic, np.nan, np.nan, float(p)))
    if len(shapes) > 1:
        every = [(each.name, row) for each in shapes for row in np.eye(each.n_columns)]
        add("any", "all kinds", lambda: every)
        rows.append(_kinds_equal(model, shapes, groups))
    return pd.DataFrame(rows, columns=TESTS)


def _kinds_equal(model: _Model, shapes: Sequence[Shape], groups: np.ndarray | None) -> tuple:
    """Whether the first dose that all kinds share does the same in each."""
    common = sorted(set.intersection(*(set(each.at) for each in shapes)))
    label = "kinds_equal"
    if not common:
        return (label, "all kinds", *[np.nan] * 4)
    pairs = [(each.name, (each.basis(np.array(common[:1])) - each.basis(np.zeros(1)))[0]) for each in shapes]
    whole = model.directions(pairs)
    try:
        own = joint_test(model.lean, whole[:, 1:] - whole[:, :1], groups)
    except NotEstimableError:
        return (label, "all kinds", *[np.nan] * 4)
    return (label, f"all kinds at {common[0]:g}", own.statistic, own.df_num, own.df_denom, own.p_value)


def _support(model: _Model, sample: Sample, shapes: Sequence[Shape]) -> pd.DataFrame:
    rows = []
    for each, dose in zip(shapes, sample.extra.T, strict=True):
        left = fit_ols(dose, standardised(sample.covariates.x), sample.cell).residuals
        share = float(left @ left / np.sum((dose - dose.mean()) ** 2))
        some = dose[dose > 0]
        rows.append(
            (each.name, each.kind, float(np.mean(dose == 0)), float(np.median(some)), float(some.max()), each.highest, share)
        )  # fmt: skip
    return pd.DataFrame(rows, columns=SUPPORT)
