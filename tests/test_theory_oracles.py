"""Every public function of iclax.theory has two oracles of different kinds.

`ORACLES` names, for each function, the tests that check it against something that
shares no code with it: simulation, or a second derivation. A new function without two
of them fails here.
"""

import ast
import inspect
from functools import cache
from pathlib import Path

import pytest
from oracle_table import ORACLES

from iclax import theory


@cache
def module_of_tests(name):
    """The tests of a module that run by default, by name, and its helpers' source."""
    source = (Path(__file__).parent / f"test_{name}.py").read_text()
    functions = {
        node.name: ast.unparse(node)
        for node in ast.parse(source).body
        if isinstance(node, ast.FunctionDef) and "mark.slow\n" not in ast.unparse(node)
    }
    helpers_source = "\n".join(
        text for found, text in functions.items() if not found.startswith("test_")
    )
    return functions, helpers_source


def public_functions():
    exported = (
        getattr(theory, name) for name in dir(theory) if not name.startswith("_")
    )
    return {f.__name__ for f in exported if inspect.isroutine(f)}


def test_every_public_function_has_its_oracles():
    assert public_functions() == set(ORACLES)


@pytest.mark.parametrize("function", ORACLES)
def test_oracles_exist_and_call_the_function(function):
    rows = ORACLES[function]
    assert len(rows) >= 2 and len(set(rows.values())) == len(rows)
    for row in rows.values():
        where, _, through = row.partition(" via ")
        module, _, test = where.partition("::")
        functions, shared = module_of_tests(module)
        assert test in functions, where
        assert (through or function) in functions[test] + shared, where
