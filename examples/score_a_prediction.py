"""How good outlines are: scores against the truth, an inventory beside another, a picture."""

from pathlib import Path
from tempfile import TemporaryDirectory

import glacierx as gx

with TemporaryDirectory() as name:
    folder = Path(name)
    # Put your own scene, DEM and inventory here.
    made = gx.simulate(folder / "made", gx.SimulateOptions(size=256, gsd=30, seed=2))
    ours = folder / "ours.gpkg"
    with gx.open_scene(made.scene, dem=made.dem) as scene:
        gx.write_outlines(gx.extract(scene), ours)

    scores = gx.evaluate(ours, made.outlines, gx.EvaluateOptions(block_m=1000), like=made.scene)
    low, high = scores.intervals["iou"]
    print(f"IoU {scores['iou']:.3f} ({low:.3f} to {high:.3f}), ASD {scores['asd_m']:.0f} m")
    worst = min((row for row in scores.glaciers if row["glacier"]), key=lambda row: row["iou"])
    print(f"Least alike: glacier {worst['glacier']}, IoU {worst['iou']:.2f}")

    with gx.Dem(made.dem) as dem:
        comparison = gx.compare(ours, made.outlines, dem)
    print(comparison.as_text())
    gx.draw_errors(gx.Pair(ours, made.outlines, made.scene, made.scene), folder / "errors.png")
