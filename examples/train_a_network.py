"""A network learns from made scenes, and maps one that it has not seen."""

from dataclasses import replace
from pathlib import Path
from tempfile import TemporaryDirectory

import glacierx as gx

with TemporaryDirectory() as name:
    folder = Path(name)
    lines = ["scene,labels,layer,split"]
    for seed, part in enumerate(("train", "train", "validation", "test"), 1):
        gx.simulate(folder / f"{seed}", gx.SimulateOptions(size=192, gsd=30, seed=seed))
        lines.append(f"{seed}/scene.tif,{seed}/outlines.gpkg,glaciers,{part}")
    # Put your own scenes and outlines here.
    manifest = folder / "scenes.csv"
    manifest.write_text("\n".join(lines) + "\n")

    # A network so small that it learns in seconds; the preset's own takes hours and a GPU.
    preset = gx.load_preset("starter")
    small = {"depth": 18, "widths": [8, 8, 8, 16, 16], "pyramid_width": 8, "skips": [1, 0]}
    card = replace(preset.card, name="example", arguments=small, patch_px=192)
    options = preset.train_options(
        patch_px=64, epochs=6, epoch_patches=64, lr=1e-2, ema=0.9, band_dropout=0.0, scale_high=1.0
    )
    model = gx.train(manifest, gx.build_model(card), options)
    print(f"IoU while learning: {model.card.scores['validation']['all']['iou']:.2f}")
    gx.save_model(model, folder / "example.safetensors")

    with gx.open_scene(folder / "4" / "scene.tif", dem=folder / "4" / "dem.tif") as scene:
        gx.write_outlines(gx.extract(scene, model), folder / "found.gpkg")
    scores = gx.evaluate(folder / "found.gpkg", folder / "4" / "outlines.gpkg",
                         like=folder / "4" / "scene.tif")  # fmt: skip
    print(f"IoU on a scene it has not seen: {scores['iou']:.2f}")
