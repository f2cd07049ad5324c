"""Where exposure was decided: between clusters or within them, and what that allows to compare."""

from __future__ import annotations

import numpy as np
import pandas as pd

from cobench.effects.folds import cell_means
from cobench.effects.inference import dense_codes
from cobench.effects.reasons import not_estimable
from cobench.effects.sample import Sample, as_level, group_codes

MOSTLY_BETWEEN = 0.5
LEAST_AN_ARM = 4


def between_share(d: np.ndarray, cluster: np.ndarray, cell: np.ndarray | None) -> float:
    """Share of the variance of exposure between clusters (of the same cell), bias-corrected, in [0, 1].

    One-way random-effects ANOVA; cells, where given, count as known.
    """
    centred = d if cell is None else d - cell_means(d[:, None], cell)[:, 0]
    places = dense_codes(cluster)
    counts = np.bincount(places)
    groups, n = len(counts), len(d)
    cells = 1 if cell is None else np.count_nonzero(np.bincount(cell))
    if groups <= cells or n <= groups:
        return 0.0
    means = np.bincount(places, weights=centred) / counts
    ms_between = np.sum(counts * (means - centred.mean()) ** 2) / (groups - cells)
    ms_within = np.sum((centred - means[places]) ** 2) / (n - groups)
    size = (n - np.sum(counts**2) / n) / (groups - 1)
    between = max(ms_between - ms_within, 0.0) / size
    return float(between / (between + ms_within)) if between + ms_within > 0 else 0.0


def mostly_between(sample: Sample) -> bool:
    """Whether exposure was mostly decided for whole clusters, so that clusters and not students are compared."""
    if sample.cluster is None:
        return False
    return between_share(sample.d, sample.cluster, sample.cell) > MOSTLY_BETWEEN


def default_within(
    frame: pd.DataFrame, treatment: str, level: str, reference: str, cluster: str | None
) -> tuple[str, ...]:
    """Cells to compare within where none are declared: the clusters, if exposure varies within them.

    A default that ignores clusters would take what schools that visit more differ in for an effect of visits.
    Where whole clusters were exposed there is nothing to compare within them, hence no cells.
    """
    if cluster is None or cluster not in frame or treatment not in frame:
        return ()
    exposure = as_level(frame[treatment])
    rows = (exposure.isin([level, reference]) & frame[cluster].notna()).to_numpy(dtype=bool)
    if not rows.any():
        return (cluster,)
    d = (exposure[rows] == level).to_numpy(dtype="float64")
    codes = group_codes(frame[rows], [cluster])
    return () if between_share(d, codes, None) > MOSTLY_BETWEEN else (cluster,)


def check_arms_of_clusters(sample: Sample) -> None:
    """Raise :class:`NotEstimableError` when clusters are compared and an arm has fewer than four of them.

    A cluster counts for the arm that most of its students are in.
    """
    share = np.bincount(sample.cluster, weights=sample.d) / np.maximum(np.bincount(sample.cluster), 1)
    present = np.bincount(sample.cluster) > 0
    exposed = int((share[present] > 0.5).sum())
    if min(exposed, int(present.sum()) - exposed) < LEAST_AN_ARM:
        raise not_estimable("few_clusters_an_arm", cluster=sample.names["cluster"], least=LEAST_AN_ARM)
