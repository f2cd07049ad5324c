"""Shared set-up: helpers of the tests folder are importable, Chinese output never depends on the machine."""

from __future__ import annotations

import os
import sys
from pathlib import Path

from hypothesis import settings

# Machines are noisy, so no example has a deadline; CI tries the same examples every time, people new ones.
settings.register_profile("cobench", deadline=None, derandomize="CI" in os.environ)
settings.load_profile("cobench")

sys.path.insert(0, str(Path(__file__).parent))
