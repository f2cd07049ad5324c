"""What a scheduled run may be told, the same on the command line and in the files that start it."""

from __future__ import annotations

from dataclasses import dataclass, fields
from typing import Literal

from cobench.run.schedule_times import ZONE


@dataclass(frozen=True)
class Options:
    """How a scheduled run waits, goes on and reports.

    Attributes
    ----------
    wait_until : see :func:`cobench.run.schedule_times.parse_deadline`; where empty the term's ``files_due``, and where
        that is absent or past, one look.
    every : minutes between two looks for files.
    if_missing : at the deadline ``stop``, or ``go-on`` without what is missing.
    retries : how often at most failed reports, a locked study or a full disk are tried again.
    pause : seconds before the first of these; each further one takes twice as long.
    keep : log files to keep.
    zone : whose days and hours count.
    jobs : worker processes; 0 for one a processor.
    quiet : print the counts only, nothing about schools (for logs that others read).
    """

    wait_until: str = ""
    every: float = 30.0
    if_missing: Literal["stop", "go-on"] = "stop"
    retries: int = 2
    pause: float = 60.0
    keep: int = 20
    zone: str = ZONE
    jobs: int = 0
    pdf: bool = False
    docx: bool = False
    quiet: bool = False

    def arguments(self) -> list[str]:
        """Options of the command line that say the same; what is as by default is left out, but for the zone."""
        said = []
        for each in fields(self):
            value = getattr(self, each.name)
            if value == each.default and each.name != "zone":
                continue
            flag = f"--{each.name.replace('_', '-')}"
            said += (
                [flag] if value is True else [flag, f"{value:g}" if isinstance(value, float) else str(value)]
            )
        return said
