"""Files that are whole or absent, whatever fails or dies while they are written."""

import errno
import json
import multiprocessing
import os
import resource
import signal
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest

import iclax._files as files
from iclax._errors import RunError
from iclax._files import Lock, write_atomic
from iclax._tensors import pack, read_tensors, unpack, write_tensors
from iclax.training._checkpoint import Checkpoint, newest, save

SRC = str(Path(__file__).parent.parent / "src")


def checkpoint(step):
    return Checkpoint(step, {"w": np.full((4, 3), float(step))}, {"note": step})


def assert_whole(found, *steps):
    assert found.step in steps and found.notes == {"note": found.step}
    assert np.array_equal(found.arrays["w"], np.full((4, 3), float(found.step)))


@pytest.mark.parametrize(
    "dtype", [np.float64, np.float32, np.int32, np.uint32, bool, "bfloat16", np.uint8]
)
def test_tensors_come_back_bit_for_bit(dtype):
    if dtype == "bfloat16":
        from ml_dtypes import bfloat16 as dtype
    values = {
        "matrix": np.arange(6).reshape(2, 3).T.astype(dtype),  # not contiguous
        "number": np.array(1, dtype),
        "empty": np.zeros((0, 2), dtype),
    }
    found = unpack(pack(values))
    for name, value in values.items():
        assert found[name].dtype == value.dtype and found[name].shape == value.shape
        assert np.array_equal(found[name], value)


def test_what_a_killed_writer_left_is_deleted_by_the_next(tmp_path):
    for step in (1, 2):
        save(tmp_path, checkpoint(step))
    (tmp_path / "step-000000000003.safetensors").write_bytes(b"half of a checkpoint")
    save(tmp_path, checkpoint(4))
    assert {path.stem[-1] for path in tmp_path.iterdir()} == {"2", "4"}


def test_a_damaged_checkpoint_is_no_reserve(tmp_path):
    for step in (1, 2):
        save(tmp_path, checkpoint(step))
    (tmp_path / "step-000000000002.safetensors").write_bytes(b"")
    assert_whole(newest(tmp_path), 1)
    save(tmp_path, checkpoint(3))
    (tmp_path / "step-000000000003.safetensors").write_bytes(b"")
    assert_whole(newest(tmp_path), 1)


def test_the_two_newest_checkpoints_are_kept(tmp_path):
    for step in (1, 2, 3, 10):
        save(tmp_path, checkpoint(step))
    assert_whole(newest(tmp_path), 10)
    assert len(list(tmp_path.iterdir())) == 4
    assert sorted(
        json.loads(p.read_text())["step"] for p in tmp_path.glob("*.json")
    ) == [
        3,
        10,
    ]


@pytest.mark.parametrize("suffix", ["safetensors", "json"])
@pytest.mark.parametrize("damage", ["cut", "flip", "empty", "missing"])
def test_a_damaged_newest_checkpoint_is_passed_over(tmp_path, suffix, damage):
    save(tmp_path, checkpoint(1))
    save(tmp_path, checkpoint(2))
    path = tmp_path / f"step-{2:012d}.{suffix}"
    content = path.read_bytes()
    middle = len(content) // 2
    if damage == "cut":
        path.write_bytes(content[:middle])
    elif damage == "flip":
        path.write_bytes(
            content[:middle] + bytes([content[middle] ^ 255]) + content[middle + 1 :]
        )
    elif damage == "empty":
        path.write_bytes(b"")
    else:
        path.unlink()
    assert_whole(newest(tmp_path), 1)


def test_if_all_are_damaged_it_says_so(tmp_path):
    assert newest(tmp_path) is None
    save(tmp_path, checkpoint(1))
    (tmp_path / f"step-{1:012d}.safetensors").write_bytes(b"x")
    with pytest.raises(RunError, match="checksum.*Delete the folder"):
        newest(tmp_path)


