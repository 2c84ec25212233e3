"""A second training with the same functions reuses their compiled program."""

import functools
import itertools
import time
import types

import jax.numpy as jnp
import numpy as np
import pytest

from iclax.training import SGD, minimize, mixed_precision, train
from iclax.training._captured import captured

goal = 1.0
settings = {"goal": [1.0]}
constants = types.ModuleType("constants")
constants.goal = 1.0


class Goal:
    """An objective with a value that its method and its call read."""

    shift = 0.0

    def __init__(self, goal):
        self.goal = goal

    def loss(self, model):
        """The objective as a method."""
        return jnp.sum((model["w"] - self.goal - self.shift) ** 2)

    def __call__(self, model):
        return self.loss(model)


holder = Goal(1.0)


def read_global(model):
    return jnp.sum((model["w"] - goal) ** 2)


def read_inside(model):
    return jnp.sum(jnp.stack([(lambda: (w - goal) ** 2)() for w in model["w"]]))


def read_entry(model):
    return jnp.sum((model["w"] - settings["goal"][0]) ** 2)


def read_module(model):
    return jnp.sum((model["w"] - constants.goal) ** 2)


def read_attribute(model):
    return holder.loss(model)


def call_other(model):
    return read_global(model)


def still(model, key):
    return jnp.sum(model["w"] ** 2)


def closing_over():
    own = np.ones(2)

    def objective(model):
        return jnp.sum((model["w"] - own[0]) ** 2)

    return objective, lambda value: own.fill(value)


def rebinding():
    own = 1.0

    def objective(model):
        return jnp.sum((model["w"] - own) ** 2)

    def change(value):
        nonlocal own
        own = value

    return objective, change


def with_default():
    def objective(model, *, own=1.0):
        return jnp.sum((model["w"] - own) ** 2)

    return objective, lambda value: objective.__kwdefaults__.update(own=value)


def of_partial():
    objective = functools.partial(lambda model, own: read_of(model, own), own=Goal(1.0))
    return objective, functools.partial(setattr, objective.keywords["own"], "goal")


def read_of(model, own):
    return own(model)


def of_class():
    class Own(Goal):
        shift = 0.0

    objective = Own(0.0)
    Own.shift = 1.0
    return objective, functools.partial(setattr, Own, "shift")


def set_global(value):
    global goal
    goal = value


def method():
    own = Goal(1.0)
    return own.loss, functools.partial(setattr, own, "goal")


def instance():
    own = Goal(1.0)
    return own, functools.partial(setattr, own, "goal")


CASES = {
    "global": lambda: (read_global, set_global),
    "inside": lambda: (read_inside, set_global),
    "helper": lambda: (call_other, set_global),
    "entry": lambda: (read_entry, functools.partial(settings["goal"].__setitem__, 0)),
    "module": lambda: (read_module, functools.partial(setattr, constants, "goal")),
    "attribute": lambda: (read_attribute, functools.partial(setattr, holder, "goal")),
    "wrapped": lambda: (mixed_precision(read_global, jnp.float32), set_global),
    "method": method,
    "instance": instance,
    "array": closing_over,
    "closure": rebinding,
    "default": with_default,
    "partial": of_partial,
    "class": of_class,
}


def init(key):
    return {"w": jnp.zeros(2)}


@pytest.mark.parametrize("case", CASES)
def test_a_changed_value_is_seen_by_the_next_training(case):
    objective, change = CASES[case]()
    loss = lambda model, key: objective(model)
    try:
        for value in (1.0, 5.0):
            change(value)
            trained = train(init, loss, steps=60, optimizer=SGD(0.2)).model["w"]
            np.testing.assert_allclose(trained, [[value] * 2], rtol=1e-4)
            found = minimize(init, objective).model["w"]
            np.testing.assert_allclose(found, [[value] * 2], rtol=1e-4)
    finally:
        change(1.0)


@pytest.mark.parametrize("case", CASES)
def test_nothing_is_traced_again_where_nothing_changed(case):
    objective, change = CASES[case]()
    traces = itertools.count()

    def loss(model, key):
        next(traces)
        return objective(model)

    counts = []
    for _ in range(2):
        change(1.0)
        train(init, loss, steps=2, optimizer=SGD(0.2))
        counts.append(next(traces))
    assert counts[1] == counts[0] + 1  # the count's own


def test_the_start_is_not_traced_again_for_other_seeds():
    traces = itertools.count()

    def start(key, hyper):
        next(traces)
        return init(key)

    counts = []
    for seed, rate in ((0, 0.2), (1, 0.1)):
        values = {"learning_rate": [rate]}
        train(start, still, steps=2, seeds=[seed], optimizer=SGD(), hyper=values)
        counts.append(next(traces))
    assert counts[1] == counts[0] + 1


def test_methods_of_one_object_are_one_function():
    traces = itertools.count()

    class Counted(Goal):
        def loss(self, model, key):
            next(traces)
            return super().loss(model)

    own, counts = Counted(1.0), []
    for _ in range(2):
        train(init, own.loss, steps=2, optimizer=SGD(0.2))
        counts.append(next(traces))
    assert counts[1] == counts[0] + 1


def test_a_large_or_endless_surrounding_costs_no_time():
    many = [list(range(1000)) for _ in range(100)]
    many[0].append(many)
    many[1].append(captured)
    many[2] = [[[float(i)] * 100 for i in range(100)] for _ in range(100)]
    start = time.perf_counter()
    assert captured(lambda: many) != captured(lambda: many)
    assert time.perf_counter() - start < 3  # a million values take much longer
