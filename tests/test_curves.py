"""Loss curves from files: tables, long and wide, and TensorBoard event files."""

import struct

import numpy as np
import pytest

from iclax._errors import SettingError
from iclax.evaluation import load_curves

STEPS = np.arange(1000)


def logistic(center, width=30.0, low=0.0):
    return low + (1 - low) / (1 + np.exp((STEPS - center) / width))


def write_events(path, points, tag="train/loss", tensor=False):
    """Event records byte by byte, from the published formats."""

    def varint(n):
        out = b""
        while n > 127:
            out, n = out + bytes([n & 127 | 128]), n >> 7
        return out + bytes([n])

    def block(number, body):
        return varint(number << 3 | 2) + varint(len(body)) + body

    data = b""
    for step, value in points:
        if tensor:  # dtype DT_FLOAT, then tensor_content
            inner = varint(8) + varint(1) + block(4, struct.pack("<f", value))
            body = block(1, tag.encode()) + block(8, inner)
        else:
            body = (
                block(1, tag.encode()) + varint(2 << 3 | 5) + struct.pack("<f", value)
            )
        event = varint(1 << 3 | 1) + struct.pack("<d", 1.5e9)
        event += varint(2 << 3) + varint(step) + block(5, block(1, body))
        data += struct.pack("<Q", len(event)) + b"\0" * 4 + event + b"\0" * 4
    path.write_bytes(data)


@pytest.mark.parametrize("tensor", [False, True])
def test_event_files_are_read(tmp_path, tensor):
    for run, center in enumerate((300, 400)):
        path = tmp_path / f"run{run}" / "events.out.tfevents.1"
        path.parent.mkdir()
        write_events(
            path,
            list(zip(STEPS[::5], logistic(center)[::5], strict=True)),
            tensor=tensor,
        )
    curves = load_curves(tmp_path)
    assert curves.values.shape == (2, 200) and curves.steps[1] == 5
    np.testing.assert_allclose(curves.values[1], logistic(400)[::5], rtol=1e-6)
    whole = (tmp_path / "run0" / "events.out.tfevents.1").read_bytes()
    cut = tmp_path / "cut.tfevents"
    cut.write_bytes(whole[:-30])
    assert load_curves(cut).values.shape == (1, 199)
    with pytest.raises(SettingError, match="no nothing in .* one of train/loss"):
        load_curves(cut, "nothing")
    write_events(cut, [(0, 1.0), (1, np.nan)])
    with pytest.raises(SettingError, match="nan in tag train/loss"):
        load_curves(cut)
    cut.write_bytes(b"\x01" + b"\0" * 11 + b"\xff" * 40)
    with pytest.raises(SettingError):
        load_curves(cut)


def test_event_files_of_another_writer(tmp_path):
    writer_module = pytest.importorskip("tensorboardX")
    with writer_module.SummaryWriter(str(tmp_path)) as writer:
        for step in range(0, 1000, 10):
            writer.add_scalar("accuracy", 0.5, step)
            writer.add_scalar("loss", logistic(300)[step], step)
    curves = load_curves(tmp_path)
    np.testing.assert_allclose(curves.values[0], logistic(300)[::10], rtol=1e-6)
    assert curves.left_out == ("accuracy",)
    assert load_curves(tmp_path, "accuracy").left_out == ()


def test_tables_are_read_wide_and_long(tmp_path):
    wide, long = tmp_path / "wide.csv", tmp_path / "long.csv"
    a, b = logistic(300), logistic(400)
    wide.write_text(
        "step,first,second\n"
        + "\n".join(f"{t},{x},{y}" for t, x, y in zip(STEPS, a, b, strict=True))
    )
    long.write_text(
        "seed,iteration,loss\n"
        + "\n".join(f"{s},{t},{c[t]}" for t in STEPS for s, c in ((7, a), (9, b)))
    )
    first, second = load_curves(wide), load_curves(long)
    np.testing.assert_allclose(first.values, second.values)
    assert first.names == ("first", "second") and second.names == ("7", "9")
    assert load_curves(wide, "second").values.shape == (1, 1000)
    plain = tmp_path / "plain.csv"
    plain.write_text("0,1.0\n1,0.5\n2,0.25\n")
    assert load_curves(plain).values.tolist() == [[1.0, 0.5, 0.25]]


def test_runs_keep_all_digits_of_their_seed(tmp_path):
    path = tmp_path / "long.csv"
    seeds = ("1000001", "1000002", "0.1234567")
    path.write_text(
        "seed,step,loss\n"
        + "\n".join(f"{s},{t},{i}" for i, s in enumerate(seeds) for t in (0, 1))
    )
    curves = load_curves(path)
    found = dict(zip(curves.names, curves.values[:, 0], strict=True))
    assert found == {"1000001": 0.0, "1000002": 1.0, "0.1234567": 2.0}


def test_a_table_that_is_not_utf8_is_refused(tmp_path):
    path = tmp_path / "latin.csv"
    path.write_bytes("step,Größe\n0,1\n1,2\n".encode("latin-1"))
    with pytest.raises(SettingError, match="UTF-8"):
        load_curves(path)
    path.write_bytes("\ufeffloss,step\n3,0\n4,1\n".encode())
    assert load_curves(path).names == ("loss",)


