"""A PostgreSQL cluster of the tests' own, from the system's package, in a folder that goes with it."""

from __future__ import annotations

import contextlib
import os
import pwd
import shutil
import socket
import subprocess
import tempfile
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

PASSWORD = "s3cret-pässword@/:"


@dataclass(frozen=True)
class Server:
    """A running server; ``admin`` runs SQL as its owner."""

    port: int
    binaries: Path
    socket_dir: Path
    user: str | None

    def admin(self, sql: str) -> None:
        command = [self.binaries / "psql", "-h", self.socket_dir, "-p", str(self.port), "-U", "owner"]
        run([*command, "-d", "postgres", "-v", "ON_ERROR_STOP=1", "-q"], self.user, input=sql.encode())


def binaries() -> Path | None:
    """Folder of the newest server's programs, None where there is none."""
    found = sorted(Path("/usr/lib/postgresql").glob("*/bin/initdb"), key=lambda path: int(path.parts[-3]))
    if found:
        return found[-1].parent
    program = shutil.which("initdb")
    return Path(program).resolve().parent if program else None


def run(command: list, user: str | None, **more) -> None:
    done = subprocess.run(
        [str(part) for part in command], user=user, capture_output=True, check=False, **more
    )
    if done.returncode:
        raise RuntimeError(f"{Path(str(command[0])).name}: {done.stderr.decode(errors='replace')[-500:]}")


def unprivileged() -> str | None:
    """Somebody to run the server as where the tests run as root, which it refuses; None for oneself."""
    if os.geteuid() != 0:
        return None
    for name in ("postgres", "nobody"):
        with contextlib.suppress(KeyError):
            return pwd.getpwnam(name).pw_name
    raise RuntimeError("no user postgres or nobody to run the server as")


@contextlib.contextmanager
def server() -> Iterator[Server]:
    """A server on a free port of this machine that asks for passwords."""
    programs, user = binaries(), unprivileged()
    with tempfile.TemporaryDirectory(prefix="cobench-pg-") as name:
        folder = Path(name)
        if user:
            shutil.chown(folder, user)
        with socket.socket() as free:
            free.bind(("127.0.0.1", 0))
            port = free.getsockname()[1]
        given = folder / "password"
        given.write_text(PASSWORD + "\n", encoding="utf-8")
        if user:
            shutil.chown(given, user)
        data, log = folder / "data", folder / "log"
        make = [
            programs / "initdb",
            "-D",
            data,
            "-U",
            "owner",
            "-E",
            "UTF8",
            "--locale=C",
            f"--pwfile={given}",
        ]
        run([*make, "--auth-host=scram-sha-256", "--auth-local=trust", "--no-sync"], user, cwd=folder)
        options = f"-p {port} -c listen_addresses=127.0.0.1 -k {folder} -c fsync=off"
        control = [programs / "pg_ctl", "-D", data, "-w", "-l", log]
        run([*control, "-o", options, "start"], user, cwd=folder)
        try:
            yield Server(port, programs, folder, user)
        finally:
            run([*control, "-m", "immediate", "stop"], user, cwd=folder)
