"""Several linear combinations of one regression together: pointwise and simultaneous intervals, joint tests."""

from __future__ import annotations

from dataclasses import dataclass, replace

import numpy as np
from scipy import stats

from cobench.effects.inference import OlsFit, adjusted_scores, dense_codes
from cobench.effects.reasons import not_estimable

DRAWS, SEED = 4999, 20240901
MOST_CLUSTERS = 1500


@dataclass(frozen=True)
class Combinations:
    """Estimates of q combinations.

    Attributes
    ----------
    estimates, std_errors, df : ndarray, (q,)
        CR2 and Satterthwaite (above 1,500 clusters: clusters less one).
    scores : ndarray, (q, G)
        Contribution of each cluster.
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


def absorbed(fit: OlsFit, cluster: np.ndarray) -> OlsFit:
    """``fit`` without its cells where these lie within clusters: the same scores and df with far smaller matrices.

    Sweeping out fixed effects that are nested in clusters changes neither CR2 nor its df, if the fit has no weights
    (Pustejovsky and Tipton 2018, theorem 2).
    """
    cells = np.zeros(len(fit.mass), dtype=int)
    cells[fit.cell] = cluster
    if len(fit.mass) == 1 or np.any(cells[fit.cell] != cluster) or np.ptp(fit.root) > 0:
        return fit
    n, k = fit.centred.shape
    return replace(
        fit, z=fit.centred, root=np.zeros(n), cell=np.zeros(n, dtype=int), mass=np.ones(1), means=np.zeros((1, k))
    )


def combine(fit: OlsFit, directions: np.ndarray, cluster: np.ndarray) -> Combinations:
    """Combinations ``directions`` (k, q) of the kept coefficients, clusters obeyed."""
    found = adjusted_scores(fit, directions, cluster)
    groups = found.scores.shape[1]
    df = np.full(directions.shape[1], groups - 1.0)
    if groups <= MOST_CLUSTERS:
        for place in range(directions.shape[1]):
            p = found.covariance(place, place)
            df[place] = np.trace(p) ** 2 / np.sum(p * p)
    errors = np.sqrt(np.sum(found.scores**2, axis=1))
    return Combinations(directions.T @ fit.coefficients, errors, df, found.scores)


def multiplier_t(found: Combinations, n_draws: int = DRAWS, seed: int = SEED) -> np.ndarray:
    """Draws (B, q) of the t statistics if all combinations were zero: normal multipliers by cluster.

    Divided by the root of a chi-square over its df (the median one), so that few clusters widen them as they widen t.
    """
    draw = np.random.default_rng(seed)
    z = draw.standard_normal((n_draws, found.scores.shape[1])) @ (found.scores / found.std_errors[:, None]).T
    df = float(np.median(found.df))
    return z / np.sqrt(draw.chisquare(df, n_draws) / df)[:, None]


def simultaneous(found: Combinations, level: float, n_draws: int = DRAWS, seed: int = SEED) -> float:
    """Factor of the errors that makes all intervals hold together at ``level``; never below the pointwise ones."""
    highest = np.abs(multiplier_t(found, n_draws, seed)).max(axis=1)
    pointwise = stats.t.ppf((1 + level) / 2, found.df.max())
    return float(max(np.quantile(highest, level), pointwise))


def joint_test(fit: OlsFit, directions: np.ndarray, cluster: np.ndarray) -> JointTest:
    """Whether all combinations ``directions`` (k, q) are zero.

    Approximate Hotelling's T-squared (HTZ; Pustejovsky and Tipton 2018, section 4): ``F = (eta - q + 1) / (eta q) Q``
    on q and ``eta - q + 1`` df, ``eta = q (q + 1) / sum Var(D_st)``.

    Raises
    ------
    NotEstimableError
        With too few clusters to test so many at once.
    """
    q = directions.shape[1]
    values, vectors = np.linalg.eigh(directions.T @ fit.bread @ directions)
    turned = directions @ (vectors / np.sqrt(values))
    found = adjusted_scores(fit, turned, cluster)
    covariance = found.scores @ found.scores.T
    estimates = turned.T @ fit.coefficients
    groups = found.scores.shape[1]
    eta = groups - 1.0
    if groups <= MOST_CLUSTERS:
        own = [found.covariance(s, s) for s in range(q)]
        spread = 0.0
        for s in range(q):
            for t in range(q):
                cross = found.covariance(s, t)
                spread += float(np.sum(own[s] * own[t]) + np.sum(cross * cross.T))
        eta = q * (q + 1) / spread
    if eta <= q - 1 or np.linalg.matrix_rank(covariance) < q:
        raise not_estimable("few_df")
    quadratic = float(estimates @ np.linalg.solve(covariance, estimates))
    statistic, denominator = (eta - q + 1) / (eta * q) * quadratic, eta - q + 1
    p = float(stats.f.sf(statistic, q, denominator))
    return JointTest(float(statistic), float(q), float(denominator), p)


def cluster_codes(cluster: np.ndarray | None, n: int) -> np.ndarray:
    """Codes 0..G-1, (n,); each row its own cluster where none is declared, which makes CR2 the same as HC2."""
    return np.arange(n) if cluster is None else dense_codes(cluster)
