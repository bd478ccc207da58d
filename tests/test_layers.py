"""Imports point down, torch keeps to its province, modules stay short."""

import ast
from pathlib import Path

import pytest

PACKAGE = Path(__file__).parents[1] / "glacierx"
MODULES = sorted(PACKAGE.rglob("*.py"))

# A room may import only from rooms on lower lines; see CONTRIBUTING.md.
LAYERS = (
    {"errors", "__init__"},
    {"options", "profile"},
    {"scene", "networks"},
    {"predict", "outlines"},
    {"evaluate", "simulate", "formats"},
    {"training"},
    {
        "extract",
        "estimate",
        "furniture",
        "picture",
        "errormap",
        "report",
        "record",
        "demo",
        "findings",
        "doctor",
        "inputs",
        "rerun",
        "verify",
        "inventories",
        "belief",
        "merge",
        "batch",
        "experiments",
    },
    {"cli"},
    {"__main__"},
)
# Within the last layer below the command line.
ORDER = (
    "findings", "record", "inputs", "extract", "estimate", "furniture", "picture", "errormap",
    "report", "demo", "doctor", "rerun", "verify", "inventories", "belief", "merge", "batch",
    "experiments",
)  # fmt: skip


def room(module: Path) -> str:
    parts = module.relative_to(PACKAGE).with_suffix("").parts
    return parts[0]


def level(name: str) -> int:
    return next(index for index, rooms in enumerate(LAYERS) if name in rooms)


def name_of(module: Path) -> str:
    parts = module.relative_to(PACKAGE.parent).with_suffix("").parts
    return ".".join(parts[:-1] if parts[-1] == "__init__" else parts)


def imports(module: Path, *, own: bool = True) -> set[str]:
    """Names of modules that a module imports when it runs; those for type checkers do not count."""
    found = set()
    tree = ast.parse(module.read_text())
    for node in tree.body:
        if isinstance(node, ast.If) and "TYPE_CHECKING" in ast.dump(node.test):
            node.body = []
    for node in ast.walk(tree):
        if isinstance(node, ast.ImportFrom) and node.module:
            found.add(node.module)
        if isinstance(node, ast.Import):
            found |= {alias.name for alias in node.names}
    return {name for name in found if name.startswith("glacierx") == own}


@pytest.mark.parametrize("module", MODULES, ids=name_of)
def test_a_room_imports_only_from_below(module):
    here = room(module)
    for name in imports(module):
        there = name.split(".")[1] if "." in name else "__init__"
        if there == here or (there == "__init__" and here != "errors"):
            continue
        if here in ORDER and there in ORDER:
            assert ORDER.index(there) < ORDER.index(here), (here, name)
        else:
            assert level(there) < level(here), f"{name_of(module)} imports {name}"


def test_no_import_goes_in_a_circle():
    graph = {name_of(module): imports(module) for module in MODULES}
    done: set[str] = set()

    def visit(name: str, path: tuple[str, ...]) -> None:
        assert name not in path, f"a circle: {' -> '.join((*path, name))}"
        if name not in done:
            for below in graph.get(name, ()):
                visit(below, (*path, name))
            done.add(name)

    for name in graph:
        visit(name, ())


@pytest.mark.parametrize("module", MODULES, ids=name_of)
def test_torch_keeps_to_its_province(module):
    uses_torch = any(name.split(".")[0] == "torch" for name in imports(module, own=False))
    assert not uses_torch or room(module) in {"networks", "predict", "training"}


def test_training_knows_nothing_of_outlines_and_scores():
    # Adapting keeps a model from forgetting by scenes that are made for it.
    for module in (PACKAGE / "training").rglob("*.py"):
        rooms = {name.split(".")[1] for name in imports(module) if "." in name}
        allowed = {"errors", "options", "scene", "networks", "predict", "training"}
        assert rooms <= allowed | ({"simulate"} if module.stem == "adapt" else set()), module


def test_networks_know_nothing_but_torch_and_errors():
    for module in (PACKAGE / "networks").rglob("*.py"):
        own = {name for name in imports(module) if not name.startswith("glacierx.networks")}
        assert own <= {"glacierx.errors"}
        foreign = {name.split(".")[0] for name in imports(module, own=False)}
        assert foreign <= {"torch", "typing", "collections", "importlib"}


@pytest.mark.parametrize("module", MODULES, ids=name_of)
def test_a_module_is_at_most_400_lines(module):
    assert len(module.read_text().splitlines()) <= 400


@pytest.mark.parametrize("module", MODULES, ids=name_of)
def test_a_function_is_at_most_50_lines_without_its_docstring(module):
    for node in ast.walk(ast.parse(module.read_text())):
        if isinstance(node, ast.FunctionDef):
            text = ast.get_docstring(node, clean=False)
            lines = node.end_lineno - node.lineno + 1 - (len(text.splitlines()) if text else 0)
            # The long ones are argument lists of commands and of open_scene.
            assert lines <= 80 if room(module) == "cli" else lines <= 65, (node.name, lines)
