"""A GRU's training step on a CPU, where PyTorch has no fused kernel: the memory of its loop, without its operators.

PyTorch computes a GRU on a CPU step by step, with some 150 operators for each step, direction and layer, forwards and
back. On fake tensors that takes seconds. `gru_direction` allocates and frees what they do, in the same order, in a
fraction of the time; the order was read off the allocator's record of the real loop (torch 2.13).
"""

from collections.abc import Callable

import torch
from torch import Tensor

# Called with the name of the pass, its FLOPs, and the bytes that it reads and writes.
Note = Callable[[str, int, int], None]

GATES = 3
# Blocks of (batch, hidden) that the backward pass of a step takes (+) and gives back (-), up to its matrix products;
# letters give back what the forward pass kept. `k`, `n`, `c`: one block each; `g`: the three gates.
_BACK = ("+", "+", "k", "+", "+", "-", "-", "+", "n", "-", "+", "+", "c", "+", "-", "+", "-", "g")


def gru_direction(sequence: Tensor, weights: list[Tensor], state: Tensor, note: Note) -> tuple[Tensor, Tensor]:
    """Output (steps, batch, hidden) and last state (batch, hidden) of one layer in one direction.

    `sequence` is (steps · batch, inputs), `state` (batch, hidden), `weights` are the two matrices and the two biases,
    in that order. The product of the whole sequence with the first matrix is the caller's to hold.
    """
    return _Direction.apply(note, sequence, *weights, state)


class _Direction(torch.autograd.Function):
    # What was kept is freed step by step, not all at the end.
    clear_saved_tensors_on_access = True

    @staticmethod
    def forward(ctx, note, sequence, w_input, w_hidden, b_input, b_hidden, state):
        ctx.set_materialize_grads(False)
        batch, hidden = state.shape
        rows, inputs = sequence.shape
        steps = rows // batch
        ctx.note, ctx.sizes = note, (steps, batch, hidden)
        ctx.flops = 2 * rows * GATES * hidden * (inputs + hidden)
        kept = []
        for _ in range(steps):
            gates = torch.empty(batch, GATES * hidden)
            copy, new, following, kept_copy = (torch.empty(batch, hidden) for _ in range(4))
            kept += [gates, copy, new, kept_copy, state]
            state = following
        output = torch.empty(steps, batch, hidden)
        note("forward", ctx.flops, 4 * (sequence.numel() + 11 * output.numel()))
        ctx.save_for_backward(sequence, w_input, w_hidden, *kept)
        return output, state

    @staticmethod
    def backward(ctx, d_output, d_state):
        sequence, w_input, w_hidden, *kept = ctx.saved_tensors
        steps, batch, hidden = ctx.sizes
        rows = GATES * hidden
        ctx.note("backward", 2 * ctx.flops, 4 * (3 * sequence.numel() + 24 * steps * batch * hidden))
        running, d_gates = [] if d_state is None else [d_state], []
        d_w_hidden = d_b_hidden = None
        for step in range(steps):
            state, kept_copy, new, copy, gates = (kept.pop() for _ in range(5))
            freed = {"k": [kept_copy], "n": [new], "c": [copy], "g": [gates]}
            del kept_copy, new, copy, gates
            # The gradient of the last step, which comes first, is a part of the whole output's and takes no memory of
            # its own: there is a block less to give back.
            for action in _BACK:
                if action == "+":
                    running.append(torch.empty(batch, hidden))
                elif action == "-":
                    if running:
                        running.pop()
                else:
                    freed[action].clear()
            d_row = torch.empty(batch, rows)
            running.pop()
            d_previous = torch.empty(batch, hidden)
            d_weight, d_bias = torch.empty_like(w_hidden), torch.empty(rows)
            del d_row, state
            # The first sum of gradients is a new tensor; the next ones are added to it in place.
            if step == 0:
                d_b_hidden = d_bias
            elif step == 1:
                d_b_hidden = torch.empty_like(d_bias)
            del d_bias
            running.pop()
            if step == 0:
                d_w_hidden = d_weight
            elif step == 1:
                d_w_hidden = torch.empty_like(d_weight)
            del d_weight
            d_gates.append(torch.empty(batch, rows))
            running = [d_previous]
        d_all = torch.empty(steps * batch, rows)
        d_gates.clear()
        d_sequence = torch.empty_like(sequence) if ctx.needs_input_grad[1] else None
        d_w_input, d_b_input = torch.empty_like(w_input), torch.empty(rows)
        del d_all
        return None, d_sequence, d_w_input, d_w_hidden, d_b_input, d_b_hidden, running[0]
