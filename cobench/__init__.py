"""cobench: does a school district's work with families do students any good, for whom, how surely?"""

__version__ = "0.1.0"


def open_study(path: str = ".", *, term: str | None = None):
    """Open the study at or above ``path`` for notebooks; see :class:`cobench.term.OpenStudy`."""
    from cobench.term import open_study as _open

    return _open(path, term=term)
