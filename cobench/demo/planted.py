"""What the activities truly do in the demo district: the planted effects."""

from __future__ import annotations

import numpy as np

LEVELS = ("none", "remote", "at_home", "targeted", "urgent")
NONE, REMOTE, AT_HOME, TARGETED, URGENT = range(5)

# By level, in SDs of the outcome's own process; what is not listed is zero.
VISIT_EFFECTS = {
    "math": {AT_HOME: 0.05, TARGETED: 0.08},
    "chinese": {AT_HOME: 0.03, TARGETED: 0.05},
    "belonging": {AT_HOME: 0.05, TARGETED: 0.22},
}
LEFT_BEHIND_EXTRA = {"math": 0.10}
"""Added to a targeted visit's effect for children left behind."""

TARGETED_KEEPS_ABSENCES = 0.85
"""Share of absences that remains after a targeted visit."""

LECTURE_EFFECTS = {"relation": 0.16, "math": 0.0}


def visit_effect(outcome: str, level: np.ndarray, left_behind: np.ndarray) -> np.ndarray:
    """Effect of each child's realised exposure against none, in SDs of the process; shape of ``level``."""
    by_level = np.array([VISIT_EFFECTS[outcome].get(each, 0.0) for each in range(len(LEVELS))])
    extra = LEFT_BEHIND_EXTRA.get(outcome, 0.0) * (level == TARGETED) * left_behind
    return by_level[level] + extra


def lecture_effect(outcome: str, attended: np.ndarray) -> np.ndarray:
    """Effect of having attended a lecture, in SDs of the process; shape of ``attended``."""
    return LECTURE_EFFECTS[outcome] * attended
