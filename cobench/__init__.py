"""cobench: does a school district's work with families do students any good, for whom, how surely?"""

__version__ = "0.1.0"


def open_study(path: str = ".", term: str = "newest", language: str = "zh"):
    """Open the study at or above ``path`` in a notebook; see :func:`cobench.workbench.desk.open_study`."""
    from cobench.workbench.desk import open_study as open_desk

    return open_desk(path, term, language)
