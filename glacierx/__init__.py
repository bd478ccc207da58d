"""Outlines of individual glaciers from a satellite scene and a DEM.

Names are imported on first use, so that ``import glacierx`` costs next to nothing.
"""

import sys
from importlib import import_module
from types import ModuleType
from typing import TYPE_CHECKING, Any

__version__ = "0.1.0"

if TYPE_CHECKING:
    from glacierx.batch.batch import Batch, batch
    from glacierx.doctor import examine
    from glacierx.errormap import draw_errors
    from glacierx.errors import (
        BatchError,
        BusyError,
        CheckError,
        ExtraError,
        GlacierxError,
        GlacierxWarning,
        GridError,
        MissingBandError,
        ModelError,
        OptionError,
        OutlineError,
        OutputError,
        SceneError,
    )
    from glacierx.evaluate.compare import Comparison, compare
    from glacierx.evaluate.evaluate import evaluate, evaluate_pairs
    from glacierx.evaluate.pairs import Pair
    from glacierx.evaluate.scores import Scores
    from glacierx.experiments.crossval import Crossval, crossval
    from glacierx.extract import Extraction, extract, write_outlines
    from glacierx.findings import Finding
    from glacierx.formats.delivery import Delivery
    from glacierx.formats.reading import read_result
    from glacierx.formats.write import write_format
    from glacierx.merge import merge
    from glacierx.networks import ARCHITECTURES
    from glacierx.options import (
        DIVIDE_PRESETS,
        DivideOptions,
        EngineOptions,
        EvaluateOptions,
        ExtractOptions,
        MergeOptions,
        OutlineOptions,
        PredictOptions,
        ReportOptions,
        SimulateOptions,
    )
    from glacierx.outlines.attributes import add_attributes
    from glacierx.outlines.divides import Division, split_glaciers
    from glacierx.outlines.geopackage import read_outlines, read_record
    from glacierx.outlines.outlines import Outlines
    from glacierx.outlines.reference import Inventory
    from glacierx.outlines.smooth import smooth_outlines
    from glacierx.outlines.trace import trace_outlines
    from glacierx.picture import draw_outlines
    from glacierx.predict.card import Card, Slot
    from glacierx.predict.classic import PixelMethod
    from glacierx.predict.fit import fit
    from glacierx.predict.model import load_model, save_model
    from glacierx.predict.modelfile import Model, build_model
    from glacierx.predict.normalise import Normalisation
    from glacierx.predict.predict import predict
    from glacierx.report.report import write_report
    from glacierx.scene.geotiff import write_raster
    from glacierx.scene.grid import Grid
    from glacierx.scene.icewindow import MaskChoice
    from glacierx.scene.prediction import Prediction, open_prediction
    from glacierx.scene.raster import Raster, read_raster
    from glacierx.scene.scene import Scene, open_scene
    from glacierx.scene.sensors import SENSORS, Band, Sensor
    from glacierx.scene.terrain import Dem
    from glacierx.scene.trust import allow_vrt
    from glacierx.simulate.simulate import simulate
    from glacierx.training.adapt import Adapted, adapt
    from glacierx.training.manifest import Row
    from glacierx.training.options import AdaptOptions, SplitOptions, TrainOptions
    from glacierx.training.preset import Preset, load_preset
    from glacierx.training.run import Place
    from glacierx.training.train import train
    from glacierx.verify import verify