def die_at(operation, folder):
    """In a child: write a checkpoint and die at the given file operation."""
    left = [operation]

    def dying(function):
        def wrapped(*args, **kwargs):
            left[0] -= 1
            if left[0] == 0:
                os.kill(os.getpid(), signal.SIGKILL)
            return function(*args, **kwargs)

        return wrapped

    real = files._write

    def half(path, content, durable):
        left[0] -= 1
        if left[0] == 0:
            path.write_bytes(content[: len(content) // 2])
            os.kill(os.getpid(), signal.SIGKILL)
        real(path, content, durable)

    files._write = half
    os.replace, os.fsync = dying(os.replace), dying(os.fsync)
    Path.unlink = dying(Path.unlink)
    save(folder, checkpoint(3))
    os._exit(0)


@pytest.mark.filterwarnings("ignore:.*fork.*")
def test_death_at_any_file_operation_leaves_a_whole_checkpoint(tmp_path):
    context, operation, deaths = multiprocessing.get_context("fork"), 0, []
    while True:
        operation += 1
        folder = tmp_path / f"{operation}"
        folder.mkdir()
        save(folder, checkpoint(1))
        save(folder, checkpoint(2))
        child = context.Process(target=die_at, args=(operation, folder))
        child.start()
        child.join()
        found = newest(folder)
        assert_whole(found, 2, 3)
        files.remove_leftovers(folder)
        assert not list(folder.glob(".*"))
        save(folder, checkpoint(4))  # and the next process goes on
        assert_whole(newest(folder), 4)
        if child.exitcode == 0:
            break
        assert child.exitcode == -signal.SIGKILL
        deaths.append(found.step)
    assert len(deaths) >= 10 and {2, 3} == set(deaths) and deaths == sorted(deaths)


def test_a_full_disk_is_said_and_nothing_is_lost(tmp_path, monkeypatch):
    save(tmp_path, checkpoint(1))

    def full(handle):
        raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))

    monkeypatch.setattr(os, "fsync", full)
    with pytest.raises(RunError, match="no room to write.*kept"):
        save(tmp_path, checkpoint(2))
    monkeypatch.undo()
    assert_whole(newest(tmp_path), 1)
    assert not list(tmp_path.glob(".*"))


def limited(folder, size):
    signal.signal(signal.SIGXFSZ, signal.SIG_IGN)
    resource.setrlimit(resource.RLIMIT_FSIZE, (size, size))
    try:
        write_atomic(folder / "big", b"x" * (4 * size))
    except RunError as error:
        (folder / "said").write_text(str(error)[: size - 1])
        os._exit(3)
    os._exit(0)


@pytest.mark.filterwarnings("ignore:.*fork.*")
def test_a_real_limit_on_file_size(tmp_path):
    (tmp_path / "big").write_bytes(b"before")
    context = multiprocessing.get_context("fork")
    child = context.Process(target=limited, args=(tmp_path, 4096))
    child.start()
    child.join()
    assert child.exitcode == 3
    assert "no room to write" in (tmp_path / "said").read_text()
    assert (tmp_path / "big").read_bytes() == b"before"
    assert not list(tmp_path.glob(".*"))


def unprivileged(folder):
    if os.getuid() == 0:
        os.setuid(65534)
    try:
        write_atomic(folder / "file", b"new")
    except RunError as error:
        os._exit(3 if "may write" in str(error) else 4)
    os._exit(0)


@pytest.mark.filterwarnings("ignore:.*fork.*")
def test_a_read_only_folder_is_said(tmp_path):
    folder = tmp_path / "locked"
    folder.mkdir()
    (folder / "file").write_bytes(b"old")
    folder.chmod(0o555)
    context = multiprocessing.get_context("fork")
    child = context.Process(target=unprivileged, args=(folder,))
    child.start()
    child.join()
    folder.chmod(0o755)
    assert child.exitcode == 3 and (folder / "file").read_bytes() == b"old"


HOLD = """
import sys, time
from pathlib import Path
from iclax._files import Lock
with Lock(Path(sys.argv[1])):
    print("held", flush=True)
    time.sleep(60)
"""


def test_a_second_process_is_refused_and_a_dead_one_is_not_in_the_way(tmp_path):
    holder = subprocess.Popen(
        [sys.executable, "-c", HOLD, str(tmp_path)],
        env=os.environ | {"PYTHONPATH": SRC},
        stdout=subprocess.PIPE,
    )
    assert holder.stdout.readline() == b"held\n"
    with pytest.raises(RunError, match=f"pid {holder.pid}"):
        Lock(tmp_path).__enter__()
    holder.kill()
    holder.wait()
    holder.stdout.close()
    with Lock(tmp_path):
        with pytest.raises(RunError, match=f"pid {os.getpid()}"):
            Lock(tmp_path).__enter__()
    with Lock(tmp_path):
        pass


def test_readers_never_see_a_part(tmp_path):
    path = tmp_path / "metrics.safetensors"
    write_tensors(path, {"a": np.zeros(3)}, durable=False)
    before = os.open(path, os.O_RDONLY)
    write_tensors(path, {"a": np.ones(3)}, durable=False)
    try:  # who has the old file open still reads the old file, whole
        assert np.array_equal(unpack(os.read(before, 10**6))["a"], np.zeros(3))
    finally:
        os.close(before)
    assert np.array_equal(read_tensors(path)["a"], np.ones(3))
    with pytest.raises(RunError, match="cannot be read"):
        read_tensors(tmp_path / "absent")
