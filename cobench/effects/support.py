"""Structural overlap: who has no counterpart at all, by covariate level or by cell."""

from __future__ import annotations

import numpy as np

from cobench.effects.reasons import not_estimable
from cobench.effects.sample import Sample, check_arms

MOST = 0.5


def restrict_to_support(sample: Sample, estimand: str, cells: bool = True) -> tuple[Sample, bool]:
    """Leave out students of a covariate level or cell in which one arm is empty.

    For the ATT, unexposed students of a kind that no exposed student is are dropped and counted: they say
    nothing about the exposed. Exposed students without an unexposed counterpart are trimmed, counted, and the
    population is no longer everybody who was exposed. Without ``cells`` a cell may lack an arm.

    Returns
    -------
    sample : Sample
    trimmed : bool
        Whether exposed students were left out.

    Raises
    ------
    NotEstimableError
        For the ATE when anyone is off support (it would be extrapolated); for the ATT when most exposed
        students are.
    """
    exposed, trimmed = sample.n_treated, 0
    while True:
        keep, empty = np.ones(len(sample.y), dtype=bool), ""
        for name, codes in _kinds(sample, cells):
            treated = np.bincount(codes, weights=sample.d)
            total = np.bincount(codes)
            lonely = (total > 0) & ((treated == 0) | (treated == total))
            if lonely.any() and not empty:
                first = int(np.flatnonzero(lonely)[0])
                empty = f"{name(first)}"
                missing_arm = "exposed students" if treated[first] == 0 else "unexposed students"
            keep &= ~lonely[codes]
        if keep.all():
            break
        if estimand == "ATE":
            raise not_estimable("ate_off_support", where=empty, arm=missing_arm)
        lost = ~keep & (sample.d == 1)
        trimmed += int(lost.sum())
        if trimmed > MOST * exposed:
            raise not_estimable("att_mostly_off_support", where=empty)
        sample = sample.take(~lost, "no_unexposed_counterpart").take(keep[~lost], "no_exposed_counterpart")
        check_arms(sample)
    return sample, trimmed > 0


def _kinds(sample: Sample, cells: bool) -> list:
    """Pairs of (code to description, codes) over which both arms must be present."""
    kinds = [
        (lambda code, name=name, labels=labels: f"{name} = {labels[code]}", codes)
        for name, (codes, labels) in sample.covariates.levels.items()
    ]
    if cells and sample.cell is not None:
        kinds.append((lambda code: f"some groups of {sample.names['within']}", sample.cell))
    return kinds
