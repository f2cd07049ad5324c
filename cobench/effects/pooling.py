"""Any estimator over completed data sets: Rubin's rules, complete cases beside them, and what if absence tells.

Rubin (1987): the estimate is the mean, its variance the mean of the variances plus ``1 + 1/m`` times the variance of
the estimates. Degrees of freedom are those of Barnard and Rubin (1999), in which the df of complete data is the row's
own (Satterthwaite's for CR2), so that few clusters stay few.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass

import numpy as np
import pandas as pd
from scipy import stats

from cobench.effects.estimates import COLUMNS, QUESTION, as_estimates
from cobench.effects.evidence import weakest
from cobench.effects.imputation import Imputed
from cobench.effects.reasons import not_estimable
from cobench.effects.sample import as_level, check_known, require_columns
from cobench.errors import ParameterError

Estimator = Callable[[pd.DataFrame], pd.DataFrame]
INFORMATION = [
    "estimate_id", "n_imputations", "within", "between", "total", "relative_increase", "share_missing_information",
    "df_complete", "df", "simulation_error",
]  # fmt: skip
KEY = tuple(name for name in QUESTION if name not in ("population", "estimand"))
ABSENT = ("absent",)
DELTAS = (-0.8, -0.6, -0.4, -0.2, 0.0, 0.2, 0.4, 0.6, 0.8)
CURVE = ["contrast", "delta", "estimate", "conf_low", "conf_high", "detected"]


@dataclass(frozen=True)
class Rubin:
    """One estimate pooled.

    Attributes
    ----------
    estimate, std_error, df : float
    within, between : float
        Mean of the variances, and variance of the estimates.
    relative_increase : float
        Of the variance, by what is missing: ``(1 + 1/m) between / within``.
    share_missing_information : float
        ``(r + 2 / (df + 3)) / (r + 1)``.
    df_complete : float
    """

    estimate: float
    std_error: float
    df: float
    within: float
    between: float
    relative_increase: float
    share_missing_information: float
    df_complete: float
    n_imputations: int


@dataclass(frozen=True)
class Pooled:
    """``estimates``: the frame of estimates; ``information``: columns :data:`INFORMATION`, one row an answered row."""

    estimates: pd.DataFrame
    information: pd.DataFrame


@dataclass(frozen=True)
class AbsenceSensitivity:
    """What the estimates would be if absent students were worse (or better) than those like them.

    Attributes
    ----------
    estimates : DataFrame
        Frame of estimates, ``at`` the shift in SD; one row a contrast and shift.
    curve : DataFrame
        Columns :data:`CURVE`.
    tipping_points : DataFrame
        ``contrast, delta, lost``: the shift nearest to zero at which the interval begins to hold zero (or ceases to),
        between grid points by straight lines; NaN where it happens at none of them.
    sd : float
        Of the outcome, in its units.
    """

    estimates: pd.DataFrame
    curve: pd.DataFrame
    tipping_points: pd.DataFrame
    sd: float


def rubin(estimates: np.ndarray, std_errors: np.ndarray, df_complete: float = np.inf) -> Rubin:
    """Pool estimates (m,) and their errors (m,) of one quantity.

    Without any variation between data sets the df stays that of complete data as Barnard and Rubin adjust it,
    ``df (df + 1) / (df + 3)``.
    """
    m = len(estimates)
    within, between = float(np.mean(np.square(std_errors))), float(np.var(estimates, ddof=1))
    extra = (1 + 1 / m) * between
    total = within + extra
    share = extra / total
    observed = (
        np.inf if np.isinf(df_complete) else (df_complete + 1) / (df_complete + 3) * df_complete * (1 - share)
    )
    old = (m - 1) / share**2 if share > 0 else np.inf
    df = 1 / (1 / old + 1 / observed) if min(old, observed) < np.inf else np.inf
    increase = extra / within
    information = (increase + (0 if np.isinf(df) else 2 / (df + 3))) / (1 + increase)
    return Rubin(
        float(np.mean(estimates)), float(np.sqrt(total)), float(df), within, between, float(increase),
        float(information), float(df_complete), m,
    )  # fmt: skip


def pool(
    frames: Imputed | Iterable[pd.DataFrame],
    estimator: Estimator,
    *,
    role: str | None = None,
    least: float = 1.0,
) -> pd.DataFrame:
    """Frame of estimates of ``estimator`` over completed data sets; see :func:`pooled_fit`."""
    return pooled_fit(frames, estimator, role=role, least=least).estimates


def pooled_fit(
    frames: Imputed | Iterable[pd.DataFrame],
    estimator: Estimator,
    *,
    role: str | None = None,
    least: float = 1.0,
) -> Pooled:
    """Pool every row that ``estimator`` returns.

    Parameters
    ----------
    frames : Imputed, or iterable of DataFrame
    estimator : callable
        From a frame to a frame of estimates, such as ``partial(aipw, outcome=..., cluster=...)``. Its seed has to be
        fixed; with a cluster its folds are then the same in all data sets, because they hang on cluster labels only,
        without one if ``aipw`` is told ``fold_by``.
    role : optional
        Written into all rows.
    least : float
        Share of the data sets in which a row has to be estimable. All by default: those that aren't are no random
        choice. ``se_type`` says how many were pooled.

    Returns
    -------
    Pooled
        ``population`` ends in ``imputed``; ``se_type`` reads ``MI(m=20) + CR2``; counts are medians and
        ``evidence`` is the weakest. Rows whose interval doesn't follow from their error (bootstrap, permutation)
        are refused.

    Raises
    ------
    ParameterError
        With fewer than two data sets, or rows that change from one to another.
    """
    if not 0 < least <= 1:
        raise ParameterError(
            en=f"pool: least = {least!r} must be above 0 and at most 1",
            zh=f"pool：least = {least!r} 必须大于 0 且不超过 1",
        )
    answers = [_checked(estimator(each)) for each in frames]
    if len(answers) < 2:
        raise ParameterError(en="pool: at least two data sets are needed", zh="pool：至少需要两个插补数据集")
    keys = [list(map(tuple, each[list(KEY)].astype("str").to_numpy())) for each in answers]
    if any(len(set(own)) < len(own) for own in keys) or any(set(own) != set(keys[0]) for own in keys):
        raise ParameterError(
            en="pool: the estimator's rows differ between the completed data sets; fix its levels, doses and groups",
            zh="pool：各插补数据集得到的估计行不一致；请固定水平、剂量与分组",
        )
    places = [{key: place for place, key in enumerate(own)} for own in keys]
    rows, information = [], []
    for key in keys[0]:
        same = [each.iloc[[at[key]]] for each, at in zip(answers, places, strict=True)]
        row, fit = _pooled_row(pd.concat(same, ignore_index=True), least)
        rows.append(row | ({"role": role} if role else {}))
        information.append(fit)
    estimates = as_estimates(rows)
    details = [
        (identity, fit.n_imputations, fit.within, fit.between, fit.std_error**2, fit.relative_increase,
         fit.share_missing_information, fit.df_complete, fit.df, np.sqrt(fit.between / fit.n_imputations))
        for identity, fit in zip(estimates["estimate_id"], information, strict=True)
        if fit is not None
    ]  # fmt: skip
    return Pooled(estimates, pd.DataFrame(details, columns=INFORMATION))


def _checked(estimates: pd.DataFrame) -> pd.DataFrame:
    """A frame of estimates; what an estimator of one's own returned is checked first."""
    if tuple(estimates.columns) == COLUMNS:
        return estimates
    return as_estimates(estimates.drop(columns="estimate_id", errors="ignore"))


