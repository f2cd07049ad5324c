"""One log a scheduled run, in ``private/logs``: what happened when. No personal data, no secret."""

from __future__ import annotations

import io
import os
import traceback
from collections.abc import Callable, Mapping
from contextlib import suppress
from datetime import datetime
from pathlib import Path
from types import TracebackType

from cobench.lock import storing
from cobench.run.kernels import private_folder

_SECRET = ("PASSWORD", "WEBHOOK", "KEY", "TOKEN", "SECRET")
_LEAST = 4


class RunLog(io.TextIOBase):
    """A text file whose lines carry the time; use as a context manager.

    Parameters
    ----------
    root : the study's folder.
    now : the time, with its zone.
    keep : newest logs to keep, this one included; older ones are removed.
    secrets : never to be written, whoever writes them.
    echo : is told each line as well, for somebody who watches.

    Raises
    ------
    StorageError
        When no log can be begun. A disk that fills up later costs lines of the log, not the run.
    """

    def __init__(
        self,
        root: Path,
        now: Callable[[], datetime],
        keep: int,
        secrets: tuple[str, ...] = (),
        echo: Callable[[str], None] | None = None,
    ):
        self.now, self.echo, self.part = now, echo, ""
        self.secrets = tuple(sorted((s for s in secrets if len(s) >= _LEAST), key=len, reverse=True))
        with storing():
            private_folder(root / "private")
            folder = private_folder(root / "private" / "logs")
            self.path = folder / f"{now():%Y-%m-%dT%H%M%S.%f}-{os.getpid()}.log"
            for old in sorted(folder.glob("*.log"))[: -(keep - 1) or None]:
                old.unlink(missing_ok=True)
            handle = os.open(self.path, os.O_WRONLY | os.O_CREAT | os.O_APPEND, 0o600)
        self.file = os.fdopen(handle, "w", encoding="utf-8", errors="backslashreplace")

    def write(self, text: str) -> int:
        """Write what is whole lines, each with its time; the rest waits for its end."""
        *lines, self.part = (self.part + text).split("\n")
        for line in lines:
            if line.strip():
                masked = self._masked(line)
                with suppress(OSError):
                    self.file.write(f"{self.now().isoformat(timespec='seconds')} {masked}\n")
                    self.file.flush()
                if self.echo:
                    self.echo(masked)
        return len(text)

    def say(self, text: str) -> None:
        """Write one or more lines."""
        self.write(text + "\n")

    def say_error(self, error: BaseException) -> None:
        """Kind and place of an error that nobody expected; its message may hold what is in the data."""
        self.say(f"{type(error).__name__}:")
        for frame in traceback.extract_tb(error.__traceback__):
            self.say(f"  {Path(frame.filename).name}:{frame.lineno} {frame.name}")

    def close(self) -> None:
        if not self.closed:
            if self.part:
                self.write("\n")
            with suppress(OSError):
                self.file.close()
        super().close()

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()

    def writable(self) -> bool:
        return True

    def _masked(self, line: str) -> str:
        for secret in self.secrets:
            line = line.replace(secret, "***")
        return line


def secrets_of(environment: Mapping[str, str], also: tuple[str, ...] = ()) -> tuple[str, ...]:
    """Values of cobench's environment variables that are secret by their name, and of those in ``also``."""
    own = [name for name in environment if name.startswith("COBENCH_") and any(s in name for s in _SECRET)]
    return tuple({environment[name] for name in (*own, *also) if environment.get(name)})
