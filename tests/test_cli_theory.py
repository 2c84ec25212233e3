"""`iclax theory` from the outside: numbers, options, refusals."""

import json
import os
import subprocess
import sys

import numpy as np
import pytest

from iclax.cli import main

LOW_RANK = """
version = 1
[prompt]
context_length = 40
noise_std = 0.31622776601683794
[covariates]
kind = "gaussian"
dim = 20
[tasks]
kind = "low_rank"
rank = 3
components = {components}
"""


def run_json(capsys, *arguments):
    main([*map(str, arguments), "--json"])
    return json.loads(capsys.readouterr().out)


@pytest.fixture
def low_rank(tmp_path):
    def write(components, **changes):
        path = tmp_path / f"low_rank_{components}.toml"
        text = LOW_RANK.format(components=components)
        for old, new in changes.items():
            text = text.replace(f"{old} = ", f"{old} = {new} # ")
        path.write_text(text)
        return path

    return write


def test_numbers_of_theorem_one(tmp_path, capsys):
    path = tmp_path / "s.toml"
    path.write_text(
        "version = 1\n[prompt]\ncontext_length = 20\nnoise_std = 0.5\n"
        '[covariates]\nkind = "gaussian"\ndim = 5\n[tasks]\nkind = "linear"\n'
    )
    found = run_json(capsys, "theory", path)
    eta = 1 / (20 + 5 + 1 + 0.25)
    np.testing.assert_allclose(found["gamma"], 20 * eta * np.eye(5), atol=1e-14)
    np.testing.assert_allclose(found["gd_step_without_mean"], eta, rtol=1e-14)
    np.testing.assert_allclose(found["risk"], 5 - 100 * eta, rtol=1e-13)
    assert found["zero_risk"] == 5
    longer = tmp_path / "t.toml"
    longer.write_text(path.read_text().replace("= 20", "= 40"))
    shifted = run_json(capsys, "theory", path, "--test", longer)["test_risk"]
    c, n, d, noise = 20 * eta, 40, 5, 0.25
    by_hand = d * (c**2 * (1 + (d + 1 + noise) / n) - 2 * c + 1)
    np.testing.assert_allclose(shifted, by_hand, rtol=1e-12)


@pytest.mark.parametrize(
    "components, expected",
    [(1, [0.3789, 1.1070, 1.8351, 2.5632, 3.2913]), (2, [0.5576] * 5)],
)
def test_risk_against_the_angle(low_rank, capsys, components, expected):
    angles = ("theory", low_rank(components), "--angles", "0,30,45,60,90")
    noisy = np.array(run_json(capsys, *angles)["angle_risk"]) + 0.1
    np.testing.assert_allclose(noisy, expected, atol=6e-5)


def test_flow_states_its_conventions(low_rank, capsys):
    path = low_rank(2, rank=4, dim=24, context_length=64, noise_std=0.0)
    mean = run_json(capsys, "theory", path, "--flow", "merged")
    total = run_json(capsys, "theory", path, "--flow", "merged", "--objective", "sum")
    np.testing.assert_allclose(mean["half_drop_time"], 6.6900, rtol=1e-3)
    np.testing.assert_allclose(total["half_drop_time"], 3.3450, rtol=1e-3)
    np.testing.assert_allclose(mean["final_risk"], mean["risk"], rtol=1e-5)
    assert "1/2" in mean["flow"]["convention"]


def test_certificate_refutes_tasks_with_a_mean(tmp_path, capsys):
    path = tmp_path / "mean.toml"
    path.write_text(
        "version = 1\n[prompt]\ncontext_length = 10\nnoise_std = 0.31622776601683794\n"
        '[covariates]\nkind = "gaussian"\ndim = 3\n'
        '[tasks]\nkind = "linear"\ncov = 0.5\nmean = [1.0, 0.0, 0.0]\n'
    )
    found = run_json(capsys, "theory", path, "--certify")
    assert found["lower_risk_found"]
    np.testing.assert_allclose(found["risk"], 0.7047, atol=5e-5)
    np.testing.assert_allclose(found["best_risk"], 0.6776, atol=5e-5)


