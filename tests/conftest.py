"""What every test stands on: the examples of property-based tests are the same each time.

A suite that passes today passes tomorrow; `HYPOTHESIS_PROFILE=search` looks for other examples.
"""

from __future__ import annotations

import os

from hypothesis import settings

settings.register_profile("fixed", deadline=None, derandomize=True)
settings.register_profile("search", deadline=None)
settings.load_profile(os.environ.get("HYPOTHESIS_PROFILE", "fixed"))
