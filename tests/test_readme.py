"""The README's Python example prints what the README says it prints."""

import os
import re
import subprocess
import sys
from pathlib import Path

README = Path(__file__).parents[1] / "README.md"


def blocks(language):
    pattern = rf"```{language}\n(.*?)```"
    return re.findall(pattern, README.read_text(encoding="utf-8"), re.DOTALL)


def test_python_example_prints_its_output():
    code, expected = blocks("python")[0], blocks("text")[0]
    environment = {**os.environ, "JAX_ENABLE_X64": "0"}
    done = subprocess.run(
        [sys.executable, "-c", code], capture_output=True, text=True, env=environment
    )
    assert done.stdout == expected, done.stderr


def test_setting_example_is_valid(tmp_path):
    import tomllib

    from iclax.settings import parse_setting

    assert parse_setting(tomllib.loads(blocks("toml")[0])).prompts().dim == 5


def test_links_exist():
    for target in re.findall(r"\]\(([^)#]+)\)", README.read_text(encoding="utf-8")):
        assert (README.parent / target).exists(), target
