"""Jobs for worker processes, which import them by name."""

import os
import time

from iclax._errors import AssumptionError


def square(name, progress, announce):
    announce(f"{name} begins")
    bar = progress("title", 2, floor=0.5)
    bar(1, 2, {"loss": [float(name)]})
    bar.close()
    return {"square": int(name) ** 2, "process": os.getpid()}


def fail_on_two(name, progress, announce):
    if name == "2":
        raise AssumptionError("this", "that", "another")
    bar = progress("title", 1000)
    for step in range(1000):
        bar(step, 1000, {})
        time.sleep(0.01)
    return {}


def sleep_long(name, progress, announce):
    announce("asleep")
    time.sleep(600)
    return {}


def one_number(context):
    return {"value": 1.0, "process": os.getpid()}


def number_parts(size, seed):
    """Parts that cost nothing, of a recipe that worker processes find by its name."""
    from iclax.experiments._recipe import Part

    return [Part(name, {"seed": seed}, one_number) for name in ("a", "b", "c")]
