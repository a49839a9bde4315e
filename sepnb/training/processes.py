"""One run in several processes: what the main one decides or reads, all of them go by."""

from collections.abc import Callable
from typing import TypeVar

import torch
from accelerate import Accelerator
from accelerate.utils import broadcast_object_list

from sepnb.errors import SepnbError

Result = TypeVar("Result")


def on_main(accelerator: Accelerator, work: Callable[[], Result]) -> Result:
    """Do `work` in the main process only, and return its result in all of them.

    Whatever it raises ends all of them: the others raise a SepnbError, instead of waiting for it forever.
    """
    if accelerator.num_processes == 1:
        return work()
    result = failure = None
    if accelerator.is_main_process:
        try:
            result = work()
        except Exception as error:  # raised again below, when the others know
            failure = error
    result, problem = broadcast_object_list([result, failure and _in_words(failure)])
    if failure is not None:
        raise failure
    if problem is not None:
        raise SepnbError(problem)
    return result


def _in_words(error: Exception) -> str:
    if isinstance(error, SepnbError):
        return str(error)
    return f"the main process failed ({type(error).__name__}: {error})"


def settle(device: torch.device) -> None:
    """Wait until a GPU has done what it was given, or the time of it would be counted with what comes next."""
    if device.type == "cuda":
        torch.cuda.synchronize(device)
