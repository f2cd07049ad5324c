"""Invented names and student numbers (学籍号): nobody real, checksums valid, duplicates where they are wanted."""

from __future__ import annotations

import numpy as np
import pandas as pd

SURNAMES = (
    "王李张刘陈杨黄赵吴周徐孙马朱胡林郭何高罗郑梁谢宋唐许邓韩冯曹彭曾肖田董潘袁蔡蒋余于杜叶程魏苏吕丁任卢姚沈钟姜崔谭陆范汪廖"
    "石金韦贾夏付方邹熊白孟秦邱侯江尹薛闫段雷龙黎史陶贺毛郝顾龚邵万覃武钱戴严莫孔向常"
)
GIVEN = (
    "伟芳敏静丽强磊军洋勇艳杰娟涛明超秀霞平刚桂英华玉萍红玲芬燕彬凤洁梅琳素云莲真环雪荣爱妹香月莺媛瑞凡佳嘉琼勤珍贞莉锦黛青倩"
    "婷宁欣怡子轩浩宇梓涵诗雨晨曦思远俊熙天佑泽楷睿博文昊然一诺可馨若溪语桐沐阳星辰景行知行乐安亦辰书瑶雅芙清和允川望舒"
)
COMPOUND = ("欧阳", "司徒", "上官", "诸葛")
RARE = ("堃", "喆", "赟", "翀", "璟", "珺", "䶮", "㛃", "𬀩", "𬭎")
DOT_FIRST = ("阿依", "古丽", "阿米娜", "买尔旦", "扎西", "卓玛", "迪丽", "艾力")
DOT_LAST = ("买买提", "吐尔逊", "艾山", "热合曼", "多吉", "央金", "努尔", "卡德尔")

REGION = "999901"
_WEIGHTS = np.array([7, 9, 10, 5, 8, 4, 2, 1, 6, 3, 7, 9, 10, 5, 8, 4, 2])
_CHECK = np.array(list("10X98765432"))


def invent_names(rng: np.random.Generator, cohort: np.ndarray) -> np.ndarray:
    """One name a person, unique within ``cohort`` (people who may share a class), repeated across cohorts.

    Parameters
    ----------
    cohort : int array of shape (n,)

    Returns
    -------
    object array of shape (n,)
    """
    names = _draw(rng, len(cohort))
    for _ in range(100):
        twice = pd.DataFrame({"cohort": cohort, "name": names}).duplicated().to_numpy()
        if not twice.any():
            return names
        names[twice] = _draw(rng, int(twice.sum()))
    raise AssertionError("the pool of names is too small for this many people")


def _draw(rng: np.random.Generator, n: int) -> np.ndarray:
    rank = np.arange(1, len(SURNAMES) + 1)
    weight = 1 / (rank + 6)
    surname = np.array(list(SURNAMES), dtype=object)[
        rng.choice(len(SURNAMES), size=n, p=weight / weight.sum())
    ]
    compound = rng.random(n) < 0.004
    surname[compound] = rng.choice(np.array(COMPOUND, dtype=object), int(compound.sum()))
    given = np.array(sorted(set(GIVEN)), dtype=object)
    first, second = rng.choice(given, n), rng.choice(given, n)
    rare = rng.random(n) < 0.008
    second[rare] = rng.choice(np.array(RARE, dtype=object), int(rare.sum()))
    second[(rng.random(n) < 0.12) & ~rare] = ""
    names = surname + first + second
    dotted = rng.random(n) < 0.006
    n_dotted = int(dotted.sum())
    names[dotted] = (
        rng.choice(np.array(DOT_FIRST, dtype=object), n_dotted)
        + "·"
        + rng.choice(np.array(DOT_LAST, dtype=object), n_dotted)
    )
    return names


def invent_numbers(rng: np.random.Generator, births: np.ndarray, boys: np.ndarray) -> np.ndarray:
    """Student numbers: a letter and an 18-digit number of a region code that no place has.

    Parameters
    ----------
    births : datetime64[D] array of shape (n,)
    boys : bool array of shape (n,)
        Decides the parity of the serial number.

    Returns
    -------
    object array of shape (n,) of 19-character texts, all different.
    """
    day = pd.Series(births).dt.strftime("%Y%m%d")
    serial = day.groupby([day, boys]).cumcount().to_numpy() * 2 + boys + 100
    bodies = REGION + day.to_numpy(dtype=object) + pd.Series(serial).astype("str").to_numpy(dtype=object)
    letter = rng.choice(np.array(["G", "J", "L"], dtype=object), len(bodies), p=[0.96, 0.03, 0.01])
    return letter + bodies + check_character(bodies)


def check_character(bodies: np.ndarray) -> np.ndarray:
    """Check characters (mod 11-2, GB 11643-1999) of 17-digit texts; object array of the same shape."""
    digits = np.array([list(body) for body in bodies], dtype=int).reshape(-1, 17)
    return _CHECK[digits @ _WEIGHTS % 11].astype(object)


def number_is_valid(number: str) -> bool:
    """Whether a 19-character student number has a right check character."""
    body, check = number[1:18], number[18:]
    return len(number) == 19 and body.isdigit() and check_character(np.array([body]))[0] == check