def _pooled_row(rows: pd.DataFrame, least: float) -> tuple[dict, Rubin | None]:
    """One row from the same row of every data set."""
    first, m = rows.iloc[0], len(rows)
    answered = rows[rows["status"] == "ok"]
    population = max(rows["population"], key=len)
    row = {name: first[name] for name in QUESTION} | {
        "role": first["role"],
        "conf_level": first["conf_level"],
    }
    row["population"] = _named(population, "imputed")
    if len(answered) < max(2, least * m):
        refused = rows[rows["status"] != "ok"]
        why = refused["reason"].mode().iloc[0]
        text = why if refused["reason"].nunique() == 1 and answered.empty else None
        return _unanswered(
            row, text or not_estimable("some_imputations", method=first["method"], why=why).en
        ), None
    for what in ("estimand", "se_type"):
        if answered[what].nunique() > 1:
            return _unanswered(row, not_estimable("imputations_differ", what=what).en), None
    if not _by_student(answered):
        label = answered["se_type"].iloc[0]
        return _unanswered(row, not_estimable("no_t_interval", se_type=label).en), None
    df = answered["df"].fillna(np.inf)
    fit = rubin(
        answered["estimate"].to_numpy(), answered["std_error"].to_numpy(),
        float(1 / np.mean(1 / df)) if np.isfinite(df).any() else np.inf,
    )  # fmt: skip
    shown = answered.iloc[0]
    count = f"{len(answered)}" if len(answered) == m else f"{len(answered)} of {m}"
    kind = shown["se_type"] or "given error"
    medians = {
        name: _median(answered[name]) for name in ("n_obs", "n_treated", "n_clusters", "n_treated_clusters")
    }
    return row | medians | {
        "estimand": shown["estimand"], "estimate": fit.estimate, "std_error": fit.std_error,
        "df": fit.df if np.isfinite(fit.df) else np.nan, "effect_size": answered["effect_size"].mean(),
        "es_type": shown["es_type"], "ess": answered["ess"].mean(), "se_type": f"MI(m={count}) + {kind}", "status": "ok",
        "evidence": weakest(answered["evidence"]),
    }, fit  # fmt: skip


