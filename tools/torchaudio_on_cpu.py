"""Let torchaudio import beside a CPU build of torch.

The torchaudio wheels on the package index are built against CUDA: on a CPU-only torch their compiled extension cannot
be loaded, and `import torchaudio` fails with it. The models, pipelines and transforms are plain Python and run without
the extension, which torchaudio skips when the file is absent. So where torch has no CUDA, the file is set aside.
"""

import importlib.util
from pathlib import Path

import torch


def main() -> None:
    if torch.version.cuda is not None:
        return
    folder = Path(importlib.util.find_spec("torchaudio").submodule_search_locations[0]) / "lib"
    for extension in folder.glob("_torchaudio*.so"):
        extension.rename(extension.with_suffix(".so.needs-cuda"))
        print(f"torch {torch.__version__} has no CUDA: set aside {extension.name}, torchaudio runs without it")


if __name__ == "__main__":
    main()