_HOMES = {
    "ARCHITECTURES": "networks",
    "AdaptOptions": "training.options",
    "Adapted": "training.adapt",
    "Band": "scene.sensors",
    "Batch": "batch.batch",
    "BatchError": "errors",
    "BusyError": "errors",
    "Card": "predict.card",
    "CheckError": "errors",
    "Comparison": "evaluate.compare",
    "Crossval": "experiments.crossval",
    "DIVIDE_PRESETS": "options",
    "Delivery": "formats.delivery",
    "Dem": "scene.terrain",
    "DivideOptions": "options",
    "Division": "outlines.divides",
    "EngineOptions": "options",
    "EvaluateOptions": "options",
    "ExtraError": "errors",
    "ExtractOptions": "options",
    "Extraction": "extract",
    "Finding": "findings",
    "GlacierxError": "errors",
    "GlacierxWarning": "errors",
    "Grid": "scene.grid",
    "GridError": "errors",
    "Inventory": "outlines.reference",
    "MaskChoice": "scene.icewindow",
    "MergeOptions": "options",
    "MissingBandError": "errors",
    "Model": "predict.modelfile",
    "ModelError": "errors",
    "Normalisation": "predict.normalise",
    "OptionError": "errors",
    "OutlineError": "errors",
    "OutlineOptions": "options",
    "Outlines": "outlines.outlines",
    "OutputError": "errors",
    "Pair": "evaluate.pairs",
    "PixelMethod": "predict.classic",
    "Place": "training.run",
    "PredictOptions": "options",
    "Prediction": "scene.prediction",
    "Preset": "training.preset",
    "Raster": "scene.raster",
    "ReportOptions": "options",
    "Row": "training.manifest",
    "SENSORS": "scene.sensors",
    "Scene": "scene.scene",
    "SceneError": "errors",
    "Scores": "evaluate.scores",
    "Sensor": "scene.sensors",
    "SimulateOptions": "options",
    "Slot": "predict.card",
    "SplitOptions": "training.options",
    "TrainOptions": "training.options",
    "adapt": "training.adapt",
    "add_attributes": "outlines.attributes",
    "allow_vrt": "scene.trust",
    "batch": "batch.batch",
    "build_model": "predict.modelfile",
    "compare": "evaluate.compare",
    "crossval": "experiments.crossval",
    "draw_errors": "errormap",
    "draw_outlines": "picture",
    "evaluate": "evaluate.evaluate",
    "evaluate_pairs": "evaluate.evaluate",
    "examine": "doctor",
    "extract": "extract",
    "fit": "predict.fit",
    "load_model": "predict.model",
    "load_preset": "training.preset",
    "merge": "merge",
    "open_prediction": "scene.prediction",
    "open_scene": "scene.scene",
    "predict": "predict.predict",
    "read_outlines": "outlines.geopackage",
    "read_raster": "scene.raster",
    "read_record": "outlines.geopackage",
    "read_result": "formats.reading",
    "save_model": "predict.model",
    "simulate": "simulate.simulate",
    "smooth_outlines": "outlines.smooth",
    "split_glaciers": "outlines.divides",
    "trace_outlines": "outlines.trace",
    "train": "training.train",
    "verify": "verify",
    "write_format": "formats.write",
    "write_outlines": "extract",
    "write_raster": "scene.geotiff",
    "write_report": "report.report",
}

__all__ = [
    "ARCHITECTURES",
    "DIVIDE_PRESETS",
    "SENSORS",
    "AdaptOptions",
    "Adapted",
    "Band",
    "Batch",
    "BatchError",
    "BusyError",
    "Card",
    "CheckError",
    "Comparison",
    "Crossval",
    "Delivery",
    "Dem",
    "DivideOptions",
    "Division",
    "EngineOptions",
    "EvaluateOptions",
    "ExtraError",
    "ExtractOptions",
    "Extraction",
    "Finding",
    "GlacierxError",
    "GlacierxWarning",
    "Grid",
    "GridError",
    "Inventory",
    "MaskChoice",
    "MergeOptions",
    "MissingBandError",
    "Model",
    "ModelError",
    "Normalisation",
    "OptionError",
    "OutlineError",
    "OutlineOptions",
    "Outlines",
    "OutputError",
    "Pair",
    "PixelMethod",
    "Place",
    "PredictOptions",
    "Prediction",
    "Preset",
    "Raster",
    "ReportOptions",
    "Row",
    "Scene",
    "SceneError",
    "Scores",
    "Sensor",
    "SimulateOptions",
    "Slot",
    "SplitOptions",
    "TrainOptions",
    "adapt",
    "add_attributes",
    "allow_vrt",
    "batch",
    "build_model",
    "compare",
    "crossval",
    "draw_errors",
    "draw_outlines",
    "evaluate",
    "evaluate_pairs",
    "examine",
    "extract",
    "fit",
    "load_model",
    "load_preset",
    "merge",
    "open_prediction",
    "open_scene",
    "predict",
    "read_outlines",
    "read_raster",
    "read_record",
    "read_result",
    "save_model",
    "simulate",
    "smooth_outlines",
    "split_glaciers",
    "trace_outlines",
    "train",
    "verify",
    "write_format",
    "write_outlines",
    "write_raster",
    "write_report",
]


class _Package(ModuleType):
    """This package: its public names stay functions when a module of the same name is imported."""

    def __setattr__(self, name: str, value: object) -> None:
        # Importing glacierx.extract would otherwise put the module in the place of the function.
        if not (name in _HOMES and isinstance(value, ModuleType)):
            super().__setattr__(name, value)


sys.modules[__name__].__class__ = _Package


def __getattr__(name: str) -> Any:
    """Import a public name on first use."""
    if name not in _HOMES:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    return getattr(import_module(f"glacierx.{_HOMES[name]}"), name)


def __dir__() -> list[str]:
    return sorted([*globals(), *__all__])
