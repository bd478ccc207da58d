"""The steps of the main job one by one, each result a file that can be looked at."""

from pathlib import Path
from tempfile import TemporaryDirectory

import glacierx as gx

with TemporaryDirectory() as name:
    folder = Path(name)
    made = gx.simulate(folder / "made", gx.SimulateOptions(size=256, gsd=30, seed=2))

    with gx.open_scene(made.scene) as scene:
        gx.predict(scene, "ndsi", path=folder / "probability.tif").close()

    with gx.open_prediction(folder / "probability.tif") as prediction:
        complexes = gx.trace_outlines(prediction, gx.OutlineOptions(min_area_km2=0.05))
        complexes = gx.smooth_outlines(complexes, prediction.grid)
        with gx.Dem(made.dem) as dem:
            division = gx.split_glaciers(complexes, dem, gx.DIVIDE_PRESETS["kienholz2013"])
            division = gx.add_attributes(division, dem=dem, prediction=prediction)

    gx.write_outlines(division.glaciers, folder / "glaciers.gpkg")
    print(f"{len(complexes)} complexes, {len(division.glaciers)} glaciers")
