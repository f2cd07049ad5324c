"""Many confirmatory questions at once: Benjamini-Hochberg beside Romano-Wolf's step-down."""

from __future__ import annotations

import numpy as np
import pandas as pd
from scipy import stats

from cobench.effects.answers import Answer

SCORES = ["estimate_id", "cluster", "score"]
FAMILY = [
    "study",
    "term",
    "estimate_id",
    "p_value",
    "p_benjamini_hochberg",
    "p_romano_wolf",
    "n_draws",
    "seed",
]
DRAWS = 9999
SEED = 20240901


def cluster_contributions(answer: Answer, estimate_id: str) -> pd.DataFrame:
    """Contribution of each cluster to an estimate (columns :data:`SCORES`), scaled to its standard error."""
    if answer.precision.scores is None:
        return pd.DataFrame(columns=SCORES)
    labels = [answer.sample.cluster_labels[code] for code in np.unique(answer.sample.cluster)]
    scores = answer.precision.scores
    scaled = scores * answer.precision.std_error / np.sqrt(np.sum(scores**2))
    return pd.DataFrame({"estimate_id": estimate_id, "cluster": labels, "score": scaled})


def family_adjusted(
    estimates: pd.DataFrame, scores: pd.DataFrame, n_draws: int = DRAWS, seed: int = SEED
) -> pd.DataFrame:
    """Adjusted p-values of the confirmatory family (primary methods on everybody) of each study and term.

    Parameters
    ----------
    scores : DataFrame
        Columns :data:`SCORES`: what clusters contribute to each estimate. All estimates of a draw multiply a
        cluster's contribution by the same sign, so that questions asked of the same classes stay as dependent as
        they are. Estimates without scores are drawn independently.

    Returns
    -------
    DataFrame
        Columns :data:`FAMILY`, one row a member.
    """
    member = (
        (estimates["role"] == "confirmatory") & (estimates["status"] == "ok") & estimates["p_value"].notna()
    )
    parts = []
    for (study, term), rows in estimates[member].groupby(["study", "term"], sort=False):
        p = rows["p_value"].to_numpy(dtype="float64")
        draws = multiplier_draws(rows["estimate_id"].tolist(), scores, n_draws, seed)
        part = {
            "study": study, "term": term, "estimate_id": rows["estimate_id"].to_numpy(), "p_value": p,
            "p_benjamini_hochberg": stats.false_discovery_control(p, method="bh"),
            "p_romano_wolf": romano_wolf(p, draws), "n_draws": n_draws, "seed": seed,
        }  # fmt: skip
        parts.append(pd.DataFrame(part))
    return pd.concat(parts, ignore_index=True) if parts else pd.DataFrame(columns=FAMILY)


def romano_wolf(p_values: np.ndarray, draws: np.ndarray) -> np.ndarray:
    """Step-down adjusted p-values (Romano and Wolf 2005, 2016), (m,).

    Parameters
    ----------
    p_values : ndarray, (m,)
        Two-sided; they carry each row's own degrees of freedom.
    draws : ndarray, (B, m)
        Statistics under the joint null, each about standard normal.
    """
    size = stats.norm.isf(np.maximum(p_values, 1e-300) / 2)
    order = np.argsort(-size, kind="stable")
    highest = np.maximum.accumulate(np.abs(draws[:, order])[:, ::-1], axis=1)[:, ::-1]
    beyond = np.sum(highest >= size[order] * (1 - 1e-12), axis=0)
    adjusted = np.maximum.accumulate((1 + beyond) / (len(draws) + 1))
    found = np.empty(len(p_values))
    found[order] = np.maximum(adjusted, p_values[order])
    return found


def multiplier_draws(ids: list[str], scores: pd.DataFrame, n_draws: int, seed: int) -> np.ndarray:
    """Draws (B, m) of standardised sums of contributions, with one random sign a cluster."""
    generator = np.random.default_rng(seed)
    own = scores[scores["estimate_id"].isin(ids)]
    table = own.pivot_table(
        index="cluster", columns="estimate_id", values="score", aggfunc="sum", fill_value=0.0
    )
    signs = generator.choice([-1.0, 1.0], size=(n_draws, len(table)))
    free = generator.normal(size=(n_draws, len(ids)))
    columns = [
        signs @ (table[each] / np.sqrt(np.sum(table[each] ** 2))).to_numpy()
        if each in table
        else free[:, place]
        for place, each in enumerate(ids)
    ]
    return np.column_stack(columns)
