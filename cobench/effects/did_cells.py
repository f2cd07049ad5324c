"""Who is compared with whom, in which terms: the two-by-two comparisons behind every answer over terms."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass

import numpy as np

from cobench.effects.did_panel import StudentTerms

PLACEBOS = 2


@dataclass(frozen=True)
class Cell:
    """One comparison of the change from ``base`` to ``term``.

    Attributes
    ----------
    group : int
        Position of the term in which the exposed started.
    term, base : int
        Positions of the terms whose outcomes are compared.
    at : float
        Terms since the start; negative before it.
    kind : {"effect", "anticipation", "pre", "carry_over"}
        ``carry_over``: one term after the last in which an exposure was declared to matter.
    exposed, unexposed : ndarray of bool, (N,)
    cohort : ndarray of bool, (N,)
        Students whose number is the weight of the cell in averages.
    before : str
        Exposure in the terms before the start that both sides share, where histories are matched.
    """

    group: int
    term: int
    base: int
    at: float
    kind: str
    exposed: np.ndarray
    unexposed: np.ndarray
    cohort: np.ndarray
    before: str = ""


def first_start_cells(panel: StudentTerms, controls: str, base: str, anticipation: int) -> Iterator[Cell]:
    """Groups by the term of their first exposure, in every term, against students not exposed (yet).

    Callaway and Sant'Anna (2021). Before the start ``varying`` compares with the term before, ``universal`` with
    the base term throughout.
    """
    periods = len(panel.terms)
    never = panel.first == periods
    for group in np.unique(panel.first[~never]):
        start = int(group) - 1 - anticipation
        if start < 0:
            continue
        cohort = panel.first == group
        for term in range(periods):
            pre = term < group - anticipation
            reference = start if not pre or base == "universal" else term - 1
            if reference < 0 or reference == term:
                continue
            later = never | (panel.first > max(term, reference) + anticipation)
            unexposed = never if controls == "never" else later & ~cohort
            kind = "pre" if pre else "anticipation" if term < group else "effect"
            at = float(panel.times[term] - panel.times[group])
            yield Cell(int(group), term, reference, at, kind, cohort, unexposed, cohort)


def switch_cells(panel: StudentTerms, lasting: int, controls: str, anticipation: int) -> Iterator[Cell]:
    """Students whose exposure starts in a term, against those with the same history who stay unexposed.

    The history is that of all terms whose exposure, if it matters for ``lasting`` terms after its own, can still
    move the base outcome (in the spirit of de Chaisemartin and D'Haultfoeuille 2020, 2024). It has to be known, so
    the first terms serve as history only. Later outcomes are compared as long as neither side is exposed again.
    """
    periods = len(panel.terms)
    never = (np.nan_to_num(panel.d, nan=1.0) == 0) | ~panel.present
    pool = never.all(axis=1) if controls == "never" else np.ones(len(panel.y), dtype=bool)
    for group in range(1, periods):
        start = group - 1 - anticipation
        for step in range(-PLACEBOS, lasting + 2):
            term = group + step if step >= 0 else group - anticipation + step
            base = start if step >= 0 else term - 1
            if term >= periods or base - lasting < 0:
                continue
            path = panel.d[:, base - lasting : group]
            still = (panel.d[:, group - 1 - anticipation : group] == 0).all(axis=1)
            after = (panel.d[:, group + 1 : max(term, group) + 1] == 0).all(axis=1)
            usable = still & after & np.isfinite(path).all(axis=1)
            kind = "pre" if step < 0 else "effect" if step <= lasting else "carry_over"
            at = float(step)
            for history in np.unique(path[usable], axis=0):
                same = usable & (path == history).all(axis=1)
                exposed = same & (panel.d[:, group] == 1)
                unexposed = same & pool & (panel.d[:, group] == 0)
                if exposed.any():
                    before = "".join(str(int(each)) for each in history)
                    yield Cell(group, term, base, at, kind, exposed, unexposed, exposed, before)
