"""What every test stands on: the examples of property-based tests are the same each time.

A suite that passes today passes tomorrow; `HYPOTHESIS_PROFILE=search` looks for other examples. XLA optimises little
for the tests, whose tiny models take much longer to compile than to run; but for the main experiment's command in
`tests/test_every_experiment.py`, which runs as a user's does.
"""

from __future__ import annotations

import os
from importlib.metadata import version

from hypothesis import settings

os.environ.setdefault("JAX_DISABLE_MOST_OPTIMIZATIONS", "1")  # before JAX is imported
if version("jaxlib").startswith("0.10."):  # one that does not know a flag ends the process
    # Emitters that compile in less than half the time: 2.3 s instead of 5 to 7 for a small training.
    os.environ.setdefault("XLA_FLAGS", "--xla_cpu_use_fusion_emitters=false --xla_cpu_parallel_codegen_split_count=1")
os.environ.setdefault("OMP_NUM_THREADS", "1")  # before scikit-learn is: the tests are as many processes as cores

settings.register_profile("fixed", deadline=None, derandomize=True)
settings.register_profile("search", deadline=None)
settings.load_profile(os.environ.get("HYPOTHESIS_PROFILE", "fixed"))
