"""Who teaches and leads where: invented names, the same all through the demo's terms."""

from __future__ import annotations

from functools import cache

import numpy as np

from cobench.demo.calendar import stream
from cobench.demo.district import District
from cobench.demo.names import invent_names

SUBJECTS = ("chinese", "math", "english", "science")


def of_classes(seed: int, district: District) -> np.ndarray:
    """Names of each class's teachers, shape (K, 4): the class teacher and three others."""
    return _staff(seed, len(district.classes))


@cache
def _staff(seed: int, n: int) -> np.ndarray:
    return invent_names(stream(seed, "teachers"), np.arange(4 * n)).reshape(n, 4)


@cache
def leaders(seed: int, school: int) -> np.ndarray:
    """Names of a school's two leaders."""
    return invent_names(stream(seed, "leaders", school), np.arange(2))


def visitors(seed: int, district: District, place: np.ndarray, role: np.ndarray) -> np.ndarray:
    """Names of those who visited a child of class ``place`` in ``role`` (class teacher, subject teacher, leader)."""
    own = of_classes(seed, district)[place, np.where(role == 0, 0, 1 + place % 3)]
    school = district.classes["school_index"].to_numpy()[place]
    heads = np.array([leaders(seed, index) for index in range(len(district.schools))])
    return np.where(role == 2, heads[school, place % 2], own)


def identity(district: District, school: np.ndarray, names: np.ndarray) -> np.ndarray:
    """Who a name is, as ingest knows a teacher before the pseudonym: school and name."""
    codes = district.schools["school"].to_numpy(dtype=object)[school]
    keys = {name: name.replace("·", "") for name in set(names)}
    return np.array([f"{code}|{keys[name]}" for code, name in zip(codes, names, strict=True)], dtype=object)
