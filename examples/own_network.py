"""A network of your own: save it with its card, and map a scene with it."""

from pathlib import Path
from tempfile import TemporaryDirectory

import glacierx as gx

card = gx.Card(
    name="untrained-example",
    architecture="attention_deeplabv3plus",
    arguments={"depth": 18, "widths": [8, 8, 16, 16, 32], "pyramid_width": 16},
    inputs=tuple(gx.Slot(role) for role in ("blue", "green", "red", "nir")),
    normalisation=gx.Normalisation("percentile-scene"),
    patch_px=128,
    training={"data": "none: its weights are random"},
)

with TemporaryDirectory() as name:
    folder = Path(name)
    model = gx.save_model(gx.build_model(card, seed=1), folder / "example.safetensors")
    made = gx.simulate(folder / "made", gx.SimulateOptions(size=256, gsd=30, seed=2))
    with gx.open_scene(made.scene, dem=made.dem) as scene:
        extraction = gx.extract(scene, model, gx.ExtractOptions(gx.PredictOptions(tta="d4")))
    print(extraction.record["model"]["name"], len(extraction.glaciers), "outlines")
