"""Cross-products of a linear mixed model, and what follows from them at given relative covariances of the random effects.

``y = X beta + sum_k Z_k b_k + e`` with ``b_k = (I x T_k) u_k`` and ``var(u) = sigma^2 I``, as in Bates, Mächler, Bolker
and Walker (2015, J Stat Softw 67(1), section 3). Everything needed at a trial value of the ``T_k`` follows from
cross-products that are formed once. The factor with most effects is eliminated first: its block is block-diagonal, one
q x q block a level, so its Schur complement costs a sparse product; what is left (80 schools beside 10,700 students) is
factored densely, or sparsely where it is large and mostly zero.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from scipy import linalg, sparse
from scipy.sparse.linalg import splu

SPARSE_FROM, SPARSE_BELOW = 600, 0.10
MOST_PAIRS = 20_000_000
CHUNK = 4_000_000


@dataclass(frozen=True)
class Term:
    """Random effects of one grouping factor.

    Attributes
    ----------
    name : str
        Of the factor.
    effects : tuple of str
        ``(intercept)`` and the columns whose slopes vary, q of them.
    codes : ndarray of int, (n,)
        0..L-1.
    labels : tuple of str
        By code, L of them.
    z : ndarray, (n, q)
        A row's values of the effects: ones, then the slope columns centred and scaled.
    back : ndarray, (q, q)
        ``b = back @ b_scaled`` takes effects of centred and scaled columns to those of the given ones.
    """

    name: str
    effects: tuple[str, ...]
    codes: np.ndarray
    labels: tuple[str, ...]
    z: np.ndarray
    back: np.ndarray

    @property
    def q(self) -> int:
        return len(self.effects)

    @property
    def n_levels(self) -> int:
        return len(self.labels)

    @property
    def n_parameters(self) -> int:
        return self.q * (self.q + 1) // 2

    def matrix(self) -> sparse.csr_matrix:
        """``Z``, (n, L q), effects of a level beside each other."""
        n = len(self.codes)
        columns = self.codes[:, None] * self.q + np.arange(self.q)
        return sparse.csr_matrix(
            (self.z.ravel(), columns.ravel(), np.arange(n + 1) * self.q), shape=(n, self.n_levels * self.q)
        )


@dataclass(frozen=True)
class System:
    """Cross-products of ``n`` rows; ``first`` is the term eliminated first, ``rest`` the others, r effects in all.

    Attributes
    ----------
    x : ndarray, (n, p)
        Orthonormal columns of the fixed design, ``design = x @ upper``.
    y : ndarray, (n,)
        What least squares leaves of the outcome, in units of ``scale``; ``start`` (p,) is what it takes.
    own : ndarray, (L, q, q)
        Blocks of ``Z1'Z1``.
    own_w, rest_w : ndarray, (L, q, p + 1) and (r, p + 1)
        ``Z'[X y]``.
    across : csr_matrix, (L q, r)
        ``Z1'Z2``.
    among : ndarray or csc_matrix, (r, r)
        ``Z2'Z2``.
    pairs : csr_matrix, (r r, L), or None
        For q = 1 and a dense rest: ``pairs @ d`` is ``Z2'Z1 diag(d) Z1'Z2`` row by row.
    back_across : csr_matrix, (r, L q)
        The transpose of ``across``.
    """

    terms: tuple[Term, ...]
    first: int
    n: int
    x: np.ndarray
    y: np.ndarray
    upper: np.ndarray
    start: np.ndarray
    scale: float
    own: np.ndarray
    own_w: np.ndarray
    across: sparse.csr_matrix
    among: np.ndarray | sparse.csc_matrix
    rest_w: np.ndarray
    pairs: sparse.csr_matrix | None
    back_across: sparse.csr_matrix

    @property
    def p(self) -> int:
        return self.x.shape[1]

    @property
    def rest(self) -> tuple[Term, ...]:
        return tuple(term for place, term in enumerate(self.terms) if place != self.first)

    @property
    def outcome(self) -> np.ndarray:
        """The outcome as given, (n,)."""
        return self.y * self.scale + self.x @ (self.upper @ self.start)

    def split(self, theta: np.ndarray) -> list[np.ndarray]:
        """The lower triangles ``T_k`` (q, q) of ``theta``, in the order of ``terms``."""
        found, at = [], 0
        for term in self.terms:
            lower = np.zeros((term.q, term.q))
            lower[np.tril_indices(term.q)] = theta[at : at + term.n_parameters]
            found.append(lower)
            at += term.n_parameters
        return found

    def join(self, triangles: Sequence[np.ndarray]) -> np.ndarray:
        """``theta`` of the lower triangles, row by row."""
        return np.concatenate([lower[np.tril_indices(len(lower))] for lower in triangles])


@dataclass(frozen=True)
class Factored:
    """The system at one ``theta``.

    ``log_det`` is that of ``Lambda'Z'Z Lambda + I``; ``rx`` (p, p) upper with ``rx'rx = X'V^-1 X`` and ``rss`` the penalised
    residual sum of squares, both in units of ``sigma^2 = 1`` and of the scaled outcome; ``gamma`` (p,) are the coefficients of
    ``System.x``. ``root`` (L, q, q) maps to the whitened first term, ``rest_factor`` solves with the Schur complement.
    """

    triangles: list[np.ndarray]
    log_det: float
    rx: np.ndarray
    gamma: np.ndarray
    rss: float
    root: np.ndarray
    white_w: np.ndarray
    rest_factor: Dense | Sparse | None
    rest_w: np.ndarray


class Dense:
    """Cholesky factor of a dense matrix."""

    def __init__(self, matrix: np.ndarray):
        self.lower = linalg.cholesky(matrix, lower=True, check_finite=False, overwrite_a=True)
        self.log_det = 2 * float(np.sum(np.log(np.diag(self.lower))))

    def solve(self, right: np.ndarray) -> np.ndarray:
        return linalg.cho_solve((self.lower, True), right, check_finite=False)


class Sparse:
    """Factor of a sparse symmetric positive definite matrix: SuperLU without pivoting."""

    def __init__(self, matrix: sparse.csc_matrix):
        self.factor = splu(
            matrix, permc_spec="MMD_AT_PLUS_A", diag_pivot_thresh=0.0, options={"SymmetricMode": True}
        )
        pivots = self.factor.U.diagonal()
        if not (pivots > 0).all():
            raise np.linalg.LinAlgError("not positive definite")
        self.log_det = float(np.sum(np.log(pivots)))

    def solve(self, right: np.ndarray) -> np.ndarray:
        return self.factor.solve(np.ascontiguousarray(right))


def build_system(y: np.ndarray, design: np.ndarray, terms: Sequence[Term]) -> System:
    """Cross-products of ``y`` (n,), ``design`` (n, p, of full rank) and the terms."""
    x, upper = np.linalg.qr(design)
    flat = x.T @ y
    left = y - x @ flat
    scale = float(np.sqrt(left @ left / len(y))) or 1.0
    left = left / scale
    w = np.column_stack([x, left])
    first = int(np.argmax([term.n_levels * term.q for term in terms]))
    one = terms[first]
    z_one = one.matrix()
    others = [term.matrix() for place, term in enumerate(terms) if place != first]
    z_rest = sparse.hstack(others, format="csr") if others else sparse.csr_matrix((len(y), 0))
    across = (z_one.T @ z_rest).tocsr()
    own = np.empty((one.n_levels, one.q, one.q))
    for i in range(one.q):
        for j in range(one.q):
            own[:, i, j] = np.bincount(one.codes, one.z[:, i] * one.z[:, j], minlength=one.n_levels)
    among = (z_rest.T @ z_rest).tocsc()
    stays = _stays_sparse(among, across)
    return System(
        terms=tuple(terms), first=first, n=len(y), x=x, y=left, upper=upper, start=np.linalg.solve(upper, flat),
        scale=scale, own=own, own_w=(z_one.T @ w).reshape(one.n_levels, one.q, -1), across=across,
        among=among if stays else among.toarray(), rest_w=z_rest.T @ w,
        pairs=None if stays or one.q > 1 else _pairs(across), back_across=across.T.tocsr(),
    )  # fmt: skip


def _stays_sparse(among: sparse.csc_matrix, across: sparse.csr_matrix) -> bool:
    """Whether the Schur complement of the rest is large and mostly zero."""
    size = among.shape[0]
    if size < SPARSE_FROM:
        return False
    pattern = sparse.csr_matrix(
        (np.ones_like(across.data), across.indices, across.indptr), shape=across.shape
    )
    return ((pattern.T @ pattern) + abs(among)).nnz < SPARSE_BELOW * size**2


def _pairs(across: sparse.csr_matrix) -> sparse.csr_matrix | None:
    """The map from ``d`` to ``across' diag(d) across``; None where it would be too large."""
    counts = np.diff(across.indptr)
    if counts.size == 0 or np.sum(counts.astype("int64") ** 2) > MOST_PAIRS:
        return None
    level = np.repeat(np.arange(len(counts)), counts**2)
    inside = np.arange(len(level)) - np.repeat(np.cumsum(counts**2) - counts**2, counts**2)
    left = across.indptr[level] + inside // counts[level]
    right = across.indptr[level] + inside % counts[level]
    size = across.shape[1]
    place = across.indices[left].astype("int64") * size + across.indices[right]
    values = across.data[left] * across.data[right]
    return sparse.csr_matrix((values, (place, level)), shape=(size * size, len(counts)))