@pytest.mark.parametrize(
    "arguments, word",
    [
        (["theory", "absent.toml"], "setting file"),
        (["reproduce", "mahankali2024"], 'did you mean "mahankali2023"'),
        (["theroy"], "Unrecognized"),
    ],
)
def test_errors_exit_with_two_and_no_traceback(arguments, word):
    done = subprocess.run(
        [sys.executable, "-m", "iclax", *arguments], capture_output=True, text=True
    )
    assert done.returncode == 2
    assert word in done.stderr
    assert "Traceback" not in done.stderr


def test_angles_need_subspaces(tmp_path, capsys):
    path = tmp_path / "s.toml"
    path.write_text(
        "version = 1\n[prompt]\ncontext_length = 2\n"
        '[covariates]\nkind = "gaussian"\ndim = 2\n[tasks]\nkind = "linear"\n'
    )
    with pytest.raises(SystemExit) as caught:
        main(["theory", str(path), "--angles", "0,90"])
    assert caught.value.code == 2
    assert "low" in capsys.readouterr().err.lower()


@pytest.mark.parametrize("angles", ["nan", "0,inf", "0,,90"])
def test_angles_are_finite_numbers(low_rank, capsys, angles):
    with pytest.raises(SystemExit) as caught:
        main(["theory", str(low_rank(1)), "--angles", angles])
    assert caught.value.code == 2
    assert "--angles" in capsys.readouterr().err


@pytest.mark.parametrize("options", [[], ["--json"]])
def test_output_that_is_not_utf8_loses_no_result(low_rank, options):
    done = subprocess.run(
        [sys.executable, "-m", "iclax", "theory", str(low_rank(1)), *options],
        capture_output=True,
        env=os.environ | {"PYTHONIOENCODING": "ascii"},
    )
    assert done.returncode == 0 and b"gd_risk" in done.stdout, done.stderr
    assert not options or json.loads(done.stdout)["dim"] == 20


def setting(path, tasks, covariates="dim = 3", n=10):
    path.write_text(
        f"version = 1\n[prompt]\ncontext_length = {n}\n"
        f'[covariates]\nkind = "gaussian"\n{covariates}\n[tasks]\n{tasks}\n'
    )
    return path


def test_a_layer_that_is_better_than_the_gd_form_is_named(tmp_path, capsys):
    pool = setting(tmp_path / "pool.toml", 'kind = "pool"\nsize = 4', n=32)
    found = run_json(capsys, "theory", pool)
    assert found["gd_form_is_optimal"] is False
    assert found["layer_risk"] < found["risk"]
    main(["theory", str(pool)])
    assert "has a lower exact risk than any GD form" in capsys.readouterr().out
    linear = run_json(capsys, "theory", setting(tmp_path / "l.toml", 'kind = "linear"'))
    assert linear["gd_form_is_optimal"] is True
    assert linear["layer_risk"] == linear["risk"]
    tree = setting(tmp_path / "t.toml", 'kind = "decision_tree"\nleaf_mean = 1.0')
    unknown = run_json(capsys, "theory", tree)
    assert unknown["gd_form_is_optimal"] is None and unknown["layer_risk"] is None
    assert "fourth moments" in unknown["gd_form_reason"]


def test_the_no_context_level_is_printed(tmp_path, capsys):
    tasks = 'kind = "linear"\ncov = 0.1667\nmean = [2.0, 0.0, 0.0]'
    path = setting(tmp_path / "m.toml", tasks)
    found = run_json(capsys, "theory", path)
    np.testing.assert_allclose(found["no_context_risk"], 0.5001)
    np.testing.assert_allclose(found["zero_risk"], 4.5001)
    main(["theory", str(path)])
    assert "0.5001   the best function of the query alone" in capsys.readouterr().out


def test_what_is_left_out_and_lost_is_printed(tmp_path, capsys):
    zero = setting(tmp_path / "z.toml", 'kind = "linear"', "cov = [1, 0]")
    main(["theory", str(zero)])
    assert "1 directions of the query and 1 of b" in capsys.readouterr().out
    near = "cov = [[1.0, 0.9999999999], [0.9999999999, 1.0]]"
    main(["theory", str(setting(tmp_path / "n.toml", 'kind = "linear"', near))])
    assert "digits are right" in capsys.readouterr().out
