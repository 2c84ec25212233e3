"""The arrows between folders, the light import path, and the size of files."""

import ast
import subprocess
import sys
from pathlib import Path

import pytest

SOURCE = Path(__file__).parents[1] / "src" / "iclax"
CORE = {
    "_arrays",
    "_lazy",
    "_errors",
    "_files",
    "_tensors",
    "_inherit",
    "_psd",
    "_forms",
}
DATA = CORE | {"covariates", "tasks", "prompts"}
MODELS = DATA | {"predictors", "models"}
PROGRAMS = MODELS | {"_compile", "_threefry"}
SIDES = PROGRAMS | {"sampling"}
ALLOWED = {
    "covariates": CORE,
    "tasks": CORE,
    "prompts": CORE | {"covariates", "tasks"},
    "predictors": DATA | {"_compile"},
    "models": DATA | {"predictors", "_compile", "_threefry"},
    "theory": DATA,
    "sampling": PROGRAMS,
    "training": SIDES | {"runs", ""},
    "evaluation": SIDES,
    "settings": DATA,
    "runs": CORE | {""},
    "figures": CORE,
    "report": CORE,
    "experiments": SIDES
    | {"theory", "training", "evaluation", "settings", "runs", "figures", "report", ""},
    "cli": None,
}
FILES = sorted(SOURCE.rglob("*.py"))


def imported_folders(path: Path) -> set[str]:
    """Which folders of the package a file imports, at any depth of the code."""
    found = set()
    package = list(path.relative_to(SOURCE).parts[:-1])
    for node in ast.walk(ast.parse(path.read_text())):
        if isinstance(node, ast.ImportFrom) and node.level:
            base = package[: len(package) - node.level + 1]
            parts = base + (node.module.split(".") if node.module else [])
            names = [parts[0]] if parts else [alias.name for alias in node.names]
            found |= set(names)
    return found - ({package[0]} if package else set())


@pytest.mark.parametrize("path", FILES, ids=lambda p: str(p.relative_to(SOURCE)))
def test_imports_go_one_way(path):
    folder = path.relative_to(SOURCE).parts[0]
    allowed = ALLOWED.get(folder, None) if folder.count(".") == 0 else None
    if allowed is None:
        return
    extra = {name for name in imported_folders(path) if (SOURCE / name).exists()}
    extra |= {n for n in imported_folders(path) if (SOURCE / f"{n}.py").exists()}
    assert extra <= allowed


@pytest.mark.parametrize("path", FILES, ids=lambda p: str(p.relative_to(SOURCE)))
def test_files_are_small(path):
    assert len(path.read_text().splitlines()) <= 450


@pytest.mark.parametrize(
    "arguments",
    ["import iclax", "from iclax.cli import main; main(['--help'])", "THEORY"],
)
def test_light_path_imports_neither_jax_nor_matplotlib(arguments, tmp_path):
    setting = tmp_path / "s.toml"
    setting.write_text(
        "version = 1\n[prompt]\ncontext_length = 3\n"
        '[covariates]\nkind = "gaussian"\ndim = 2\n[tasks]\nkind = "linear"\n'
    )
    if arguments == "THEORY":
        arguments = f"from iclax.cli import main; main(['theory', {str(setting)!r}])"
    code = (
        "import sys\n"
        f"try:\n    exec({arguments!r})\nexcept SystemExit:\n    pass\n"
        "heavy = {'jax', 'jaxlib', 'matplotlib', 'equinox'} & set(sys.modules)\n"
        "assert not heavy, heavy\n"
    )
    done = subprocess.run(
        [sys.executable, "-c", code],
        capture_output=True,
        text=True,
        env={"PYTHONPATH": str(SOURCE.parent), "PATH": "/usr/bin:/bin"},
    )
    assert done.returncode == 0, done.stderr


def test_public_names_are_documented():
    import inspect
    from importlib import import_module

    folders = [p.name for p in SOURCE.iterdir() if (p / "__init__.py").exists()]
    missing = []
    for folder in folders:
        module = import_module(f"iclax.{folder}")
        for name, value in vars(module).items():
            public = not name.startswith("_") and callable(value)
            own = getattr(value, "__module__", "").startswith("iclax")
            if public and own and not inspect.getdoc(value):
                missing.append(f"{folder}.{name}")
    assert not missing