def _named(population: str, part: str) -> str:
    """``all:on_support`` and ``imputed`` become ``all:on_support, imputed``."""
    return f"{population}, {part}" if ":" in population else f"{population or 'all'}:{part}"


def _median(counts: pd.Series) -> int | None:
    known = counts.dropna()
    return None if known.empty else int(np.floor(known.astype("float64").median()))


def _by_student(rows: pd.DataFrame) -> bool:
    """Whether the intervals are the estimate plus and minus Student's t times the error."""
    numbers = rows[["estimate", "std_error", "conf_level", "conf_low", "conf_high"]].astype("float64")
    df = rows["df"].astype("float64").fillna(np.inf)
    half = stats.t.ppf(0.5 + numbers["conf_level"] / 2, df) * numbers["std_error"]
    far = np.maximum(
        (numbers["conf_high"] - numbers["estimate"] - half).abs(),
        (numbers["estimate"] - numbers["conf_low"] - half).abs(),
    )
    return bool((far <= 1e-6 * half).all())


def _unanswered(row: dict, reason: str) -> dict:
    return row | {"status": "not_estimable", "reason": reason, "evidence": "not_estimable"}


def complete_cases_beside(imputed: Imputed, estimator: Estimator) -> pd.DataFrame:
    """Rows of ``estimator`` on complete cases and on the completed data sets of the same population.

    ``population`` ends in ``complete_cases`` or ``imputed``; ``role`` is ``robustness``.
    """
    alone = estimator(imputed.frame)
    names = [_named(each, "complete_cases") for each in alone["population"]]
    alone = alone.drop(columns="estimate_id").assign(population=names, role="robustness")
    return as_estimates(pd.concat([alone, pool(imputed, estimator, role="robustness")], ignore_index=True))


