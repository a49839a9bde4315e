"""What the fused kernels of recurrent layers take of memory, by formula: oneDNN's on a CPU, cuDNN's on a GPU.

A fused kernel runs all time steps of a layer at once. From the forward to the backward pass it keeps a block that says
nothing to anyone but the kernel (oneDNN calls it the workspace, cuDNN the reserve space), and while it runs it needs
another, which is gone afterwards (oneDNN: scratchpad; cuDNN: workspace). All sizes are in bytes.
"""

PAGE = 4096
LINE = 64  # bytes of a cache line
# oneDNN's lists of pointers to weights and biases, with what aligns them: the same for every size (measured).
POINTERS_TRAINING = 4664
POINTERS_INFERENCE = 4872
# From this batch on, oneDNN's forward pass multiplies the input with the weights step by step, not for all steps.
STEPWISE_BATCH = 128

LSTM_GATES = 4
GRU_GATES = 3


def onednn_workspace(steps: int, batch: int, inputs: int, hidden: int) -> int:
    """Bytes that a layer of nn.LSTM keeps on a CPU (32 bits) in each direction from the forward to the backward pass.

    After oneDNN's source (src/cpu/rnn/rnn_utils: set_workspace_sizes, set_offsets, get_good_ld): the gates, the outputs
    before and after a projection that nobody asked for, inputs and cells of two layers though there is one, and room
    for the gradients of all these, each part on pages of its own. Against torch 2.13 (oneDNN 3.12, a CPU with AVX2) it
    was right to the byte for all of 391 sizes tried: hidden 1 to 2048, inputs 1 to 4096, steps 1 to 800, batch 1 to
    130. Other versions of oneDNN may lay it out otherwise.
    """
    rows = steps * batch
    states = 2 * (steps + 1) * batch  # of the layer and of the one below, before the first step and after each
    width = onednn_row(max(inputs, hidden))
    parts = [
        rows * onednn_row(LSTM_GATES * hidden),
        rows * onednn_row(hidden),
        states * width,  # inputs and outputs
        states * hidden,  # cells
        states * width,  # gradients: of outputs, towards the layer below,
        states * width,  # of outputs, towards the step before,
        states * hidden,  # and of cells
    ]
    return _on_pages(parts)


def onednn_scratchpad(steps: int, batch: int, hidden: int, backward: bool) -> int:
    """Bytes that the same layer needs in training while it runs: the gates of all steps, and two rows of outputs."""
    at_once = steps if backward or batch < STEPWISE_BATCH else 1
    row = batch * onednn_row(hidden)
    return _on_pages([at_once * batch * onednn_row(LSTM_GATES * hidden), row, row]) + POINTERS_TRAINING


def onednn_inference_scratchpad(steps: int, batch: int, inputs: int, hidden: int) -> int:
    """Bytes that the same layer needs while it runs without gradients, when it keeps nothing."""
    states = 2 * (steps + 1) * batch
    parts = [
        states * onednn_row(max(inputs, hidden)),
        states * hidden,
        batch * onednn_row(LSTM_GATES * hidden),
        batch * onednn_row(hidden),
    ]
    return _on_pages(parts) + POINTERS_INFERENCE


def onednn_row(length: int) -> int:
    """Numbers of 32 bits between the beginnings of rows of `length`: whole cache lines, but no multiple of 256."""
    line = LINE // 4
    padded = -(-length // line) * line
    return padded + line if padded % 256 == 0 else padded


def cudnn_reserve(
    steps: int, batch: int, inputs: int, hidden: int, layers: int, directions: int, gates: int, itemsize: int
) -> int:
    """Bytes that a recurrent layer keeps on a GPU between the passes: gates 4 for LSTM, 3 for GRU, 1 for a plain RNN.

    cuDNN does not publish the formula. Ours keeps, for each step, layer and direction, 5 · hidden numbers for an LSTM
    (4 gates and the cell) and 6 for a GRU (3 gates, each before and after it meets the state), and between two layers
    the lower one's output. It follows from what a backward pass needs and from the one measurement that we found: for
    4 layers of 320, PyTorch issue 2895 (cuDNN 6 or 7, P100, 32 bits) prints 736,000,000 bytes for LSTM and 864,000,000
    for GRU, which is 4 · 320 · 25,000 rows · (5 + 3/4) and (6 + 3/4) numbers exactly, if steps · batch was 25,000. For
    a plain RNN (1: the state) and for the masks of dropout between layers (left out) nothing was found. It has not been
    measured here.
    """
    per_layer = {LSTM_GATES: 5, GRU_GATES: 6}.get(gates, 1)
    return steps * batch * hidden * directions * (per_layer * layers + layers - 1) * itemsize


def cudnn_workspace(
    steps: int, batch: int, inputs: int, hidden: int, layers: int, directions: int, gates: int, itemsize: int
) -> int:
    """Bytes that the same layer needs on a GPU while one of its kernels runs.

    A copy of the weights' matrices, and (3 · gates - 1) · hidden numbers for each example, layer and direction: the
    sizes printed in PyTorch issue 2895 (17,730,560 bytes for LSTM, 13,169,920 for GRU) are these, if the batch was 100.
    Like cudnn_reserve, it has not been measured here; it is small beside it.
    """
    matrices = sum(
        directions * gates * hidden * (width + hidden) for width in [inputs] + [directions * hidden] * (layers - 1)
    )
    return (matrices + layers * directions * batch * hidden * (3 * gates - 1)) * itemsize


def _on_pages(parts: list[int]) -> int:
    """Bytes of parts of so many numbers of 32 bits, each beginning on a page."""
    return sum(-(-4 * part // PAGE) * PAGE for part in parts)
