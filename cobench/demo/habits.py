"""Sixty schools, sixty habits: how classes, dates, durations and names are written down."""

from __future__ import annotations

import numpy as np
import pandas as pd

from cobench.demo.district import District

_NUMERALS = " 一二三四五六七八九"
_KINDERGARTEN = {-2: "小", -1: "中", 0: "大"}
_FULL_WIDTH = str.maketrans("0123456789", "０１２３４５６７８９")
_DOTS = ("·", "•", "・")


def class_text(grade: int, number: int, habit: int) -> str:
    """One class as written by habit 0-5; grades -2..0 are kindergarten, 7-9 junior."""
    if grade <= 0:
        year = _KINDERGARTEN[grade]
        return f"{year}{_NUMERALS[number]}班" if habit % 2 == 0 else f"{year}({number})班"
    numeral = _NUMERALS[grade]
    if grade >= 7 and habit >= 4:
        year = _NUMERALS[grade - 6]
        return f"初{year}({number})班" if habit == 4 else f"初{year}{number}班"
    styles = (
        f"{numeral}({number})班",
        f"{numeral}年级{number}班",
        f"{grade}{number:02d}",
        f"{numeral}（{number}）班",
    )
    return styles[habit % 4]


def class_texts(district: District, year: int, habit: int) -> np.ndarray:
    """Every class of the district as written by ``habit``; object array of shape (K,), empty if not running."""
    grades = district.class_grade(year)
    return np.array(
        [
            class_text(grade, number, habit) if -2 <= grade <= 9 else ""
            for grade, number in zip(grades, district.classes["number"], strict=True)
        ],
        dtype=object,
    )


def roster_habit(school: int) -> int:
    """Way in which a school's office writes classes."""
    return (0, 1, 2, 3, 4, 5)[school % 6]


def log_habit(school: int) -> int:
    """Way in which a school's teachers write classes in logs."""
    return (0, 2, 1, 4, 3)[school % 5]


def date_habit(school: int) -> int:
    """0 ISO, 1 slashes, 2 and 3 without the year; schools with August visits or yearly exports write the year."""
    return school % 2 if school % 7 in (0, 4) else school % 4


def date_texts(dates: np.ndarray, habit: int) -> np.ndarray:
    """Dates as text by habit 0-3; object array."""
    day = pd.Series(pd.to_datetime(dates))
    if habit == 0:
        return day.dt.strftime("%Y-%m-%d").to_numpy(dtype=object)
    year, month, number = (part.astype("str") for part in (day.dt.year, day.dt.month, day.dt.day))
    if habit == 1:
        text = year + "/" + month + "/" + number
    elif habit == 2:
        text = month + "月" + number + "日"
    else:
        text = month + "." + number
    return text.to_numpy(dtype=object)


def stamp_texts(stamps: np.ndarray) -> np.ndarray:
    """Times to the minute, empty where missing; object array."""
    return pd.Series(stamps).dt.strftime("%Y-%m-%d %H:%M").astype("object").fillna("").to_numpy(dtype=object)


def minutes_text(minutes: float) -> str:
    """A duration in free text, empty where missing."""
    if np.isnan(minutes):
        return ""
    return {30.0: "半小时", 60.0: "1小时", 90.0: "1.5小时"}.get(minutes, f"{int(minutes)}分钟")


def full_width(texts: np.ndarray) -> np.ndarray:
    """Digits typed with a Chinese input method; object array."""
    return np.array([text.translate(_FULL_WIDTH) for text in texts], dtype=object)


def with_dot(names: np.ndarray, style: int) -> np.ndarray:
    """Names with the dot that this file uses; object array."""
    return np.array([name.replace("·", _DOTS[style % 3]) for name in names], dtype=object)


def spaced(names: np.ndarray) -> np.ndarray:
    """Names of two characters set out to three (张　三), as score books do; object array."""
    return np.array([f"{name[0]}　{name[1]}" if len(name) == 2 else name for name in names], dtype=object)


def birth_texts(months: np.ndarray, habit: int) -> np.ndarray:
    """Birth months as 2014-03, 2014年3月 or 201403; object array."""
    if habit % 3 == 0:
        return np.array(months, dtype=object)
    split = [month.split("-") for month in months]
    if habit % 3 == 1:
        return np.array([f"{year}年{int(month)}月" for year, month in split], dtype=object)
    return np.array([year + month for year, month in split], dtype=object)
