"""For whom more? A forest ranks students by predicted effect, and students it has never seen tell whether it is right.

Generic inference on heterogeneity (Chernozhukov, Demirer, Duflo and Fernandez-Val 2025) by whole clusters: in each of
several divisions one half of the clusters grows the models (expected outcome, propensity, and a random forest of
effects by the R-learner of Nie and Wager 2021) and the other half is only predicted and then analysed. Honesty is
thus at the level at which students depend on each other: no tree is asked about a child, classmate or schoolmate that
grew it. In the second half

- the *slope* of the effect on the predicted effect is zero where nothing was found and one where predictions are right;
- *groups* of students from the lowest to the highest prediction get an effect each, and one joint test;
- the profile says how the two outer groups differ in covariates.

Intervals and tests are CR2 with Satterthwaite's df. Over divisions medians are taken; with half the error left to
each of them they hold whatever division one draws (their theorem 3.2), and are on the safe side. Always exploratory.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import pandas as pd
from scipy import stats

from cobench.effects.answers import check_clusters
from cobench.effects.effect_sizes import hedges_correction, pooled_sd
from cobench.effects.estimates import as_estimates
from cobench.effects.evidence import evidence_of
from cobench.effects.exposure import default_within, mostly_between
from cobench.effects.folds import cell_means, connected
from cobench.effects.inference import OlsFit, dense_codes, fit_ols
from cobench.effects.joint import combine, joint_test
from cobench.effects.learners import Logistic, Ridge
from cobench.effects.reasons import not_estimable
from cobench.effects.sample import Sample, levels_of, require_columns, take_sample
from cobench.effects.weighting import exposure_columns
from cobench.errors import NotEstimableError, ParameterError

DIVISIONS, GROUPS, TREES = 11, 4, 100
SEED = 20240901
LEVEL = 0.95
LEAST_UNITS = 12
LEAST_LEAF, SHARE_LEAF = 10, 0.02
TESTS = ["test", "estimate", "conf_low", "conf_high", "p_value"]
PROFILE = ["covariate", "mean_lowest", "mean_highest"]
SPLIT = ["division", "test", "estimate", "std_error", "df", "p_value"]
LARGEST, SMALLEST = 0.98, 0.02


@dataclass(frozen=True)
class HeterogeneityFit:
    """What the divisions say together.

    Attributes
    ----------
    estimates : DataFrame
        Frame of estimates: the effect by group, ``subgroup`` ``predicted=1`` (lowest) to ``predicted=4``. Weighted by
        the conditional variance of exposure, as any regression within cells is.
    tests : DataFrame
        Columns :data:`TESTS`: ``slope``, ``highest_less_lowest``, ``groups_equal`` (p-value only). P-values are twice
        the median over divisions.
    profile : DataFrame
        Columns :data:`PROFILE`: means of covariates in the outer groups, over divisions.
    divisions : DataFrame
        Columns :data:`SPLIT`: every division by itself.
    """

    estimates: pd.DataFrame
    tests: pd.DataFrame
    profile: pd.DataFrame
    divisions: pd.DataFrame


def heterogeneity(
    frame: pd.DataFrame,
    outcome: str,
    treatment: str,
    covariates: Sequence[str],
    within: Sequence[str] | None = None,
    cluster: str | None = None,
    reference: object = None,
    **options: object,
) -> pd.DataFrame:
    """The frame of estimates of :func:`fit_heterogeneity` for every level; a reason where there is no answer."""
    levels, base = levels_of(frame, treatment, reference)
    parts = []
    for level in levels:
        try:
            fit = fit_heterogeneity(
                frame, outcome, treatment, covariates, within, cluster, level=level, reference=base, **options
            )
            parts.append(fit.estimates)
            continue
        except NotEstimableError as error:
            reason = error.en
        except np.linalg.LinAlgError:
            reason = not_estimable("numerical", method="forest").en
        parts.append(as_estimates([unanswered(treatment, level, outcome, reason)]))
    return as_estimates(pd.concat(parts, ignore_index=True))


def unanswered(treatment: str, level: str, outcome: str, reason: str) -> dict:
    """The row of a contrast of which nothing can be said."""
    return {
        "treatment": treatment, "contrast": level, "outcome": outcome, "estimand": "variance_weighted", "method": "forest",
        "status": "not_estimable", "reason": reason, "evidence": "not_estimable",
    }  # fmt: skip


def fit_heterogeneity(
    frame: pd.DataFrame,
    outcome: str,
    treatment: str,
    covariates: Sequence[str],
    within: Sequence[str] | None = None,
    cluster: str | None = None,
    *,
    level: str,
    reference: str,
    n_divisions: int = DIVISIONS,
    n_groups: int = GROUPS,
    n_trees: int = TREES,
    conf_level: float = LEVEL,
    seed: int = SEED,
) -> HeterogeneityFit:
    """Whether the effect of ``level`` differs with ``covariates``, and for whom it is largest.

    Parameters
    ----------
    within : sequence of str, optional
        Cells within which students are compared, by default as :func:`cobench.effects.aipw`. Clusters that share a
        cell are divided together.
    cluster : str, optional
        Groups that are never divided and that errors obey.
    n_divisions : int
        An odd number of divisions into halves.

    Raises
    ------
    NotEstimableError
        With fewer than twelve units to divide, or where whole clusters were exposed.
    ParameterError
    """
    if n_divisions < 1 or n_groups < 2 or n_trees < 1 or not covariates:
        raise ParameterError(
            en="heterogeneity: needs covariates, one division, two groups and one tree at least",
            zh="heterogeneity：至少需要一个协变量、一次划分、两个组和一棵树",
        )
    require_columns(frame, [outcome, treatment, *covariates])
    cells = default_within(frame, treatment, level, reference, cluster) if within is None else within
    sample = take_sample(
        frame, outcome=outcome, treatment=treatment, level=level, reference=reference, covariates=covariates,
        within=cells, cluster=cluster,
    )  # fmt: skip
    check_clusters(sample)
    if not sample.covariates.x.shape[1]:
        raise not_estimable("no_covariate_varies")
    if mostly_between(sample):
        raise not_estimable("whole_clusters", cluster=cluster)
    units = _units(sample)
    if units.max() + 1 < LEAST_UNITS:
        raise not_estimable("few_clusters", cluster=cluster or "students", least=LEAST_UNITS)
    found = [
        _division(sample, units, n_groups, n_trees, np.random.default_rng([seed, each]), each)
        for each in range(n_divisions)
    ]
    divisions = pd.concat([each.rows for each in found], ignore_index=True)
    profile = pd.DataFrame(
        {
            "covariate": list(sample.covariates.names),
            "mean_lowest": np.median([each.lowest for each in found], axis=0),
            "mean_highest": np.median([each.highest for each in found], axis=0),
        }
    )[PROFILE]
    pooled = {name: _median(own, conf_level) for name, own in divisions.groupby("test", sort=False)}
    named = ["slope", "highest_less_lowest", "groups_equal"]
    tests = pd.DataFrame([{"test": name, **pooled[name]} for name in named])[TESTS]
    sizes = np.median([each.sizes for each in found], axis=0)
    rows = [
        _row(
            sample,
            f"predicted={place + 1}",
            pooled[f"group {place + 1}"],
            sizes[place],
            conf_level,
            bool(len(cells)),
        )
        for place in range(n_groups)
    ]
    return HeterogeneityFit(as_estimates(rows), tests, profile, divisions[SPLIT])


@dataclass(frozen=True)
class _Half:
    """One division: rows of :data:`SPLIT`, covariate means of the outer groups, sizes (groups, 4)."""

    rows: pd.DataFrame
    lowest: np.ndarray
    highest: np.ndarray
    sizes: np.ndarray


def _units(sample: Sample) -> np.ndarray:
    """Code of what is divided as a whole, (n,): clusters with all cells and clusters that they touch."""
    n = len(sample.y)
    cluster = np.arange(n) if sample.cluster is None else dense_codes(sample.cluster)
    return cluster if sample.cell is None else dense_codes(connected(sample.cell, cluster))


def _division(
    sample: Sample, units: np.ndarray, n_groups: int, n_trees: int, draw: np.random.Generator, number: int
) -> _Half:
    """Models from one half of the units, tests in the other."""
    order = draw.permutation(units.max() + 1)
    grown = np.isin(units, order[: len(order) // 2])
    seed = int(draw.integers(2**31))
    predicted, expected, propensity = _predictions(sample, grown, n_trees, seed)
    rest = ~grown
    d = sample.d[rest] - propensity[rest]
    score = predicted[rest]
    x = np.column_stack([sample.covariates.x[rest], expected[rest]])
    place = np.empty(len(score), dtype=int)
    place[np.argsort(score, kind="stable")] = np.arange(len(score)) * n_groups // len(score)
    cell = None if sample.cell is None else sample.cell[rest]
    cluster = None if sample.cluster is None else dense_codes(sample.cluster[rest])
    rows = _slope(sample.y[rest], x, d, score, cell, cluster)
    rows += _groups(sample.y[rest], x, d, place, n_groups, cell, cluster)
    own, treated = sample.covariates.x[rest], sample.d[rest] == 1
    clusters = np.arange(len(place)) if cluster is None else cluster
    sizes = [
        (
            (place == each).sum(), ((place == each) & treated).sum(), len(np.unique(clusters[place == each])),
            len(np.unique(clusters[(place == each) & treated])),
        )
        for each in range(n_groups)
    ]  # fmt: skip
    return _Half(
        pd.DataFrame(rows, columns=SPLIT[1:]).assign(division=number),
        own[place == 0].mean(axis=0),
        own[place == n_groups - 1].mean(axis=0),
        np.array(sizes),
    )


def _predictions(
    sample: Sample, grown: np.ndarray, n_trees: int, seed: int
) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Predicted effect, expected outcome (within its cell) and propensity of everybody, learnt from ``grown`` only."""
    from sklearn.ensemble import RandomForestRegressor

    x, y, d, cell = sample.covariates.x, sample.y, sample.d, sample.cell
    inner = x if cell is None else x - cell_means(x, cell)
    level = y.mean() if cell is None else cell_means(y[:, None], cell)[:, 0]
    leaf = max(LEAST_LEAF, int(SHARE_LEAF * grown.sum()))
    both = np.column_stack([inner, x])

    def forest(target: np.ndarray, columns: np.ndarray, weights: np.ndarray | None, add: int) -> np.ndarray:
        """Predictions of everybody; of those who grew it, by trees that didn't hold them."""
        model = RandomForestRegressor(
            n_trees, min_samples_leaf=leaf, max_features=max(1, (columns.shape[1] + 2) // 3), max_samples=0.5,
            oob_score=True, random_state=(seed + add) % 2**31, n_jobs=1,
        )  # fmt: skip
        model.fit(columns[grown], target, sample_weight=weights)
        found = model.predict(columns)
        found[grown] = model.oob_prediction_
        return found

    line = Ridge().fit(inner[grown], (y - level)[grown])
    straight = line.predict(inner)
    bent = forest((y - level - straight)[grown], both, None, 0)
    expected = straight + bent
    columns = exposure_columns(x, d, cell)
    propensity = Logistic().fit(columns[grown], d[grown]).predict_proba(columns)[:, 1]
    propensity = np.clip(propensity, SMALLEST, LARGEST)
    residual, exposure = (y - level - expected)[grown], (d - propensity)[grown]
    return forest(residual / exposure, x, exposure**2, 1), expected, propensity


def _slope(
    y: np.ndarray,
    x: np.ndarray,
    d: np.ndarray,
    score: np.ndarray,
    cell: np.ndarray | None,
    cluster: np.ndarray | None,
) -> list[tuple]:
    """Best linear predictor of the effect by the predicted one; nothing found where all predictions are alike."""
    spread = score.std()
    if spread <= 1e-12:
        return [("slope", 0.0, np.nan, np.nan, 1.0)]
    fit = fit_ols(y, np.column_stack([x, d, d * (score - score.mean()) / spread]), cell)
    column = fit.position(x.shape[1] + 1)
    if column is None:
        return [("slope", 0.0, np.nan, np.nan, 1.0)]
    found = combine(fit, np.eye(len(fit.kept))[:, [column]] / spread, cluster)
    estimate, error, df = found.estimates[0], found.std_errors[0], found.df[0]
    return [("slope", estimate, error, df, float(stats.t.sf(estimate / error, df)))]


def _groups(
    y: np.ndarray,
    x: np.ndarray,
    d: np.ndarray,
    place: np.ndarray,
    n_groups: int,
    cell: np.ndarray | None,
    cluster: np.ndarray | None,
) -> list[tuple]:
    """Effect of each group, highest less lowest, and whether they are equal.

    Raises
    ------
    NotEstimableError
        When exposure doesn't vary within a group.
    """
    members = (place[:, None] == np.arange(n_groups)).astype("float64")
    fit = fit_ols(y, np.column_stack([x, members[:, 1:], d[:, None] * members]), cell)
    columns = [fit.position(x.shape[1] + n_groups - 1 + each) for each in range(n_groups)]
    if None in columns:
        raise not_estimable("no_variation_within", within="groups of predicted effects", treatment="exposure")
    own = np.eye(len(fit.kept))[:, columns]
    last = own[:, [-1]] - own[:, [0]]
    found = combine(fit, np.column_stack([own, last]), cluster)
    p = 2 * stats.t.sf(np.abs(found.estimates / found.std_errors), found.df)
    p[-1] = stats.t.sf(found.estimates[-1] / found.std_errors[-1], found.df[-1])
    names = [*(f"group {each + 1}" for each in range(n_groups)), "highest_less_lowest"]
    rows = list(zip(names, found.estimates, found.std_errors, found.df, p, strict=True))
    return [*rows, ("groups_equal", np.nan, np.nan, np.nan, _equal(fit, own, cluster))]


def _equal(fit: OlsFit, own: np.ndarray, cluster: np.ndarray | None) -> float:
    """P-value of equal effects; 1 where too few clusters are there to test it."""
    try:
        return joint_test(fit, own[:, 1:] - own[:, :1], cluster).p_value
    except NotEstimableError:
        return 1.0


def _median(rows: pd.DataFrame, level: float) -> dict[str, float]:
    """Medians over divisions: intervals with half the error, p-values doubled."""
    half = stats.t.ppf(0.5 + (1 + level) / 4, rows["df"]) * rows["std_error"]
    return {
        "estimate": float(rows["estimate"].median()),
        "std_error": float(rows["std_error"].median()),
        "df": float(rows["df"].median()),
        "conf_low": float((rows["estimate"] - half).median()),
        "conf_high": float((rows["estimate"] + half).median()),
        "p_value": float(min(1.0, 2 * rows["p_value"].median())),
    }


def _row(
    sample: Sample, subgroup: str, found: dict[str, float], sizes: np.ndarray, level: float, cells: bool
) -> dict:
    treated = sample.d == 1
    spread = pooled_sd(sample.y[treated], sample.y[~treated])
    n, n_treated, n_clusters, n_treated_clusters = (int(each) for each in sizes)
    clustered = sample.cluster is not None
    return found | {
        "population": "all:half", "subgroup": subgroup, "treatment": sample.treatment, "contrast": sample.level,
        "outcome": sample.outcome, "estimand": "variance_weighted", "method": "forest", "conf_level": level,
        "effect_size": found["estimate"] / spread * hedges_correction(len(sample.y)) if spread > 0 else np.nan,
        "es_type": "hedges_g (pooled SD of the two arms)", "n_obs": n, "n_treated": n_treated,
        "n_clusters": n_clusters if clustered else None, "n_treated_clusters": n_treated_clusters if clustered else None,
        "se_type": "CR2, median of divisions" if clustered else "HC2, median of divisions",
        "evidence": evidence_of("forest", adjusted=True).evidence,
    }  # fmt: skip
