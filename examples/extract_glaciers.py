"""From a scene and a DEM to glaciers, in Python."""

from pathlib import Path
from tempfile import TemporaryDirectory

import glacierx as gx

with TemporaryDirectory() as folder:
    # Put your own scene and DEM here.
    made = gx.simulate(Path(folder) / "made", gx.SimulateOptions(size=256, gsd=30, seed=2))

    with gx.open_scene(made.scene, dem=made.dem, date="2023-08-15") as scene:
        print(f"{scene.name}: {scene.grid.describe()}, bands {', '.join(scene.roles)}")
        extraction = gx.extract(scene)
        gx.draw_outlines(
            scene, extraction.glaciers, extraction.divides, Path(folder) / "outlines.png"
        )
    gx.write_outlines(extraction, Path(folder) / "outlines.gpkg")

    glaciers = gx.read_outlines(Path(folder) / "outlines.gpkg")
    largest = glaciers["area_km2"].argsort()[::-1][:3]
    for row in glaciers.select(largest).rows():
        print(f"{row['glac_id']}: {row['area_km2']:.2f} km2, {row['zmin_m']:.0f} m upwards")
