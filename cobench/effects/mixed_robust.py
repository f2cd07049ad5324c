"""Cluster-robust covariance of the fixed effects of a mixed model: its variances then only weight, and may be wrong.

Scores ``X_g' V^-1 e_g`` by cluster. CR2 (Pustejovsky and Tipton 2018) adjusts them under the fitted ``V`` as working model, on rows whitened
by ``V^-1/2``: with ``X_g'V_g^-1 X_g = L L'`` the adjusted score is ``L (I - L'ML)^-1/2 L^+ X_g'V_g^-1 e_g``, so no
n_g x n_g matrix is formed. That needs every grouping factor to lie within clusters; where students move between
schools only CR0 and CR1 can be had.
"""

from __future__ import annotations

import numpy as np

from cobench.effects.inference import Precision, dense_codes, rows_by_cluster
from cobench.effects.mixed_criterion import bread_of
from cobench.effects.mixed_inference import Mixed
from cobench.effects.mixed_system import System, modes

ROBUST = ("CR0", "CR1", "CR2")
PERFECT = 1e-10


def nested(system: System, cluster: np.ndarray) -> bool:
    """Whether each level of every grouping factor lies in one cluster."""
    for term in system.terms:
        pairs = np.unique(term.codes.astype("int64") * (int(cluster.max()) + 1) + cluster)
        if len(pairs) > np.count_nonzero(np.bincount(term.codes)):
            return False
    return True


class Robust:
    """Scores of the clusters of one fitted model; ``covariance`` (p, p) is that of the given columns' coefficients."""

    def __init__(self, mixed: Mixed, cluster: np.ndarray, se_type: str):
        self.mixed, self.se_type = mixed, se_type
        system, found = mixed.system, mixed.minimum.found
        codes = dense_codes(cluster)
        self.n_clusters = int(codes.max()) + 1
        right = np.eye(system.p + 1)
        right[:-1, -1] = -found.gamma
        w = np.column_stack([system.x, system.y - system.x @ found.gamma])
        solved = w.copy()
        for term, effects in zip(system.terms, modes(system, found, right), strict=True):
            solved -= np.einsum("nq,nqm->nm", term.z, effects[term.codes])
        self.bread = bread_of(found)
        scores = _sums(system.x * solved[:, -1:], codes)
        self.roots, self.turns = None, None
        if se_type == "CR2":
            rows = rows_by_cluster(codes)
            self.roots, self.turns = [], []
            for g, index in enumerate(rows):
                gram = system.x[index].T @ solved[index, :-1]
                scores[g], root, turn = self._adjusted((gram + gram.T) / 2, scores[g])
                self.roots.append(root)
                self.turns.append(turn)
        factor = self.n_clusters / (self.n_clusters - 1) if se_type == "CR1" else 1.0
        self.scores = np.sqrt(factor) * system.scale * scores @ self.bread @ mixed.unscaled.T
        self.covariance = self.scores.T @ self.scores

    def _adjusted(self, gram: np.ndarray, score: np.ndarray) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
        values, vectors = np.linalg.eigh(gram)
        positive = values > 1e-12 * max(values[-1], 1e-300)
        length = np.sqrt(values[positive])
        root, inverse = vectors[:, positive] * length, vectors[:, positive] / length
        values, vectors = np.linalg.eigh(root.T @ self.bread @ root)
        rest = 1 - values
        weight = np.where(rest > PERFECT, np.maximum(rest, PERFECT) ** -0.5, 0.0)
        turn = (vectors * weight) @ vectors.T
        return root @ turn @ (inverse.T @ score), root, turn

    def precision(self, contrast: np.ndarray) -> Precision:
        """Error of ``contrast @ coefficients``; df are Satterthwaite's under the fitted model for CR2, else clusters less one."""
        error = float(np.sqrt(contrast @ self.covariance @ contrast))
        return Precision(error, self._df(contrast), self.se_type, self.scores @ contrast)

    def _df(self, contrast: np.ndarray) -> float:
        if self.se_type != "CR2":
            return self.n_clusters - 1.0
        along = self.bread @ (self.mixed.unscaled.T @ contrast)
        alphas = [turn @ (root.T @ along) for root, turn in zip(self.roots, self.turns, strict=True)]
        reach = np.array([root @ alpha for root, alpha in zip(self.roots, alphas, strict=True)])
        p = np.diag([alpha @ alpha for alpha in alphas]) - reach @ self.bread @ reach.T
        return float(np.trace(p) ** 2 / np.sum(p * p))


def _sums(values: np.ndarray, codes: np.ndarray) -> np.ndarray:
    return np.column_stack([np.bincount(codes, weights=column) for column in values.T])
