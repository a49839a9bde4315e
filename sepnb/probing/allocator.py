"""PyTorch's caching allocator for CUDA, simulated: what a step reserves on the card, not only what its tensors hold.

The allocator asks CUDA for segments, cuts blocks from them, and keeps what is freed for later. A segment with one live
block in it stays, so a step may run out of memory while its tensors alone would fit. The rules and sizes are those of
torch 2.6 to 2.13 with default settings (no expandable segments), read in c10/cuda/CUDACachingAllocator.cpp and
c10/core/AllocatorConfig.h of github.com/pytorch/pytorch.
"""

from bisect import bisect_left, insort
from collections import defaultdict
from dataclasses import dataclass, field

from sepnb.probing.trace import Trace

MIB = 2**20
# Every block is a multiple of this.
GRAIN = 512
# Blocks up to this size are cut from small segments, in a pool of their own.
SMALL = MIB
SMALL_SEGMENT = 2 * MIB
# Below this, blocks of the large pool share segments of 20 MiB; from here on, a segment is made to measure.
MEDIUM = 10 * MIB
MEDIUM_SEGMENT = 20 * MIB
LARGE_GRAIN = 2 * MIB


@dataclass(frozen=True)
class Reserved:
    """What the simulation of some steps came to, in bytes."""

    # As torch.cuda.max_memory_allocated counts it: with rounding, and with rests too small to be cut off.
    allocated_peak: int
    # As torch.cuda.max_memory_reserved counts it.
    reserved_peak: int
    # False: the steps ran into the limit, and the peaks are those up to there.
    fits: bool


def round_up(size: int, grain: int = GRAIN) -> int:
    """The next multiple of `grain`."""
    return -(-size // grain) * grain


def simulate(trace: Trace, limit: int | None = None, steps: int = 2) -> Reserved:
    """Run the blocks of a step through the allocator, `steps` times: the second meets what the first has left.

    What was there before the step and outlives it stays put. The rest of what was there (a batch of data) comes anew
    at the beginning of each step, and what a step leaves behind goes at its end. `limit`: bytes that the allocator may
    reserve, which is the card's memory without CUDA's own; None is no limit.
    """
    sizes, born, died = (trace.blocks[column].tolist() for column in ("size", "born", "died"))
    end = len(trace.ops)
    births, deaths, lasting = defaultdict(list), defaultdict(list), set()
    for row, size in enumerate(sizes):
        # CUDA is not asked for nothing.
        if not size:
            continue
        births[born[row]].append(row)
        # What lives within one operator goes after it.
        deaths[min(max(died[row], born[row] + 1), end)].append(row)
        if born[row] < 0 and died[row] >= end:
            lasting.add(row)

    allocator = _Allocator(limit)
    held: dict[int, _Block] = {}
    try:
        for _ in range(steps):
            for moment in range(-1, end + 1):
                for row in deaths[moment]:
                    if row not in lasting:
                        allocator.free(held.pop(row))
                for row in births[moment]:
                    if row not in held:
                        held[row] = allocator.allocate(sizes[row])
    except _OutOfMemory:
        return Reserved(allocator.allocated_peak, allocator.reserved_peak, fits=False)
    return Reserved(allocator.allocated_peak, allocator.reserved_peak, fits=True)


class _OutOfMemory(Exception):
    """A new segment goes over the limit, even with all unused segments given back."""


@dataclass(eq=False, slots=True)
class _Block:
    """A piece of a segment, between its neighbours in it."""

    address: int
    size: int
    pool: "_Pool"
    free: bool = True
    before: "_Block | None" = None
    after: "_Block | None" = None

    @property
    def whole(self) -> bool:
        """Whether this is all of its segment."""
        return self.before is None and self.after is None


@dataclass(eq=False)
class _Pool:
    """Free blocks of small or of large segments, the smallest first, at equal size the lowest address."""

    # A rest is cut off a block when it is at least this large.
    smallest_rest: int
    order: list[tuple[int, int]] = field(default_factory=list)
    blocks: dict[int, _Block] = field(default_factory=dict)

    def add(self, block: _Block) -> None:
        insort(self.order, (block.size, block.address))
        self.blocks[block.address] = block

    def remove(self, block: _Block) -> None:
        del self.order[bisect_left(self.order, (block.size, block.address))]
        del self.blocks[block.address]

    def best_fit(self, size: int) -> _Block | None:
        """The smallest free block that is large enough."""
        place = bisect_left(self.order, (size, 0))
        return self.blocks[self.order[place][1]] if place < len(self.order) else None


class _Allocator:
    """Segments, blocks and the peaks so far."""

    def __init__(self, limit: int | None) -> None:
        self.limit = limit
        self.small = _Pool(smallest_rest=GRAIN)
        self.large = _Pool(smallest_rest=SMALL + 1)
        self.next_address = 0
        self.allocated = self.allocated_peak = 0
        self.reserved = self.reserved_peak = 0

    def allocate(self, size: int) -> _Block:
        size = round_up(size)
        pool = self.small if size <= SMALL else self.large
        block = pool.best_fit(size)
        if block is None:
            block = self._new_segment(size, pool)
        else:
            pool.remove(block)
        if block.size - size >= pool.smallest_rest:
            self._cut(block, size)
        block.free = False
        self.allocated += block.size
        self.allocated_peak = max(self.allocated_peak, self.allocated)
        return block

    def free(self, block: _Block) -> None:
        self.allocated -= block.size
        block.free = True
        if block.before is not None and block.before.free:
            block = self._join(block.before, block, listed=block.before)
        if block.after is not None and block.after.free:
            block = self._join(block, block.after, listed=block.after)
        block.pool.add(block)

    def _new_segment(self, size: int, pool: _Pool) -> _Block:
        if size <= SMALL:
            segment = SMALL_SEGMENT
        elif size < MEDIUM:
            segment = MEDIUM_SEGMENT
        else:
            segment = round_up(size, LARGE_GRAIN)
        if self._too_much(segment):
            self._give_back_unused()
            if self._too_much(segment):
                raise _OutOfMemory
        self.reserved += segment
        self.reserved_peak = max(self.reserved_peak, self.reserved)
        block = _Block(self.next_address, segment, pool)
        self.next_address += segment
        return block

    def _too_much(self, segment: int) -> bool:
        return self.limit is not None and self.reserved + segment > self.limit

    def _give_back_unused(self) -> None:
        """Return the segments that are free as a whole to CUDA."""
        for pool in (self.small, self.large):
            for block in [block for block in pool.blocks.values() if block.whole]:
                pool.remove(block)
                self.reserved -= block.size

    def _cut(self, block: _Block, size: int) -> None:
        """Shorten a block, and list what is left behind it as free."""
        rest = _Block(block.address + size, block.size - size, block.pool, before=block, after=block.after)
        if rest.after is not None:
            rest.after.before = rest
        block.after = rest
        block.size = size
        block.pool.add(rest)

    def _join(self, first: _Block, second: _Block, listed: _Block) -> _Block:
        """Make one of two neighbours; `listed` is the one that its pool lists as free."""
        first.pool.remove(listed)
        first.size += second.size
        first.after = second.after
        if first.after is not None:
            first.after.before = first
        return first
