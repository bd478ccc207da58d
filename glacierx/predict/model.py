"""Models by name or file, networks and fitted pixel methods alike: find, load, save, check."""

from pathlib import Path

from glacierx.errors import ModelError
from glacierx.predict.classic import METHODS, PixelMethod
from glacierx.predict.methodfile import read_method, save_method
from glacierx.predict.modelfile import (
    METHOD_KEY,
    Model,
    check_model_path,
    load_card,
    load_network,
    read_metadata,
    save_network,
    sha256_of,
)
from glacierx.scene.raster import PathLike
from glacierx.scene.scene import Scene
from glacierx.scene.staging import is_there

WEIGHTS = Path(__file__).parent.parent / "weights"


def save_model(model: Model | PixelMethod, path: PathLike, *, overwrite: bool = False) -> Path:
    """Write weights and card, or a fitted pixel method, into one safetensors file.

    Args:
        model: A model, or what `fit` returned.
        path: The file, ending in ``.safetensors``.
        overwrite: Replace an existing file.
    """
    if isinstance(model, Model):
        return save_network(model, path, overwrite=overwrite)
    check_model_path(path)
    return save_method(model, path, overwrite=overwrite)


def check_file(path: Path, scene: Scene) -> None:
    """Refuse a scene that lacks what a model file needs, before its weights are read."""
    if METHOD_KEY not in read_metadata(path):
        load_card(path).check(scene)


def load_model(path: PathLike) -> Model | PixelMethod:
    """Read a model file.

    Args:
        path: A safetensors file with a card, or the name of a model that ships.

    Returns:
        The model; the pixel method where the file holds one that was fitted.

    Raises:
        ModelError: The file is missing, is a pickle, or card and weights disagree.
    """
    path = find_model(path)
    metadata = read_metadata(path)
    if METHOD_KEY in metadata:
        return read_method(path, metadata[METHOD_KEY], sha256_of(path))
    return load_network(path)


def find_model(path: PathLike) -> Path:
    """Return the file of a model: a path, or the name of one that ships.

    Raises:
        ModelError: There is neither.
    """
    given = Path(path)
    # A folder of that name is no model, and does not hide one that ships.
    if is_there(given):
        return given
    shipped = WEIGHTS / f"{path}.safetensors"
    if given.name == str(path) and is_there(shipped):
        return shipped
    names = ", ".join([*(name for name in METHODS if name != "rf"), *shipped_models()])
    raise ModelError(f"There is no model file {path}, and no model of that name ({names}).")


def shipped_models() -> list[str]:
    """Return the names of the models that come with the package."""
    return sorted(file.stem for file in WEIGHTS.glob("*.safetensors"))
