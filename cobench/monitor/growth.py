"""Student growth percentiles: where a student's result stands among students with the same earlier results."""

from __future__ import annotations

import warnings
from collections.abc import Collection, Sequence

import numpy as np
import pandas as pd
from scipy import stats
from sklearn.preprocessing import SplineTransformer
from statsmodels.regression.quantile_regression import QuantReg
from statsmodels.tools.sm_exceptions import IterationLimitWarning

from cobench.effects.sample import require_columns
from cobench.errors import NotEstimableError
from cobench.monitor.value_added import (
    LEAST_GROUPS,
    LEAST_STUDENTS,
    NOT_ESTIMABLE,
    OK,
    because,
    usable_priors,
)

TAUS = np.arange(1, 50) / 50
LEAST_TO_FIT = 200
GROWTH = [
    "n_students", "n_left_out", "median", "conf_low", "conf_high", "status", "reason_en", "reason_zh",
]  # fmt: skip


def growth_percentiles(frame: pd.DataFrame, outcome: str, priors: Sequence[str]) -> pd.Series:
    """Percentile (1 to 99) of each row's outcome among rows with the same priors; missing where anything is missing.

    Conditional quantiles at every second percent are fitted by linear quantile regression on cubic splines of each
    prior (Betebenner 2009; four intervals between quartiles) and put in order where they cross (Chernozhukov,
    Fernandez-Val and Galichon 2010). Priors are taken as they are: their measurement error is *not* corrected, so students
    with high priors get somewhat high percentiles (:func:`cobench.monitor.value_added.fit_value_added` corrects it).

    Raises
    ------
    NotEstimableError
        With fewer than 200 complete rows, or a constant outcome or prior.
    """
    require_columns(frame, [outcome, *priors])
    found = pd.Series(np.nan, index=frame.index, dtype="float64")
    complete = frame[[outcome, *priors]].notna().all(axis=1).to_numpy()
    used = frame.loc[complete, [outcome, *priors]].astype(float)
    if len(used) < LEAST_TO_FIT:
        raise because("few_to_fit", least=LEAST_TO_FIT)
    for each in used:
        if used[each].nunique() == 1:
            raise because("constant", outcome=each)
    y = used[outcome].to_numpy()
    splines = SplineTransformer(n_knots=5, degree=3, knots="quantile", include_bias=False)
    basis = np.column_stack([np.ones(len(used)), splines.fit_transform(used[list(priors)].to_numpy())])
    fitted = np.sort(_quantiles(y, basis), axis=1)
    # Half of a tie counts as below, so that a mark many students share isn't taken for its top or bottom.
    below = (fitted < y[:, None]).mean(axis=1) + 0.5 * (fitted == y[:, None]).mean(axis=1)
    found[complete] = np.clip(100 * below, 1, 99)
    return found


def _quantiles(y: np.ndarray, basis: np.ndarray) -> np.ndarray:
    """Fitted quantiles (n, taus)."""
    model = QuantReg(y, basis)
    with warnings.catch_warnings():
        # Steps stop at a change below 1e-6 of a coefficient or cycle among fits that are equally good.
        warnings.simplefilter("ignore", IterationLimitWarning)
        return np.column_stack([basis @ model.fit(q=tau, max_iter=300).params for tau in TAUS])


def growth_by_group(
    frame: pd.DataFrame,
    outcome: str,
    priors: Sequence[str],
    *,
    common: Collection[str],
    cluster: str = "school",
    least_students: int = LEAST_STUDENTS,
) -> pd.DataFrame:
    """Median growth percentile of every school, with a 95 % interval.

    The interval is that of a median by order statistics, without any assumption on how percentiles are distributed
    within a school (:func:`scipy.stats.quantile_test`); it takes students of a school for independent and the fitted quantiles
    for known. It is of one school by itself: of many schools some lie off 50 by chance, so no verdict is given.

    Returns
    -------
    DataFrame
        ``cluster`` and :data:`GROWTH`, a row a school.
    """
    require_columns(frame, [outcome, *priors, cluster])
    kept = usable_priors(frame, priors, common)
    known = frame[frame[cluster].notna()]
    done = known[[outcome, *kept]].notna().all(axis=1)
    counts = done.groupby(known[cluster], sort=True).agg(["sum", "size"])
    rows = pd.DataFrame({"n_students": counts["sum"], "n_left_out": counts["size"] - counts["sum"]})
    rows = rows.assign(
        median=np.nan, conf_low=np.nan, conf_high=np.nan, status=OK, reason_en="", reason_zh=""
    )
    try:
        if outcome not in common:
            raise because("not_common", outcome=outcome)
        if not kept:
            raise because("no_common_prior")
        if (rows["n_students"] >= least_students).sum() < LEAST_GROUPS:
            raise because("few_groups", cluster=cluster, least=LEAST_GROUPS)
        percentiles = growth_percentiles(known, outcome, kept)
    except NotEstimableError as error:
        return _refused(rows, rows.index, error).reset_index()
    for label, own in percentiles[done].groupby(known.loc[done, cluster]):
        if len(own) >= least_students:
            interval = stats.quantile_test(own.to_numpy(), q=50, p=0.5).confidence_interval(0.95)
            rows.loc[label, ["median", "conf_low", "conf_high"]] = own.median(), interval.low, interval.high
    small = rows.index[rows["n_students"] < least_students]
    return _refused(rows, small, because("few_students", least=least_students)).reset_index()


def _refused(rows: pd.DataFrame, which: pd.Index, error: NotEstimableError) -> pd.DataFrame:
    found = rows.copy()
    for name, value in {"status": NOT_ESTIMABLE, "reason_en": error.en, "reason_zh": error.zh}.items():
        found.loc[which, name] = value
    return found
