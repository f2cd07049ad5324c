"""What a notebook calls: open a study at a term, then ask for the parts of a page."""

from cobench.workbench.desk import Desk, open_study

__all__ = ["Desk", "open_study"]
