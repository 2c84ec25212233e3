"""Trains in forked children that a test kills; started by test_training_kills.py.

Reads lines "case folder seconds moment", trains in a child, kills it (SIGKILL) that
many seconds after its launch or its first steps, and answers with its exit status.
Nothing of JAX runs before the fork, so a child is as fresh as a new process, without
paying for the imports.
"""

import os
import signal
import sys
import time
from pathlib import Path

import jax
import jax.numpy as jnp
import jax.random as jr

import iclax.training._pace as pace
import iclax.training._store as store
from iclax.training import SGD, Adam, Average, Cosine, train

# Many calls and many checkpoints in little time.
pace.CALL_SECONDS = 0.004
store.METRICS_SECONDS = 0.02


def init(key):
    return {"w": jr.normal(key, (4,)), "b": jnp.zeros(())}


def loss(model, key):
    xs = jr.normal(key, (8, 4))
    return jnp.mean((jnp.tanh(xs @ model["w"]) + model["b"] - xs[:, 0]) ** 2)


def grow(step):
    return jnp.minimum(1 + step // 6000, 4)


def staged(model, key, stage):
    xs = jnp.where(jnp.arange(4) < stage, jr.normal(key, (8, 4)), 0.0)
    return jnp.mean((xs @ model["w"] - xs[:, 0]) ** 2)


def watch(model):
    return {"norm": jnp.sum(model["w"] ** 2)}


CASES = {
    "adam": dict(
        loss=loss,
        optimizer=Adam(0.01, Cosine()),
        seeds=[1],
        watch=watch,
        average=Average(0.7),
    ),
    "momentum": dict(loss=loss, optimizer=SGD(0.01, momentum=0.9), seeds=[1, 2, 3]),
    "stages": dict(
        loss=staged,
        optimizer=Adam(),
        seeds=[5, 5],
        curriculum=grow,
        accumulate=2,
        hyper={"learning_rate": [0.01, 0.1]},
    ),
}


def run(case, folder, progress=None):
    options = dict(steps=30_001, record_every=50, folder=folder, checkpoint_every=0.03)
    train(init, progress=progress, **(options | CASES[case]))


def child(case, folder, training):
    jax.config.update("jax_compilation_cache_dir", str(Path(folder).parent / "cache"))
    jax.config.update("jax_persistent_cache_min_compile_time_secs", 0.0)
    jax.config.update("jax_persistent_cache_min_entry_size_bytes", 0)

    def progress(step, total, metrics):
        os.write(training, b".")
        time.sleep(2e-3)

    run(case, folder, progress)


def wait_or_kill(pid, seconds, training):
    if training is not None:
        os.read(training, 1)  # returns at the first steps, or at the child's end
    end = time.monotonic() + seconds
    while time.monotonic() < end:
        gone, status = os.waitpid(pid, os.WNOHANG)
        if gone:
            return os.waitstatus_to_exitcode(status)
        time.sleep(0.001)
    os.kill(pid, signal.SIGKILL)
    return os.waitstatus_to_exitcode(os.waitpid(pid, 0)[1])


def main():
    for line in sys.stdin:
        case, folder, seconds, moment = line.split()
        here, there = os.pipe()
        pid = os.fork()
        if pid == 0:
            status = 1
            try:
                child(case, folder, there)
                status = 0
            finally:
                os._exit(status)
        os.close(there)
        began = here if moment == "training" else None
        print(wait_or_kill(pid, float(seconds), began), flush=True)
        os.close(here)


if __name__ == "__main__":
    main()
