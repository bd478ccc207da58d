"""Write results, be killed, look what is there; run as a script, which prints what was wrong.

A parent that has imported everything forks one writer after another and sends it SIGKILL: at a
random moment, or when it is about to make its n-th change to the disk.
"""

import hashlib
import json
import os
import random
import shutil
import signal
import sys
import time
import warnings
from pathlib import Path

import numpy as np
import shapely
from factories import disc, tiny_card, utm_grid, write_tif

import glacierx as gx
from glacierx.extract import extract_to
from glacierx.options import EngineOptions
from glacierx.outlines.geopackage import write_layers
from glacierx.outlines.outlines import Outlines, as_geometries
from glacierx.predict import pixels
from glacierx.predict.modelfile import build_model, save_network
from glacierx.scene.geotiff import write_raster
from glacierx.scene.raster import Raster
from glacierx.scene.scene import open_scene
from glacierx.scene.staging import staged

SIDE = 700


def write_formats(folder, version):
    """Write one file of each kind, of content that follows from *version*."""
    grid = utm_grid((SIDE, SIDE))
    values = np.random.default_rng(version).integers(0, 255, (1, SIDE, SIDE)).astype(np.uint8)
    raster = Raster(values, np.ones((SIDE, SIDE), bool), grid)
    write_raster(folder / "o.tif", raster, overwrite=True)
    x = np.arange(150) * 500.0 + version
    squares = Outlines(as_geometries(shapely.box(x, x, x + 400, x + 400).tolist()), grid.crs, {})
    for name in ("o.gpkg", "o.geojson"):
        write_layers(folder / name, {"glaciers": squares}, {"version": version}, overwrite=True)
    save_network(build_model(tiny_card(), seed=version), folder / "o.safetensors", overwrite=True)
    with staged(folder / "o.json", overwrite=True) as part:
        part.write_text(json.dumps({"version": version}) * 1000)


def write_extraction(folder, version, *, resume=False):
    """Extract a made scene in bands of rows; version 2 has another threshold."""
    with open_scene(folder.parent / "scene.tif") as scene:
        options = gx.ExtractOptions(outline=gx.OutlineOptions(threshold=0.3 + version / 10))
        extract_to(
            folder / "o.gpkg", scene, folder.parent / "model.safetensors", options,
            probability=folder / "p.tif", mask=folder / "m.tif", overwrite=True, resume=resume,
            engine=EngineOptions(device="cpu", backend="torch", precision="fp32"),
        )  # fmt: skip


def prepare(folder):
    pixels.PIXEL_ROWS = 32
    ice = disc((210, 62), (100, 30), 25)
    values = np.stack([np.where(ice, 8000, 1500), np.where(ice, 7000, 2500)]).astype("uint16")
    write_tif(
        folder / "scene.tif", values, utm_grid(ice.shape), descriptions=("green", "nir"),
        scales=(1e-4, 1e-4),
    )  # fmt: skip
    save_network(build_model(tiny_card(), seed=3), folder / "model.safetensors")


def hashes(folder):
    files = [file for file in folder.iterdir() if not file.name.startswith(".")]
    return {file.name: hashlib.sha256(file.read_bytes()).hexdigest() for file in files}


def die_at(change):
    """Have this process kill itself when it is about to change the disk for the n-th time."""
    left = [change]

    def counted(function):
        def call(*args, **kwargs):
            left[0] -= 1
            if left[0] < 0:
                os.kill(os.getpid(), signal.SIGKILL)
            return function(*args, **kwargs)

        return call

    for owner, name in (
        (os, "mkdir"), (os, "open"), (os, "fsync"), (os, "replace"), (os, "unlink"),
        (os, "rmdir"), (os, "chmod"), (shutil, "rmtree"),
    ):  # fmt: skip
        setattr(owner, name, counted(getattr(os if owner is os else shutil, name)))


def killed(write, folder, version, *, seconds=None, change=None, **arguments):
    """Fork, write and kill; return whether it was killed before it was done."""
    child = os.fork()
    if child == 0:
        if change is not None:
            die_at(change)
        write(folder, version, **arguments)
        os._exit(0)
    if seconds is not None:
        time.sleep(seconds)
        os.kill(child, signal.SIGKILL)
    _, status = os.waitpid(child, 0)
    assert os.WIFSIGNALED(status) or os.WEXITSTATUS(status) == 0, status
    return os.WIFSIGNALED(status)


def sweep(write, root, moments, changes, *, resumes):
    """Kill writers of the new result over the old one; return what went wrong."""
    clean = {}
    for version in (1, 2):
        folder = root / f"clean{version}"
        folder.mkdir()
        began = time.monotonic()
        killed(write, folder, version)
        took = time.monotonic() - began
        clean[version] = hashes(folder)
    faults, cut = [], 0
    chance = random.Random(7)
    kills = [{"seconds": chance.uniform(0, took)} for _ in range(moments)]
    kills += [{"change": number} for number in changes]
    for number, kill in enumerate(kills):
        folder = root / f"kill{number}"
        folder.mkdir()
        old = number % 2 == 0  # every other time there is a good result already
        if old:
            for name in clean[1]:
                shutil.copy(root / "clean1" / name, folder)
        was_killed = killed(write, folder, 2, **kill)
        cut += was_killed
        for name, digest in hashes(folder).items():
            allowed = {clean[2][name], *([clean[1][name]] if old else [])}
            if digest not in allowed:
                faults.append(f"{kill}: {name} is neither the old nor the new file")
        if old and set(hashes(folder)) != set(clean[1]):
            faults.append(f"{kill}: an old file is gone")
        again = {"resume": True} if resumes and number % 3 else {}
        killed(write, folder, 2, **again)
        if hashes(folder) != clean[2]:
            faults.append(f"{kill}: run again with {again} it gives other bytes")
        if any(file.name.startswith(".") for file in folder.iterdir()):
            faults.append(f"{kill}: litter is left")
        shutil.rmtree(folder)
    return faults, cut, len(kills)


def main():
    warnings.simplefilter("ignore")
    root = Path(sys.argv[1])
    what, moments, changes = sys.argv[2], int(sys.argv[3]), range(0, 200, int(sys.argv[4]))
    prepare(root)
    write = {"formats": write_formats, "extraction": write_extraction}[what]
    faults, cut, kills = sweep(write, root, moments, changes, resumes=what == "extraction")
    sys.stdout.write(json.dumps({"faults": faults, "cut": cut, "kills": kills}))


main()
