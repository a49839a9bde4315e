"""Measurements in processes of their own: each begins with clean memory, and one that is killed for it goes alone."""

import ctypes
import importlib
import sys
from dataclasses import replace
from multiprocessing import get_context
from multiprocessing.connection import Connection

import psutil
import torch

from sepnb.probing.measuring import USABLE, Measurement, measure, nothing_yet
from sepnb.probing.setting import Setting
from sepnb.probing.story import find_workload
from sepnb.probing.workloads import Workload
from sepnb.processes import main_without_file

# glibc's <malloc.h>. By default the size from which blocks come from the system and go back to it one by one grows to
# 32 MiB; what is smaller leaves gaps, and a step of Conv-TasNet then takes half as much again as its tensors do.
M_MMAP_THRESHOLD, MEBIBYTE = -3, 2**20
# Ended by signal 9, which is what Linux sends to the process that takes most when memory is short.
KILLED = -9


def measure_apart(
    name: str, setting: Setting, device: str = "cpu", repeats: int = 3, expected: int | None = None
) -> Measurement:
    """As `measure`, in a process of its own, with as many threads as here.

    `name` is that of a model of the story, or `module:attribute` for a Workload defined in a module. On Linux, a
    step on the CPU that takes more than what is free is told so before the machine is short of memory. A process that
    the system ends all the same is an outcome too. Errors of the network come back as they are.
    """
    # Fresh ("spawn"): forking a process that has started CUDA or threads can hang.
    context = get_context("spawn")
    result, sender = context.Pipe(duplex=False)
    work = (sender, name, setting, device, repeats, expected, torch.get_num_threads())
    process = context.Process(target=_measure_and_send, args=work, daemon=True)
    with main_without_file():
        process.start()
    # Now the other process has the only open end, and when it is gone, so is the wait for its answer.
    sender.close()
    try:
        answer = result.recv()
    except EOFError:
        process.join()
        answer = replace(nothing_yet(name, setting, device), outcome=_ending(process.exitcode))
    finally:
        process.kill()
        process.join()
    if isinstance(answer, Exception):
        raise answer
    return answer


def named_workload(name: str) -> Workload:
    """A model of the story by its name, or the Workload that `module:attribute` says."""
    module, colon, attribute = name.partition(":")
    return getattr(importlib.import_module(module), attribute) if colon else find_workload(name)


def _measure_and_send(
    sender: Connection,
    name: str,
    setting: Setting,
    device: str,
    repeats: int,
    expected: int | None,
    threads: int,
) -> None:
    torch.set_num_threads(threads)
    if device == "cpu" and sys.platform.startswith("linux"):
        _stay_within_what_is_free()
    try:
        sender.send(measure(named_workload(name), setting, device, repeats, expected))
    except Exception as error:
        sender.send(error)


def _stay_within_what_is_free() -> None:
    """Makes an allocation that goes too far fail, as PyTorch then says; else the system would kill a process."""
    import resource

    library = ctypes.CDLL(None)
    if hasattr(library, "mallopt"):
        library.mallopt(M_MMAP_THRESHOLD, MEBIBYTE)
    most = psutil.Process().memory_info().data + int(USABLE * psutil.virtual_memory().available)
    resource.setrlimit(resource.RLIMIT_DATA, (most, resource.RLIM_INFINITY))


def _ending(code: int) -> str:
    if code == KILLED:
        return "killed: out of memory"
    return f"ended without a result (exit code {code})"
