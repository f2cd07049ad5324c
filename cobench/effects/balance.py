"""Baseline balance before and after weighting, overlap of propensity scores, effective sample size."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import pandas as pd

from cobench.effects.effect_sizes import baseline_verdict, cox_index, hedges_correction, pooled_sd
from cobench.effects.sample import Covariates, code_covariates, levels_of, take_rows
from cobench.errors import ParameterError

BALANCE = [
    "covariate", "kind", "mean_treated", "mean_control", "mean_treated_after", "mean_control_after", "smd_before",
    "smd_after", "g_before", "g_after", "wwc_before", "wwc_after",
]  # fmt: skip
OVERLAP = ["arm", "low", "high", "n", "density"]
BIN = 0.05


def balance_table(
    frame: pd.DataFrame,
    treatment: str,
    covariates: Sequence[str],
    weights: str | np.ndarray | None = None,
    estimand: str = "ATT",
    reference: object = None,
    level: object = None,
) -> pd.DataFrame:
    """How the arms differ at baseline, before and after weighting.

    Parameters
    ----------
    frame : DataFrame
        Rows with a missing exposure or covariate are left out.
    weights : str or ndarray, (len(frame),), optional
        Column or array of weights of both arms; without them "after" equals "before".
    estimand : {"ATT", "ATE"}
        Denominator of the standardised difference: SD of the treated (ATT), or root of the mean of both
        variances (ATE). Always unweighted. Two-valued covariates keep their raw difference.

    Returns
    -------
    DataFrame
        Columns :data:`BALANCE`, one row a coded covariate (a category has a row a level but the first).
        ``kind``: ``smd`` or ``raw_difference``. ``g``: Hedges' g with the pooled SD, or Cox's index for
        two-valued covariates, both with the small-sample factor, which the WWC verdicts (``satisfied``,
        ``needs_adjustment``, ``fails``) judge.
    """
    if estimand not in ("ATT", "ATE"):
        raise ParameterError(
            en=f"estimand must be ATT or ATE, not {estimand!r}",
            zh=f"estimand 必须为 ATT 或 ATE，而不是 {estimand!r}",
        )
    levels, base = levels_of(frame, treatment, reference)
    treated = str(level) if level is not None else levels[0]
    given = frame[weights].to_numpy("float64") if isinstance(weights, str) else weights
    keep, d = take_rows(frame, treatment, treated, base, covariates)
    coded = code_covariates(frame[keep], covariates)
    return balance_of(coded, d, None if given is None else np.asarray(given, dtype="float64")[keep], estimand)


def balance_of(
    covariates: Covariates, d: np.ndarray, weights: np.ndarray | None, estimand: str
) -> pd.DataFrame:
    """:func:`balance_table` on coded covariates, ``d`` (n,) and ``weights`` (n,)."""
    w = np.ones(len(d)) if weights is None else weights
    rows = [
        _covariate_row(name, column, d == 1, w, estimand)
        for name, column in zip(covariates.names, covariates.x.T, strict=True)
    ]
    return pd.DataFrame(rows, columns=BALANCE)


def overlap_table(propensity: np.ndarray, d: np.ndarray, width: float = BIN) -> pd.DataFrame:
    """Histogram of propensity scores by arm: counts only, no row a student.

    Returns
    -------
    DataFrame
        Columns :data:`OVERLAP`; ``arm`` is ``treated`` or ``comparison``.
    """
    edges = np.round(np.linspace(0, 1, round(1 / width) + 1), 10)
    parts = []
    for arm, inside in (("treated", d == 1), ("comparison", d == 0)):
        counts = np.histogram(propensity[inside], edges)[0]
        density = counts / (max(counts.sum(), 1) * np.diff(edges))
        parts.append(
            pd.DataFrame({"arm": arm, "low": edges[:-1], "high": edges[1:], "n": counts, "density": density})
        )
    return pd.concat(parts, ignore_index=True)[OVERLAP]


def effective_sample_size(weights: np.ndarray) -> float:
    """Kish's effective sample size ``(sum w)^2 / sum w^2`` of one arm."""
    weights = np.asarray(weights, dtype="float64")
    return float(weights.sum() ** 2 / np.sum(weights**2))


def _covariate_row(
    name: str, x: np.ndarray, treated: np.ndarray, w: np.ndarray, estimand: str
) -> dict[str, object]:
    binary = bool(np.isin(x, np.unique(x)[:2]).all())
    a, b = x[treated], x[~treated]
    before = (a.mean(), b.mean())
    after = (np.average(a, weights=w[treated]), np.average(b, weights=w[~treated]))
    spread = 1.0 if binary else _denominator(a, b, estimand)
    sizes = [_effect_size(a, b, means, binary, x) for means in (before, after)]
    return {
        "covariate": name,
        "kind": "raw_difference" if binary else "smd",
        "mean_treated": before[0],
        "mean_control": before[1],
        "mean_treated_after": after[0],
        "mean_control_after": after[1],
        "smd_before": _ratio(before[0] - before[1], spread),
        "smd_after": _ratio(after[0] - after[1], spread),
        "g_before": sizes[0],
        "g_after": sizes[1],
        "wwc_before": baseline_verdict(sizes[0]),
        "wwc_after": baseline_verdict(sizes[1]),
    }


def _denominator(a: np.ndarray, b: np.ndarray, estimand: str) -> float:
    if estimand == "ATT":
        return float(a.std(ddof=1))
    return float(np.sqrt((a.var(ddof=1) + b.var(ddof=1)) / 2))


def _effect_size(
    a: np.ndarray, b: np.ndarray, means: tuple[float, float], binary: bool, x: np.ndarray
) -> float:
    n = len(a) + len(b)
    if binary:
        low, high = x.min(), x.max()
        shares = [(mean - low) / (high - low) if high > low else 0.0 for mean in means]
        if abs(shares[0] - shares[1]) < 1e-12:
            return 0.0
        return cox_index(*shares, n=n)
    return _ratio(means[0] - means[1], pooled_sd(a, b)) * hedges_correction(n)


def _ratio(difference: float, spread: float) -> float:
    if spread > 0:
        return float(difference / spread)
    return 0.0 if abs(difference) < 1e-12 else float("nan")
