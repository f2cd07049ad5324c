"""Simulated districts with a planted truth: schools, classes, students, and an exposure selected in a declared way.

A :class:`World` is a set of parameters, :func:`draw_district` one district of it. ``gain`` is what exposure adds to
each student's outcome, so the realised effect on the exposed is known exactly.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import pandas as pd

COVARIATES = ["lagged", "left_behind", "poor", "engagement", "sex"]
FAMILY = ["score", "score_2", "score_3", "score_4"]
SCHOOL_SPREAD, CLASS_SPREAD, NOISE = 0.35, 0.25, 0.6
EAGERNESS_OF_SCHOOL, EAGERNESS_OF_CLASS = 0.5, 0.9


@dataclass(frozen=True)
class World:
    """How one kind of district comes about; spreads are in units of the outcome, slopes in log odds.

    Attributes
    ----------
    title : str
    schools, classes, students : int
        Schools, classes a school, students a class.
    usual : float
        Log odds of exposure of a usual student.
    effect : float
        Mean gain; 0 makes it zero for everybody.
    need : float
        Slope of exposure on the student's need (low score, left behind, poor, little engagement).
    school_policy, class_policy : float
        Slope of exposure on the level of the school, or on the shock of the class, that moves the outcome too.
    curve : float
        Slope of the outcome on the squared prior score.
    unmeasured : float
        Slope of exposure on a worry that nobody recorded and that lowers the outcome.
    whole_schools : bool
        Half of the schools, drawn by lot, are exposed as a whole.
    invitation : float or None
        Shift of the attendance of a lecture by an invitation drawn by lot for one of the two classes of a school;
        the engaged, whom nobody measured, come anyway.
    invitation_acts : float
        What being invited adds to the outcome by itself.
    """

    title: str
    schools: int = 40
    classes: int = 2
    students: int = 15
    effect: float = 0.2
    need: float = 1.0
    usual: float = -0.9
    school_policy: float = 0.0
    class_policy: float = 0.0
    curve: float = 0.0
    unmeasured: float = 0.0
    whole_schools: bool = False
    invitation: float | None = None
    invitation_acts: float = 0.0


WORLDS = {
    "students": World("Selection on students' need, 40 schools"),
    "schools": World(
        "Selection on schools: weaker schools visit more", school_policy=2.0
    ),
    "classes": World(
        "Selection on classes: teachers of struggling classes visit more",
        schools=12, classes=4, students=25, class_policy=4.0,
    ),
    "twelve": World("12 schools", schools=12, classes=3, students=30),
    "six": World("6 schools", schools=6, classes=5, students=35),
    "overlap": World("Weak overlap: need decides nearly everything", need=3.0),
    "curve": World("Few visits, outcome curved in the prior score", 12, 3, 30, usual=-2.2, curve=0.4),
    "lot": World(
        "Whole schools by lot, 20 of 40", whole_schools=True, students=13
    ),
    "lot_twelve": World(
        "Whole schools by lot, 6 of 12", schools=12, classes=3, students=30,
        whole_schools=True,
    ),
    "null": World(
        "No effect at all, selection on students and schools", effect=0.0,
        school_policy=2.0,
    ),
    "null_twelve": World(
        "No effect at all, 12 schools", effect=0.0, schools=12, classes=3, students=30
    ),
    "unmeasured": World("A worry nobody recorded drives visits", unmeasured=1.0),
    "invitation": World(
        "Invited by lot, strong", schools=20, students=25, invitation=0.5
    ),
    "weak_invitation": World(
        "Invited by lot, weak", schools=20, students=25, invitation=0.08
    ),
    "invitation_acts": World(
        "The invitation works by itself", schools=20, students=25, invitation=0.5,
        invitation_acts=0.15,
    ),
}  # fmt: skip


def draw_district(world: World, seed: int) -> pd.DataFrame:
    """One district.

    Returns
    -------
    DataFrame
        One row a student: ``school``, ``class_id``, :data:`COVARIATES`, ``visit`` (0, 1), outcomes :data:`FAMILY`
        (the last three without any effect), ``gain``, and ``invited`` where there is an invitation.
    """
    draw = np.random.default_rng(seed)
    school = np.repeat(np.arange(world.schools), world.classes * world.students)
    group = np.repeat(np.arange(world.schools * world.classes), world.students)
    level = draw.normal(0, SCHOOL_SPREAD, world.schools)
    frame = _students(draw, level[school]).assign(
        school=[f"S{code:02d}" for code in school], class_id=[f"C{code:03d}" for code in group]
    )
    shock = draw.normal(0, CLASS_SPREAD, world.schools * world.classes)
    hidden = draw.normal(0, 1, len(frame))
    if world.invitation is not None:
        return _with_lecture(draw, frame, world, level[school] + shock[group], hidden)
    visit = _visits(draw, frame, world, school, group, level, shock, hidden)
    gain = np.zeros(len(frame))
    if world.effect:
        gain = world.effect + 0.06 * (frame["left_behind"] - 0.2) - 0.05 * frame["lagged"]
    common = level[school] + shock[group] - 0.4 * (world.unmeasured > 0) * hidden
    without = common + _expected(frame, world) + draw.normal(0, NOISE, len(frame))
    others = {name: without * 0.5 + draw.normal(0, NOISE, len(frame)) for name in FAMILY[1:]}
    return frame.assign(visit=visit, score=without + gain * visit, gain=gain, **others)


def _students(draw: np.random.Generator, level: np.ndarray) -> pd.DataFrame:
    n = len(level)
    lagged = 0.8 * level + draw.normal(0, 1, n)
    return pd.DataFrame(
        {
            "lagged": lagged,
            "left_behind": (draw.random(n) < 0.2).astype(float),
            "poor": (draw.random(n) < 0.25).astype(float),
            "engagement": 0.3 * lagged + draw.normal(0, 1, n),
            "sex": np.where(draw.random(n) < 0.5, "f", "m"),
        }
    )


def _expected(frame: pd.DataFrame, world: World) -> pd.Series:
    """Outcome without exposure, apart from what schools and classes share."""
    return (
        0.6 * frame["lagged"] - 0.25 * frame["left_behind"] - 0.2 * frame["poor"] + 0.25 * frame["engagement"]
        + 0.05 * (frame["sex"] == "f") + world.curve * frame["lagged"] ** 2
    )  # fmt: skip


def _visits(
    draw: np.random.Generator,
    frame: pd.DataFrame,
    world: World,
    school: np.ndarray,
    group: np.ndarray,
    level: np.ndarray,
    shock: np.ndarray,
    hidden: np.ndarray,
) -> np.ndarray:
    """Exposure, 0 or 1. Schools and classes also differ by chance in how many they visit."""
    if world.whole_schools:
        return draw.permutation(np.arange(world.schools) % 2)[school].astype(float)
    need = (
        -0.5 * frame["lagged"] + 0.6 * frame["left_behind"] + 0.4 * frame["poor"] - 0.3 * frame["engagement"]
    )
    eagerness = draw.normal(0, EAGERNESS_OF_SCHOOL, world.schools) - world.school_policy * level
    eagerness_of_class = draw.normal(0, EAGERNESS_OF_CLASS, len(shock)) - world.class_policy * shock
    logit = (
        world.usual
        + world.need * need
        + eagerness[school]
        + eagerness_of_class[group]
        + world.unmeasured * hidden
    )
    return (draw.random(len(frame)) < 1 / (1 + np.exp(-logit))).astype(float)


def _with_lecture(
    draw: np.random.Generator, frame: pd.DataFrame, world: World, common: np.ndarray, hidden: np.ndarray
) -> pd.DataFrame:
    """Attendance moved by an invitation drawn for one class of each pair; the effect is the same for everybody."""
    first = draw.integers(2, size=world.schools)
    place = frame["class_id"].str[1:].astype(int)
    invited = ((place % 2) == first[place // 2]).astype(float)
    attends = (draw.random(len(frame)) < 0.3 + world.invitation * invited) & (hidden < 0.8)
    attends |= hidden > 1.2
    score = (
        common + _expected(frame, world) + 0.5 * hidden + world.effect * attends
        + world.invitation_acts * invited + draw.normal(0, NOISE, len(frame))
    )  # fmt: skip
    return frame.assign(visit=attends.astype(float), invited=invited, score=score, gain=world.effect)
