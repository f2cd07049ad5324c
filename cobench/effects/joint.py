"""Several linear combinations of one regression together: pointwise and simultaneous intervals, joint tests."""

from __future__ import annotations

from dataclasses import dataclass, replace

import numpy as np
from scipy import stats

from cobench.effects.inference import AdjustedScores, OlsFit, adjusted_scores, leverage
from cobench.effects.reasons import not_estimable

DRAWS, SEED = 4999, 20240901
MOST_CLUSTERS = 1500


@dataclass(frozen=True)
class Combinations:
    """Estimates of q combinations.

    Attributes
    ----------
    estimates, std_errors, df : ndarray, (q,)
        CR2 and Satterthwaite (above 1,500 clusters: clusters less one); without clusters HC2 and residual.
    scores : ndarray, (q, G)
        Contribution of each cluster (row without clusters).
    """

    estimates: np.ndarray
    std_errors: np.ndarray
    df: np.ndarray
    scores: np.ndarray


@dataclass(frozen=True)
class JointTest:
    """An F test: ``statistic`` on ``df_num`` and ``df_denom`` degrees of freedom."""

    statistic: float
    df_num: float
    df_denom: float
    p_value: float


def absorbed(fit: OlsFit, cluster: np.ndarray | None) -> OlsFit:
    """``fit`` without its cells where these lie within clusters: the same scores and df with far smaller matrices.

    Sweeping out fixed effects that are nested in clusters changes neither CR2 nor its df, if the fit has no weights
    (Pustejovsky and Tipton 2018, theorem 2).
    """
    if cluster is None or len(fit.mass) == 1:
        return fit
    cells = np.zeros(len(fit.mass), dtype=int)
    cells[fit.cell] = cluster
    if np.any(cells[fit.cell] != cluster) or np.ptp(fit.root) > 0:
        return fit
    n, k = fit.centred.shape
    return replace(
        fit,
        z=fit.centred,
        root=np.zeros(n),
        cell=np.zeros(n, dtype=int),
        mass=np.ones(1),
        means=np.zeros((1, k)),
    )


def combine(fit: OlsFit, directions: np.ndarray, cluster: np.ndarray | None) -> Combinations:
    """Combinations ``directions`` (k, q) of the kept coefficients, clusters obeyed."""
    if cluster is None:
        scores = _row_scores(fit, directions)
        df = np.full(directions.shape[1], float(fit.dof_resid))
        return Combinations(directions.T @ fit.coefficients, np.sqrt(np.sum(scores**2, axis=1)), df, scores)
    found = adjusted_scores(fit, directions, cluster)
    groups = found.scores.shape[1]
    df = np.full(directions.shape[1], groups - 1.0)
    if groups <= MOST_CLUSTERS:
        for place in range(directions.shape[1]):
            p = found.covariance(place, place)
            df[place] = np.trace(p) ** 2 / np.sum(p * p)
    errors = np.sqrt(np.sum(found.scores**2, axis=1))
    return Combinations(directions.T @ fit.coefficients, errors, df, found.scores)


def multiplier_draws(found: Combinations, n_draws: int = DRAWS, seed: int = SEED) -> np.ndarray:
    """Draws (B, q), each column standard normal, if all combinations were zero: normal multipliers by cluster."""
    draw = np.random.default_rng(seed)
    multipliers = draw.standard_normal((n_draws, found.scores.shape[1]))
    return multipliers @ (found.scores / found.std_errors[:, None]).T


def simultaneous(found: Combinations, level: float, n_draws: int = DRAWS, seed: int = SEED) -> np.ndarray:
    """Factors (q,) of the errors that make all intervals hold together at ``level``; never below pointwise ones.

    The level that each interval needs is found among normal draws and then taken from Student's t with its own df, so
    that doses which few clusters reached get the width they need.
    """
    highest = np.quantile(np.abs(multiplier_draws(found, n_draws, seed)).max(axis=1), level, method="weibull")
    each = max(1 - 2 * stats.norm.sf(highest), level)
    return stats.t.ppf((1 + each) / 2, found.df)


def as_normal(found: Combinations) -> np.ndarray:
    """The t statistics (q,) as standard normal ones with the same p-values."""
    t = found.estimates / found.std_errors
    return -np.sign(t) * stats.norm.ppf(np.maximum(stats.t.sf(np.abs(t), found.df), 1e-300))


def joint_test(fit: OlsFit, directions: np.ndarray, cluster: np.ndarray | None) -> JointTest:
    """Whether all combinations ``directions`` (k, q) are zero.

    Approximate Hotelling's T-squared (HTZ; Pustejovsky and Tipton 2018, section 4): ``F = (eta - q + 1) / (eta q) Q``
    on q and ``eta - q + 1`` df, ``eta = q (q + 1) / sum Var(D_st)``; without clusters eta is the residual df.

    Raises
    ------
    NotEstimableError
        With too few clusters to test so many at once.
    """
    q = directions.shape[1]
    values, vectors = np.linalg.eigh(directions.T @ fit.bread @ directions)
    turned = directions @ (vectors / np.sqrt(values))
    estimates = turned.T @ fit.coefficients
    if cluster is None:
        scores, eta = _row_scores(fit, turned), float(fit.dof_resid)
    else:
        found = adjusted_scores(fit, turned, cluster)
        scores, eta = found.scores, _eta(found)
    covariance = scores @ scores.T
    if eta <= q - 1 or np.linalg.matrix_rank(covariance) < q:
        raise not_estimable("few_df")
    quadratic = float(estimates @ np.linalg.solve(covariance, estimates))
    statistic, denominator = (eta - q + 1) / (eta * q) * quadratic, eta - q + 1
    p = float(stats.f.sf(statistic, q, denominator))
    return JointTest(float(statistic), float(q), float(denominator), p)


def _eta(found: AdjustedScores) -> float:
    """Degrees of freedom of Hotelling's test of combinations that are uncorrelated under the working model."""
    q, groups = found.scores.shape
    if groups > MOST_CLUSTERS:
        return groups - 1.0
    own = [found.covariance(s, s) for s in range(q)]
    spread = 0.0
    for s in range(q):
        for t in range(q):
            cross = found.covariance(s, t)
            spread += float(np.sum(own[s] * own[t]) + np.sum(cross * cross.T))
    return q * (q + 1) / spread


def _row_scores(fit: OlsFit, directions: np.ndarray) -> np.ndarray:
    """HC2 contributions (q, n) of rows."""
    rest = np.maximum(1 - leverage(fit), 1e-10)
    return (fit.centred @ fit.bread @ directions * (fit.residuals / np.sqrt(rest))[:, None]).T
