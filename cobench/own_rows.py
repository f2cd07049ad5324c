"""Rows of one school in the derived frames of a term."""

from __future__ import annotations

import pandas as pd

from cobench import reads, store
from cobench.study import Study


def read_own(study: Study, term: str, name: str, school: str) -> pd.DataFrame:
    """Rows of one school in a derived frame of ``term``, by its column ``school`` or by the panel's students.

    A report that reads no more than these is not made anew when another school's rows change.

    Raises
    ------
    StageMissingError
    """
    reads.note("own", term, name, school)
    frame = store.stage_frame(study, term, name)
    own = frame["school"] if "school" in frame else frame["student"].map(school_of_students(study, term))
    return frame[own == school].reset_index(drop=True)


def school_of_students(study: Study, term: str) -> pd.Series:
    """The school of every student of the panel of ``term``."""
    panel = store.stage_frame(study, term, "panel", columns=["student", "school"])
    return panel.set_index("student")["school"]
