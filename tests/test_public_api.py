import ast
import importlib
import inspect
import subprocess
import sys
from pathlib import Path

import pytest

import glacierx as gx

ROOT = Path(__file__).parents[1]


def test_every_public_name_has_a_home_and_they_are_sorted():
    assert set(gx.__all__) == set(gx._HOMES)
    assert list(gx._HOMES) == sorted(gx._HOMES)
    assert len(gx.__all__) == len(set(gx.__all__))


@pytest.mark.parametrize("name", gx.__all__)
def test_a_public_name_can_be_imported_and_is_documented(name):
    value = getattr(gx, name)
    if inspect.isclass(value) or inspect.isfunction(value):
        assert inspect.getdoc(value)
    assert f"`{name}`" in (ROOT / "README.md").read_text()


def test_type_checkers_see_the_same_names():
    tree = ast.parse((ROOT / "glacierx" / "__init__.py").read_text())
    [block] = [node for node in tree.body if isinstance(node, ast.If)]
    seen = {alias.name: node.module for node in block.body for alias in node.names}
    assert seen == {name: f"glacierx.{home}" for name, home in gx._HOMES.items()}


def test_a_function_stays_when_the_module_of_its_name_is_imported():
    for module in ("extract", "predict.predict", "simulate.simulate", "training.train"):
        importlib.import_module(f"glacierx.{module}")
    assert inspect.isfunction(gx.extract)
    assert inspect.isfunction(gx.predict)
    assert inspect.isfunction(gx.simulate)
    assert inspect.isfunction(gx.train)


def test_an_unknown_name_is_an_attribute_error():
    with pytest.raises(AttributeError, match="no attribute 'nonsense'"):
        _ = gx.nonsense


def run_python(code):
    return subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)


def test_import_is_light():
    run_python(
        "import glacierx, sys; "
        "assert not {'torch', 'rasterio', 'fiona', 'numpy'} & set(sys.modules), sys.modules"
    )


@pytest.mark.parametrize(
    "arguments",
    [
        [],
        ["extract"],
        ["divide"],
        ["evaluate"],
        ["compare"],
        ["report"],
        ["fit"],
        ["train"],
        ["models"],
        ["demo"],
    ],
)
def test_help_imports_neither_torch_nor_rasterio_and_answers_at_once(arguments):
    code = (
        "import sys, time\n"
        "from glacierx.cli.main import group\n"
        f"try: group({[*arguments, '--help']!r})\n"
        "except SystemExit: pass\n"
        "assert not {'torch', 'rasterio', 'fiona'} & set(sys.modules)\n"
        "assert time.process_time() < 0.5, time.process_time()"
    )
    assert "Usage:" in run_python(code).stdout
