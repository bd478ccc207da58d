"""Outlines in geopandas: tables, sums and maps of one's own, from memory and from a file."""

from pathlib import Path
from tempfile import TemporaryDirectory

import geopandas

import glacierx as gx

with TemporaryDirectory() as name:
    folder = Path(name)
    # Put your own scene and DEM here.
    made = gx.simulate(folder / "made", gx.SimulateOptions(size=256, gsd=30, seed=2))
    with gx.open_scene(made.scene, dem=made.dem, date="2023-08-15") as scene:
        extraction = gx.extract(scene, "ndsi")
    gx.write_outlines(extraction, folder / "outlines.gpkg")

    # What is in memory needs no file.
    outlines = extraction.glaciers
    glaciers = geopandas.GeoDataFrame.from_features(outlines, crs=outlines.crs.to_wkt())
    print(glaciers[["glac_id", "area_km2", "zmed_m", "slope_deg"]].head(3).to_string(index=False))
    print(glaciers.groupby("aspect_sec")["area_km2"].sum().round(2).to_dict())

    # From the file, in degrees, and only what lies in its southern half.
    glaciers = geopandas.read_file(folder / "outlines.gpkg", layer="glaciers").to_crs(4326)
    southern = glaciers[glaciers["cenlat"] < glaciers["cenlat"].median()]
    print(f"{len(southern)} of {len(glaciers)} glaciers lie in the south")

    # Which glaciers share a divide.
    divides = geopandas.read_file(folder / "outlines.gpkg", layer="divides")
    beside = divides.groupby("glac_id_1")["glac_id_2"].agg(list)
    print(f"{divides.length.sum() / 1000:.1f} km of divides, beside {len(beside)} glaciers")