def factor(system: System, theta: np.ndarray) -> Factored:
    """The system at ``theta``.

    Raises
    ------
    numpy.linalg.LinAlgError
        Where rounding leaves a matrix that isn't positive definite.
    """
    triangles = system.split(theta)
    one = triangles[system.first]
    inner = one.T @ system.own @ one + np.eye(len(one)) if len(one) > 1 else one**2 * system.own + 1
    lower = np.linalg.cholesky(inner) if len(one) > 1 else np.sqrt(inner)
    root = np.linalg.solve(lower, np.broadcast_to(one.T, lower.shape)) if len(one) > 1 else one / lower
    log_det = 2 * float(np.sum(np.log(np.einsum("lii->li", lower))))
    white_w = _by_block(root, system.own_w.reshape(-1, system.p + 1))
    gram = np.diag(np.r_[np.ones(system.p), system.y @ system.y]) - white_w.T @ white_w
    rest_factor, rest_w = None, system.rest_w
    if system.rest:
        rest_w = system.rest_w - system.back_across @ _by_block(root.transpose(0, 2, 1), white_w)
        rest_w = _spread(system, triangles, rest_w, transposed=True)
        rest_factor = _factor_rest(system, root, triangles)
        log_det += rest_factor.log_det
        gram -= rest_w.T @ rest_factor.solve(rest_w)
    upper = linalg.cholesky(gram, check_finite=False)
    rx = upper[:-1, :-1]
    return Factored(
        triangles=triangles, log_det=log_det, rx=rx, gamma=linalg.solve_triangular(rx, upper[:-1, -1]),
        rss=float(upper[-1, -1] ** 2), root=root, white_w=white_w, rest_factor=rest_factor, rest_w=rest_w,
    )  # fmt: skip


