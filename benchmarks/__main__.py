"""Run the benchmarks: `python -m benchmarks` for all, `python -m benchmarks stem_decoding` for one."""

import importlib
import sys

BENCHMARKS = (
    "stem_decoding",
    "chunks",
    "training",
    "memory",
    "band_check",
    "bsseval",
    "separation",
    "probing",
    "listening",
)


def main(names: list[str]) -> int:
    unknown = [name for name in names if name not in BENCHMARKS]
    if unknown:
        print(f"There is no benchmark {', '.join(unknown)}: choose from {', '.join(BENCHMARKS)}", file=sys.stderr)
        return 2
    for name in names or BENCHMARKS:
        importlib.import_module(f"benchmarks.{name}").main()
    return 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
