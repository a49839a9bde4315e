"""What `make bench` runs: each module prints ours, the peer's and the ratio, measured side by side."""

import os
from pathlib import Path

# Real clips, in the same place as for the tests; what needs them is left out where they are not.
REAL = Path(os.environ.get("SEPNB_REAL", Path(__file__).resolve().parents[2] / "shared" / "real"))
