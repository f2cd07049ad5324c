"""Run the benchmarks of this folder (``ONLY=name`` for one) and gather the line of JSON each ends with."""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path

HERE = Path(__file__).resolve().parent


def main() -> int:
    wanted = sys.argv[1:]
    names = sorted(path.stem for path in HERE.glob("bench_*.py"))
    unknown = [name for name in wanted if f"bench_{name}" not in names]
    if unknown:
        print(f"no benchmark {unknown[0]!r}; there are: {', '.join(n.removeprefix('bench_') for n in names)}")
        return 2
    gathered, failed = {}, False
    for name in names:
        short = name.removeprefix("bench_")
        if wanted and short not in wanted:
            continue
        print(f"== {short}", flush=True)
        done = subprocess.run([sys.executable, HERE / f"{name}.py"], stdout=subprocess.PIPE, text=True)
        print(done.stdout, end="", flush=True)
        failed = failed or done.returncode != 0
        if done.returncode == 0:
            gathered[short] = json.loads(done.stdout.strip().splitlines()[-1])
    print(json.dumps(gathered))
    return 1 if failed else 0


if __name__ == "__main__":
    sys.exit(main())