def _by_block(blocks: np.ndarray, right: np.ndarray) -> np.ndarray:
    """Block-diagonal matrix of ``blocks`` (L, q, q) or (q, q) times ``right`` (L q, m)."""
    q = blocks.shape[-1]
    if q == 1:
        return right * blocks.reshape(-1, 1)
    return (blocks @ right.reshape(-1, q, right.shape[1])).reshape(right.shape)


def _spread(
    system: System, triangles: list[np.ndarray], right: np.ndarray, transposed: bool = False
) -> np.ndarray:
    """``Lambda`` of the rest, or its transpose, times ``right`` (r, m)."""
    parts, at = [], 0
    for place, (term, lower) in enumerate(zip(system.terms, triangles, strict=True)):
        if place != system.first:
            width = term.n_levels * term.q
            parts.append(_by_block(lower.T if transposed else lower, right[at : at + width]))
            at += width
    return np.concatenate(parts)


def _whiten(root: np.ndarray, across: sparse.csr_matrix) -> sparse.csr_matrix:
    """``root`` (L, q, q) block by block times ``across``."""
    n_levels, q, _ = root.shape
    blocks = sparse.bsr_matrix(
        (root, np.arange(n_levels), np.arange(n_levels + 1)), shape=(n_levels * q,) * 2
    )
    return blocks.tocsr() @ across


