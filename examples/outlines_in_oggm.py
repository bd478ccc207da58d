"""Outlines in OGGM: a folder in its format, glacier directories, a mask and flowlines of each."""

from pathlib import Path
from tempfile import TemporaryDirectory

import geopandas
from oggm import cfg, tasks, workflow

import glacierx as gx


def main(folder: Path) -> int:
    """Extract a made scene, and let OGGM make its grids and flowlines; return how many."""
    # Put your own scene, DEM and RGI region here.
    made = gx.simulate(folder / "made", gx.SimulateOptions(size=256, gsd=30, seed=2))
    options = gx.ExtractOptions(outline=gx.OutlineOptions(min_area_km2=0.2))
    with gx.open_scene(made.scene, dem=made.dem, date="2018-08-15") as scene:
        extraction = gx.extract(scene, "ndsi", options)
        delivery = gx.Delivery("oggm", region="11-01")
        gx.write_outlines(extraction, folder / "alps", delivery=delivery, dem=scene.dem)

    cfg.initialize_minimal(logging_level="ERROR")
    cfg.PARAMS["border"] = 10
    cfg.PATHS["working_dir"] = str(folder)
    cfg.PATHS["dem_file"] = str(made.dem)
    cfg.set_intersects_db(str(folder / "alps" / "alps-intersects.gpkg"))
    outlines = geopandas.read_file(folder / "alps" / "alps-outlines.gpkg")
    glaciers = workflow.init_glacier_directories(outlines)
    for one in glaciers:
        tasks.define_glacier_region(one, source="USER")
        tasks.glacier_masks(one)
        tasks.compute_centerlines(one)
        print(f"{one.rgi_id}: {one.rgi_area_km2:.2f} km2")
    return len(glaciers)


if __name__ == "__main__":
    with TemporaryDirectory() as name:
        main(Path(name))
