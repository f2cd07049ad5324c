"""Shared set-up: helpers of the tests folder are importable, Chinese output never depends on the machine."""

from __future__ import annotations

import sys
from pathlib import Path

sys.path.insert(0, str(Path(__file__).parent))
