"""One run in several processes: what the main one decides or reads, all of them go by."""

from collections.abc import Callable
from typing import TypeVar

import torch
from accelerate import Accelerator
from accelerate.utils import broadcast_object_list

from sepnb.errors import SepnbError

Result = TypeVar("Result")


def on_main(accelerator: Accelerator, work: Callable[[], Result]) -> Result:
    """Do `work` in the main process only, and return its result, or raise its SepnbError, in all of them."""
    if accelerator.num_processes == 1:
        return work()
    told = [None, None]
    if accelerator.is_main_process:
        try:
            told[0] = work()
        except SepnbError as error:
            told[1] = error
    result, error = broadcast_object_list(told)
    if error is not None:
        raise error
    return result


def settle(device: torch.device) -> None:
    """Wait until a GPU has done what it was given, or the time of it would be counted with what comes next."""
    if device.type == "cuda":
        torch.cuda.synchronize(device)