def _lambda(system: System, triangles: list[np.ndarray]) -> sparse.csr_matrix:
    """``Lambda`` of the rest, (r, r)."""
    parts = [
        sparse.kron(sparse.eye(term.n_levels), lower, format="csr")
        for place, (term, lower) in enumerate(zip(system.terms, triangles, strict=True))
        if place != system.first
    ]
    return sparse.block_diag(parts, format="csr")


def _factor_rest(system: System, root: np.ndarray, triangles: list[np.ndarray]) -> Dense | Sparse:
    """Factor of the Schur complement ``Lambda2'(Z2'Z2 - V'V) Lambda2 + I`` with ``V`` the whitened ``Z1'Z2``."""
    if system.pairs is not None:
        inner = system.among - (system.pairs @ root[:, 0, 0] ** 2).reshape(system.among.shape)
    else:
        white = _whiten(root, system.across)
        product = white.T @ white
        if sparse.issparse(system.among):
            scale = _lambda(system, triangles)
            inner = scale.T @ (system.among - product) @ scale
            return Sparse((inner + sparse.eye(inner.shape[0])).tocsc())
        inner = system.among - product.toarray()
    inner = _spread(system, triangles, inner, transposed=True)
    inner = _spread(system, triangles, inner.T, transposed=True)
    inner[np.diag_indices_from(inner)] += 1
    return Dense(inner)


def modes(system: System, found: Factored, right: np.ndarray) -> list[np.ndarray]:
    """``Lambda (Lambda'Z'Z Lambda + I)^-1 Lambda'Z'[X y] right`` a term, (L, q, m), for ``right`` (p + 1, m).

    With ``right = (-gamma, 1)`` these are the conditional modes of the random effects.
    """
    one = system.terms[system.first]
    white = found.white_w @ right
    parts = []
    if system.rest:
        effects = _spread(system, found.triangles, found.rest_factor.solve(found.rest_w @ right))
        white = white - _by_block(found.root, system.across @ effects)
        ends = np.cumsum([term.n_levels * term.q for term in system.rest])[:-1]
        blocks = np.split(effects, ends)
        parts = [b.reshape(t.n_levels, t.q, -1) for b, t in zip(blocks, system.rest, strict=True)]
    own = _by_block(found.root.transpose(0, 2, 1), white).reshape(one.n_levels, one.q, -1)
    parts.insert(system.first, own)
    return parts


def conditional_covariances(system: System, found: Factored) -> list[np.ndarray]:
    """Covariances (L, q, q) of each level's effects given the outcome and the coefficients, in units of ``sigma^2``."""
    one = system.terms[system.first]
    own = np.einsum("lki,lkj->lij", found.root, found.root)
    if not system.rest:
        return [own]
    scale = _lambda(system, found.triangles)
    reach = (_whiten(own, system.across) @ scale).tocsr()
    step = max(1, CHUNK // max(1, reach.shape[1])) // one.q * one.q or one.q
    for start in range(0, reach.shape[0], step):
        rows = reach[start : start + step]
        part = _blocks(rows.toarray(), found.rest_factor.solve(rows.T.toarray()).T, one.q)
        own[start // one.q : start // one.q + len(part)] += part
    parts, at = [], 0
    for term in system.rest:
        of_term, width = [], term.n_levels * term.q
        step = max(1, CHUNK // max(1, reach.shape[1])) // term.q * term.q or term.q
        for start in range(at, at + width, step):
            rows = scale[start : min(start + step, at + width)]
            of_term.append(_blocks(rows.toarray(), found.rest_factor.solve(rows.T.toarray()).T, term.q))
        parts.append(np.concatenate(of_term))
        at += width
    parts.insert(system.first, own)
    return parts


def _blocks(left: np.ndarray, right: np.ndarray, q: int) -> np.ndarray:
    """q x q blocks of the diagonal of ``left right'``."""
    return np.einsum("lir,ljr->lij", left.reshape(-1, q, left.shape[1]), right.reshape(-1, q, right.shape[1]))