@pytest.mark.parametrize(
    "text, message",
    [
        ("step,loss,loss\n0,1,2\n1,1,2\n", "two columns named 'loss'"),
        ("step,loss\n0,1\nnan,1\n2,1\n", "nan in column step"),
        ("step,loss\n0,1\n1,1\ninf,1\n", "inf in column step"),
        ("seed,step,loss\nnan,0,1\n1,0,1\n1,1,1\n", "nan in column seed"),
        ("seed,step,loss\n1e17,0,1\n1,0,1\n1,1,1\n", "1e.17 in column seed"),
        ("", "empty"),
        ("step,loss\n0,1\n1,oops\n", "'oops' in line 3"),
        ("step,loss\n0,1\n1\n", "1 cells in line 3"),
        ("step,loss\n0,1\n", "1 rows"),
    ],
)
def test_bad_tables_name_the_place(tmp_path, text, message):
    path = tmp_path / "bad.csv"
    path.write_text(text)
    with pytest.raises(SettingError, match=message):
        load_curves(path)


@pytest.mark.parametrize(
    "header, names",
    [
        ("Wall time,Step,Value", ("Value",)),
        ("step,epoch,loss,lr", ("loss",)),
        ("step,time,a,b", ("a", "b")),
        ("Step,a - loss,a - loss__MIN,a - loss__MAX", ("a - loss",)),
        ("epoch,a - _step,a - _step__MIN,a - x/loss,a - x/loss__MAX", ("a - x/loss",)),
        ("a,a_min,trainer/global_step", ("a",)),
        ("step,x,x__std,x (smoothed),x/ema", ("x",)),
        ("step,x_mean,x_std,max_x", ("x_mean",)),
        ("step,mean x,std x", ("mean x",)),
        (",step,a,b", ("a", "b")),
        (",0,1", ("0", "1")),
        ("Unnamed: 0,iteration,a,Relative Time (Process)", ("a",)),
        ("step,iteration,train/lr,train/grad_norm,a,b", ("a", "b")),
        # Runs that look alike, and what is derived from nothing in the table.
        ("step,lr_0.1,lr_0.01", ("lr_0.1", "lr_0.01")),
        ("step,a_max,b_max", ("a_max", "b_max")),
        ("step,loss_min_1,loss_min_2", ("loss_min_1", "loss_min_2")),
        ("step,low,lower", ("low", "lower")),
    ],
)
def test_columns_that_are_no_losses_are_no_runs(tmp_path, header, names):
    """They are named instead, and each can be asked for."""
    columns = header.split(",")
    rows = [",".join(str(i + j) for j in range(len(columns))) for i in range(4)]
    (tmp_path / "a.csv").write_text("\n".join([header, *rows]) + "\n")
    found = load_curves(tmp_path / "a.csv")
    assert found.names == names
    (steps,) = set(columns) - {*names, *found.left_out}
    assert found.steps[0] == columns.index(steps)
    for name in found.left_out:
        asked = load_curves(tmp_path / "a.csv", name)
        assert asked.names == (name,) and asked.left_out == ()
        assert asked.values[0, 0] == columns.index(name)


def test_columns_without_a_number_are_no_runs(tmp_path):
    path = tmp_path / "a.csv"
    path.write_text("step,state,at,a\n1,new,2024-01-01,3\n2,old,2024-01-02,2\n")
    found = load_curves(path)
    assert found.names == ("a",) and found.left_out == ("state", "at")
    with pytest.raises(SettingError, match="'new' in line 2"):
        load_curves(path, "state")


def test_an_empty_cell_is_a_step_without_a_record(tmp_path):
    path = tmp_path / "a.csv"
    path.write_text("step,a,b\n1,3,\n\n2,2,5\n3,,6\n4,1,7\n")
    found = load_curves(path)
    assert found.steps.tolist() == [2, 4]
    assert found.values.tolist() == [[2, 1], [5, 7]]
    assert load_curves(path, "a").steps.tolist() == [1, 2, 4]
    path.write_text("step,seed,loss\n1,0,3\n1,1,\n2,0,2\n2,1,2\n3,0,1\n3,1,1\n")
    assert load_curves(path).steps.tolist() == [2, 3]
    path.write_text("step,a\n1,3\n,2\n3,1\n")
    with pytest.raises(SettingError, match="'' in line 3"):
        load_curves(path)


def test_lines_are_counted_in_the_file(tmp_path):
    path = tmp_path / "a.csv"
    path.write_text("step,loss\n\n1,2\n\n2,oops\n3,1\n")
    with pytest.raises(SettingError, match="'oops' in line 5"):
        load_curves(path)


@pytest.mark.parametrize(
    "text, said",
    [
        ("step,loss\n1,2\n1,3\n2,1\n", "step 1 twice"),
        ("step,loss\n1,2\n2,nan\n", "nan in column loss"),
        ("step,seed,loss\n1,0,2\n2,0,inf\n", "inf in column loss"),
        ("step,lr\n1,2\n2,3\n", "no column of losses"),
    ],
)
def test_tables_that_are_no_curves_are_refused(tmp_path, text, said):
    (tmp_path / "a.csv").write_text(text)
    with pytest.raises(SettingError, match=said):
        load_curves(tmp_path / "a.csv")


def test_the_steps_are_no_curve(tmp_path):
    (tmp_path / "a.csv").write_text("step,loss\n1,2\n2,1\n")
    with pytest.raises(SettingError, match="one of loss"):
        load_curves(tmp_path / "a.csv", "step")
