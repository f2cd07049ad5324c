"""Write the raw file of the IHDP example: the trial's data out of a public wheel.

The wheel is only read; econml itself is never installed or imported.
"""

from __future__ import annotations

import subprocess
import sys
import tempfile
import zipfile
from pathlib import Path

WHEEL = "econml==0.17.0"
MEMBER = "econml/data/ihdp/example_full.csv"
ROOT = Path(__file__).resolve().parent


def main() -> Path:
    target = ROOT / "data" / "raw" / "trial" / "ihdp.csv"
    if target.exists():
        return target
    with tempfile.TemporaryDirectory() as folder:
        command = [sys.executable, "-m", "pip", "download", "--quiet", "--no-deps", "--dest", folder, WHEEL]
        subprocess.run(command, check=True, stderr=subprocess.PIPE)
        wheel = next(Path(folder).glob("econml-*.whl"))
        with zipfile.ZipFile(wheel) as archive:
            content = archive.read(MEMBER)
    target.parent.mkdir(parents=True, exist_ok=True)
    target.write_bytes(content)
    return target


if __name__ == "__main__":
    print(main().relative_to(ROOT))
