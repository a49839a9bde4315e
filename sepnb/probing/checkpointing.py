"""Gradient checkpointing: blocks keep their input only, and are computed a second time on the way back.

After Chen et al. 2016, arXiv 1604.06174; the work is done by torch.utils.checkpoint.
"""

from collections.abc import Callable
from contextlib import AbstractContextManager, nullcontext
from functools import partial

from torch import nn
from torch.utils.checkpoint import checkpoint

from sepnb.errors import SepnbError


def checkpoint_blocks(
    network: nn.Module, level: int, recomputing: Callable[[], AbstractContextManager] = nullcontext
) -> int:
    """Checkpoint the blocks that lie `level` lists deep in a network, and return how many there are.

    A list is an nn.ModuleList or nn.Sequential, as most networks keep their layers in. Level 1 are the elements of the
    outermost lists: few and large blocks, each of which is computed again with all that it keeps. Level 2 are
    the elements of the lists inside of those, and so on: more inputs are kept, and less is computed again at a time.
    `recomputing` is a context for the second time. Raises SepnbError where there are no blocks so deep.
    """
    blocks = _blocks(network, level)
    if not blocks:
        raise SepnbError(f"nothing to checkpoint {level} lists deep in {type(network).__name__}")
    for block in blocks:
        # Random numbers are not drawn again as they were: a cost without dropout, and no matter for what is predicted.
        block.forward = partial(
            checkpoint,
            block.forward,
            use_reentrant=False,
            preserve_rng_state=False,
            context_fn=lambda: (nullcontext(), recomputing()),
        )
    return len(blocks)


def checkpoint_levels(network: nn.Module, most: int = 4) -> list[int]:
    """The levels at which there is something to checkpoint, up to `most`."""
    return [level for level in range(1, most + 1) if _blocks(network, level)]


def _blocks(module: nn.Module, level: int, depth: int = 0) -> list[nn.Module]:
    children = list(module.children())
    if isinstance(module, nn.ModuleList | nn.Sequential):
        depth += 1
        if depth == level:
            return [child for child in children if any(True for _ in child.parameters())]
    return [block for child in children for block in _blocks(child, level, depth)]
