"""Where a run computes and in which number format: the accelerator, and the precision that suits the device."""

import torch
from accelerate import Accelerator
from accelerate.state import AcceleratorState, GradientState

from sepnb.errors import SepnbError
from sepnb.training.recipes import Recipe

PRECISIONS = {"fp32": "no", "fp16": "fp16", "bf16": "bf16"}


def choose_precision(asked: str, device: torch.device) -> str:
    """fp32, fp16 or bf16. "auto" is fp32 on a CPU, bf16 on a GPU of compute capability 8 or more, else fp16.

    The capability is asked because `torch.cuda.is_bf16_supported()` also says yes where bf16 is only imitated, slowly,
    as on a T4 (capability 7.5), whose fast 16-bit format is fp16.
    """
    if asked == "auto":
        if device.type != "cuda":
            return "fp32"
        return "bf16" if torch.cuda.get_device_capability(device)[0] >= 8 else "fp16"
    if asked not in PRECISIONS:
        raise SepnbError(f"no precision {asked!r}; there are auto, {', '.join(PRECISIONS)}")
    if asked == "fp16" and device.type == "cpu":
        raise SepnbError("fp16 needs a GPU: on a CPU, choose the precision auto, fp32 or bf16")
    return asked


def start_accelerator(device: str, recipe: Recipe) -> tuple[Accelerator, str]:
    """The accelerator for a run, and its precision; as many processes as `accelerate launch` started, else one.

    Raises SepnbError for a device that is not there, or a batch that cannot be shared out evenly.
    """
    if str(device).split(":")[0] not in ("cpu", "cuda"):
        raise SepnbError(f"training runs on 'cpu' or 'cuda', not on {device!r}")
    kind = torch.device(device)
    if kind.type == "cuda" and not torch.cuda.is_available():
        raise SepnbError(f"there is no CUDA GPU here for device {device!r}: use 'cpu'")
    if kind.index:
        raise SepnbError(f"to train on {device!r}, set CUDA_VISIBLE_DEVICES={kind.index} and use the device 'cuda'")
    precision = choose_precision(recipe.precision, kind)
    # accelerate keeps its settings as long as Python runs; a notebook trains more than once, not always alike.
    AcceleratorState._reset_state(reset_partial_state=True)
    GradientState._reset_state()
    accelerator = Accelerator(
        cpu=kind.type == "cpu",
        mixed_precision=PRECISIONS[precision],
        gradient_accumulation_steps=recipe.accumulate,
    )
    if recipe.batch_size % (accelerator.num_processes * recipe.accumulate):
        raise SepnbError(
            f"a batch of {recipe.batch_size} cannot be shared by {accelerator.num_processes} processes in "
            f"{recipe.accumulate} equal parts: choose a batch size that divides by both"
        )
    return accelerator, precision