def sensitivity_to_absence(
    imputed: Imputed,
    estimator: Estimator,
    outcome: str,
    deltas: Sequence[float] = DELTAS,
    *,
    reasons: Sequence[str] = ABSENT,
    treatment: str | None = None,
    levels: Sequence[object] = (),
    sd: float | None = None,
) -> AbsenceSensitivity:
    """Estimates if those absent (缺考) had outcomes ``delta`` SD above what students like them had.

    A pattern-mixture model (Rubin 1977; delta adjustment, van Buuren 2018 ch. 9.2): ``delta`` times the SD is added to
    the imputed outcomes before estimation; covariates keep the values imputed beside the unshifted outcome.

    Parameters
    ----------
    imputed : Imputed
        With ``outcome``, numeric, among its columns.
    reasons : sequence of str
        Only outcomes missing for these reasons are shifted; where no reasons are known, all are.
    treatment, levels : optional
        Only students at these levels are shifted. A shift of both arms alike moves the estimate by the difference in
        absence alone; one of a single arm is the worse case.
    sd : float, optional
        Reference SD; by default that of the observed outcomes.

    Raises
    ------
    ParameterError
        When the outcome wasn't imputed, isn't numeric, or nothing would be shifted.
    """
    check_known("outcome", outcome, [name for name in imputed.values if name not in imputed.labels])
    rows = imputed.rows[outcome]
    why = imputed.reasons[outcome].astype("str")
    moved = np.isin(why, list(reasons)) if (why != "").any() else np.ones(len(rows), dtype=bool)
    if treatment is not None and levels:
        require_columns(imputed.frame, [treatment])
        wanted = set(as_level(pd.Series(list(levels))))
        moved &= as_level(imputed.frame[treatment]).iloc[rows].isin(wanted).to_numpy(dtype=bool)
    if not moved.any():
        raise ParameterError(
            en=f"sensitivity_to_absence: no missing {outcome} has a reason among {', '.join(reasons)}",
            zh=f"sensitivity_to_absence：{outcome} 的缺失原因中没有 {'、'.join(reasons)}",
        )
    spread = float(imputed.frame[outcome].std()) if sd is None else sd
    parts = []
    for delta in deltas:
        shift = {outcome: delta * spread * moved}
        frames = (imputed.completed(each, shift) for each in range(len(imputed)))
        own = pool(frames, estimator, role="robustness")
        parts.append(own.assign(at=float(delta), estimate_id=""))
    estimates = as_estimates(pd.concat(parts, ignore_index=True))
    curve = _curve(estimates)
    points = [_tipping(own) for _, own in curve.groupby("contrast", sort=False)]
    return AbsenceSensitivity(
        estimates, curve, pd.DataFrame(points, columns=["contrast", "delta", "lost"]), spread
    )


def _curve(estimates: pd.DataFrame) -> pd.DataFrame:
    answered = estimates[estimates["status"] == "ok"]
    detected = (answered["conf_low"] > 0) | (answered["conf_high"] < 0)
    found = answered.assign(delta=answered["at"], detected=detected)[CURVE]
    return found.sort_values(["contrast", "delta"], ignore_index=True)


def _tipping(curve: pd.DataFrame) -> tuple[str, float, bool]:
    """Contrast, the shift nearest to zero at which detection changes, and whether it is lost there.

    A limit that crosses zero on the way from shift to shift does so in a straight line.
    """
    contrast, delta = curve["contrast"].iloc[0], curve["delta"].to_numpy()
    now = bool(curve["detected"].iloc[int(np.argmin(np.abs(delta)))])
    crossings = []
    for name in ("conf_low", "conf_high"):
        limit = curve[name].to_numpy()
        for at in np.flatnonzero(np.diff(limit > 0)):
            share = -limit[at] / (limit[at + 1] - limit[at])
            crossings.append(float(delta[at] + share * (delta[at + 1] - delta[at])))
    nearest = min(crossings, key=abs) if crossings else float("nan")
    return contrast, nearest, now
