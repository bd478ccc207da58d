"""Speed and memory of a network over a scene.

    python benchmarks/extract.py [FIGURE ...] [--size N] [--rounds N] [--work FOLDER]

Figures are engine, memory, monai, routes, growth and large; see benchmarks/README.md. Every run
is a process of its own, those that are compared in turns, and medians are printed.
"""

import argparse
import json
import statistics
import tempfile
import time
from collections.abc import Callable
from dataclasses import asdict
from importlib import import_module
from importlib.util import find_spec
from pathlib import Path
from typing import Any

import numpy as np
import rasterio
import torch
from affine import Affine
from metrics import Field, alone, memory_mb, peak_mb
from rasterio.crs import CRS
from torch import Tensor, nn

from glacierx.estimate import estimate
from glacierx.extract import extract, write_outlines
from glacierx.networks.layers import Inputs, Output
from glacierx.options import EngineOptions, PredictOptions
from glacierx.predict.backend import make_forward, resolve
from glacierx.predict.card import Card, Slot
from glacierx.predict.device import cores, decoders
from glacierx.predict.memory import keep_memory
from glacierx.predict.model import find_model, load_model
from glacierx.predict.modelfile import Model
from glacierx.predict.normalise import Normalisation
from glacierx.predict.predict import predict
from glacierx.predict.sample import fit_normaliser
from glacierx.predict.tiling import Tiling
from glacierx.profile import Profile
from glacierx.scene.geotiff import RasterLayout, RowWriter
from glacierx.scene.grid import Grid, row_bands
from glacierx.scene.prediction import STEP, mask_layout, open_prediction
from glacierx.scene.scene import Scene, open_scene

ROLES = ("blue", "green", "red", "nir")
ICE_ABOVE = 0.55
PATCH_PX = 1024


def write_scene(path: Path, rows: int, columns: int) -> None:
    """Write a made scene of four bands, uint16 in tiles of 512 x 512 with deflate."""
    if path.exists():
        return
    surface = Field(max(rows, columns), 1)
    random = np.random.default_rng(2)
    part = path.with_suffix(".part.tif")
    with rasterio.open(
        part, "w", driver="GTiff", width=columns, height=rows, count=4, dtype="uint16",
        crs="EPSG:32645", transform=Affine(10, 0, 400_000, 0, -10, 3_400_000), tiled=True,
        blockxsize=512, blockysize=512, compress="deflate", predictor=2, bigtiff="IF_SAFER",
    ) as file:  # fmt: skip
        file.scales = (1e-4,) * 4
        for band, role in enumerate(ROLES, 1):
            file.set_band_description(band, role)
        for first, last in row_bands(rows, 512):
            height = surface.rows(first, last)[:, :columns]
            ice = height > ICE_ABOVE
            for band, (bright, dark) in enumerate(
                ((7000, 900), (6800, 1100), (6500, 1300), (6000, 1900)), 1
            ):
                values = np.where(ice, bright, dark) * (1 + 0.2 * height)
                values += random.standard_normal(values.shape, np.float32) * 60
                window = rasterio.windows.Window(0, first, columns, last - first)
                file.write(values.clip(1, 10000).astype(np.uint16), band, window=window)
    part.rename(path)


def write_dem(path: Path, rows: int, columns: int) -> None:
    """Write the heights below such a scene, one for every three pixels."""
    if path.exists():
        return
    step = 3
    shape = -(-rows // step), -(-columns // step)
    surface = Field(max(rows, columns), 1)
    grid = Grid(CRS.from_epsg(32645), Affine(30, 0, 400_000, 0, -30, 3_400_000), shape)
    part = path.with_suffix(".part.tif")
    with RowWriter(part, grid, RasterLayout(1, np.float32)) as writer:
        for first, last in row_bands(shape[0], 64):
            height = surface.rows(first * step, min(last * step, rows))[::step, :columns:step]
            writer.write((4500 + 400 * height)[None].astype(np.float32))
    part.rename(path)


class Small(nn.Module):
    """Two convolutions that see two pixels far; the same numbers wherever they are run."""

    def __init__(self) -> None:
        super().__init__()
        random = torch.Generator().manual_seed(5)
        self.first, self.second = nn.Conv2d(4, 8, 3, padding=1), nn.Conv2d(8, 1, 3, padding=1)
        for part in (self.first, self.second):
            weight = torch.randn(part.weight.shape, generator=random)
            part.weight = nn.Parameter(weight / part.weight[0].numel() ** 0.5)
            part.bias = nn.Parameter(torch.randn(part.bias.shape, generator=random))  # type: ignore[union-attr]  # it has one

    def forward(self, inputs: Inputs) -> Output:
        """Return logits."""
        return Output(mask=self.second(torch.relu(self.first(inputs.x[:, :4]))))


def model_of(name: str) -> Model:
    """Return a model that ships, or the small one."""
    if name != "small":
        found = load_model(find_model(name))
        assert isinstance(found, Model)
        return found
    slots = tuple(Slot(role) for role in ROLES)
    scaling = Normalisation("fixed", mean=(0.2,) * 4, std=(0.1,) * 4)
    return Model(Small().eval(), Card("small", "none", slots, normalisation=scaling))


def engine_of(given: dict[str, Any]) -> EngineOptions:
    """Return the options of a case."""
    return EngineOptions(**given.get("engine", {}))


def run_glacierx(given: dict[str, Any]) -> dict[str, Any]:
    """Predict a scene from opening it to closing its mask."""
    model = model_of(given["model"])
    profile = Profile()
    before, cpu, began = memory_mb(), time.process_time(), time.perf_counter()
    engine = engine_of(given)
    with open_scene(given["scene"], workers=decoders(engine)) as scene:
        options = PredictOptions(tta=given.get("tta", "none"))
        patches = Tiling(scene.grid.shape, model.card.patch_px).patches
        with predict(
            scene, model, options, path=given["out"], mask=given.get("mask"), overwrite=True,
            engine=engine, profile=profile,
        ):  # fmt: skip
            pass
    wall, cpu = time.perf_counter() - began, time.process_time() - cpu
    return {
        "wall": wall, "cpu": cpu, "network": profile.seconds["network"], "patches": patches,
        "added_mb": peak_mb() - before, "stages": profile.seconds,
    }  # fmt: skip


def run_monai(given: dict[str, Any]) -> dict[str, Any]:
    """Do the same with MONAI's sliding window, the same network and the same overlap."""
    slide = import_module("monai.inferers").sliding_window_inference
    model = model_of(given["model"])
    before, cpu, began = memory_mb(), time.process_time(), time.perf_counter()
    took = 0.0
    patch_px = model.card.patch_px
    margin = int((1 - 0.9**0.5) * patch_px / 2)
    engine = engine_of(given)
    with open_scene(given["scene"], workers=decoders(engine)) as scene:
        forward, present = forward_of(model, scene, engine)
        x = whole_planes(model, scene)

        def run(patches: Tensor) -> Tensor:
            nonlocal took
            start = time.perf_counter()
            found: Tensor = forward(Inputs(patches, present=present.expand(len(patches), -1)))
            took += time.perf_counter() - start
            return found

        with torch.inference_mode():
            overlap = 2 * margin / patch_px
            logits = slide(x, patch_px, 1, run, overlap=overlap, mode="constant")
            probability = torch.sigmoid(logits)[0, 0].numpy()
        with RowWriter(given["out"], scene.grid, mask_layout({})) as writer:
            writer.write((probability > 0.5).astype(np.uint8)[None])
        np.save(Path(given["out"]).with_suffix(".npy"), probability)
    wall, cpu = time.perf_counter() - began, time.process_time() - cpu
    return {"wall": wall, "cpu": cpu, "network": took, "added_mb": peak_mb() - before}


def run_whole(given: dict[str, Any]) -> dict[str, Any]:
    """Run a network over a whole scene at once, and compare what the tiled runs found."""
    model = model_of("small")
    with open_scene(given["scene"]) as scene:
        x = whole_planes(model, scene)
    with torch.inference_mode():
        truth = torch.sigmoid(model.network(Inputs(x)).mask)[0, 0].numpy()
    with open_prediction(given["glacierx"]) as prediction:
        tiled = prediction.read(prediction.grid.window)
    inner = (slice(2, -2),) * 2
    # More than one step apart: what is left of rounding never is.
    ours = np.abs(tiled * np.float32(STEP) - truth)[inner] > 1.5 * STEP
    theirs = np.abs(np.load(given["monai"]) - truth)[inner] > 1.5 * STEP
    return {"glacierx": int(ours.sum()), "monai": int(theirs.sum())}


def forward_of(model: Model, scene: Scene, options: EngineOptions) -> tuple[Any, Tensor]:
    """Return the network as glacierx runs it, and which roles the scene has."""
    roles = model.card.roles
    patch_px = model.card.patch_px
    resolved = resolve(options, Tiling(scene.grid.shape, patch_px).patches)
    shape = (1, len(roles), patch_px, patch_px)
    forward = make_forward(model.network, resolved, shape, context=False)
    return forward, torch.tensor([[float(role in scene.available) for role in roles]])


def whole_planes(model: Model, scene: Scene) -> Tensor:
    """Read and scale a whole scene."""
    roles = model.card.roles
    present = [role for role in roles if role in scene.available]
    raster = scene.read(scene.grid.window, present)
    scaled = fit_normaliser(model.card.normalisation, scene, roles)(raster.values, raster.valid)
    x = np.zeros((1, len(roles), *scaled.shape[1:]), np.float32)
    x[0, [roles.index(role) for role in present]] = scaled
    return torch.from_numpy(x)


ROUTES = {
    "plain": None,
    "auto": EngineOptions(backend="torch"),
    "fp32": EngineOptions(backend="torch", precision="fp32"),
    "openvino fp32": EngineOptions(backend="openvino", precision="fp32"),
    "openvino bf16": EngineOptions(backend="openvino", precision="bf16"),
}


def run_route(given: dict[str, Any]) -> dict[str, Any]:
    """Time a patch by one route; plain is PyTorch as it comes, in fp32."""
    model = model_of(given["model"])
    roles = model.card.roles
    shape = (1, len(roles), given["patch"], given["patch"])
    inputs = Inputs(torch.rand(shape), present=torch.ones(1, len(roles)))
    options = ROUTES[given["route"]]
    run: Callable[[], Any] = lambda: model.network(inputs).mask  # noqa: E731
    if options is not None:
        forward = make_forward(model.network, resolve(options, 100), shape, context=False)
        run = lambda: forward(inputs)  # noqa: E731
    times = []
    with torch.inference_mode():
        for turn in range(given["rounds"] + 1):
            start = time.perf_counter()
            run()
            if turn:
                times.append(time.perf_counter() - start)
    return {"seconds": statistics.median(times)}


def has(name: str) -> bool:
    """Tell whether a library is installed."""
    return find_spec(name) is not None


def run_extract(given: dict[str, Any]) -> dict[str, Any]:
    """Extract glaciers from a scene with a DEM, into a GeoPackage; or estimate what that takes."""
    began = time.perf_counter()
    engine = engine_of(given)
    with open_scene(given["scene"], dem=given["dem"], workers=decoders(engine)) as scene:
        if given.get("estimate"):
            told = estimate(scene, given["model"], engine=engine, rasters=1)
            return asdict(told)
        profile = Profile()
        out = Path(given["out"]).with_suffix(".gpkg")
        kept = out.with_suffix(".tif")
        result = extract(
            scene, given["model"], engine=engine, probability=kept, overwrite=True,
            profile=profile,
        )  # fmt: skip
        with profile.measure("write"):
            write_outlines(result, out, overwrite=True)
    return {
        "minutes": (time.perf_counter() - began) / 60, "memory_mb": peak_mb(),
        "disk_mb": (out.stat().st_size + kept.stat().st_size) / 1e6,
        "glaciers": len(result.glaciers),
        "stages": profile.seconds,
    }  # fmt: skip


CASES: dict[str, Callable[[dict[str, Any]], dict[str, Any]]] = {
    "glacierx": run_glacierx, "monai": run_monai, "whole": run_whole, "route": run_route,
    "extract": run_extract,
}  # fmt: skip


def measure(case: str, threads: int, **given: Any) -> dict[str, Any]:
    """Run a case in a process of its own."""
    text = json.dumps(given, default=str)
    return alone(__file__, "--case", case, "--threads", str(threads), "--given", text)


class Bench:
    """What the figures share: sizes, rounds and where files go."""

    def __init__(self, work: Path, size: int, rounds: int, threads: int, backend: str) -> None:
        self.work, self.size, self.rounds, self.threads = work, size, rounds, threads
        self.engine = {"backend": backend}
        self.tta: tuple[str, ...] = ("none", "chu6")

    def scene(self, rows: int, columns: int) -> Path:
        """Make a scene, once."""
        path = self.work / f"scene_{rows}x{columns}.tif"
        write_scene(path, rows, columns)
        return path

    def files(self) -> dict[str, Path]:
        """Return where a run writes."""
        return {"out": self.work / "probability.tif", "mask": self.work / "mask.tif"}

    def beside(self) -> None:
        """Print what the job costs beside its network."""
        scene = self.scene(self.size, self.size)
        for tta in self.tta:
            runs = [
                measure("glacierx", self.threads, scene=scene, model="starter", tta=tta,
                        engine=self.engine, **self.files())
                for _ in range(self.rounds)
            ]  # fmt: skip
            wall = [run["wall"] / run["network"] for run in runs]
            cpu = [run["cpu"] / (run["network"] * self.threads) for run in runs]
            print(
                f"engine: {self.size} x {self.size}, tta {tta}, {self.threads} threads: wall / "
                f"network {middle(wall)}, CPU / network {middle(cpu)}, "
                f"{middle([run['wall'] for run in runs])} s",
                flush=True,
            )

    def memory(self) -> None:
        """Print how added memory grows with height."""
        added = {}
        for rows in (self.size, 2 * self.size):
            scene = self.scene(rows, self.size)
            runs = [
                measure("glacierx", self.threads, scene=scene, model="starter",
                        engine=self.engine, **self.files())
                for _ in range(self.rounds)
            ]  # fmt: skip
            added[rows] = statistics.median(run["added_mb"] for run in runs)
        low, high = added.values()
        print(
            f"memory: {self.size} columns, {2 * self.size} rows over {self.size}: "
            f"{high:.0f} MB / {low:.0f} MB = {high / low:.3f}",
            flush=True,
        )

    def monai(self) -> None:
        """Print time, memory and wrong pixels beside MONAI's sliding window."""
        if not has("monai"):
            print("monai: not installed (pip install --no-deps monai); skipped")
            return
        scene = self.scene(self.size, self.size)
        runs: dict[str, list[dict[str, Any]]] = {"glacierx": [], "monai": []}
        for _ in range(self.rounds):
            for case, found in runs.items():
                found.append(measure(case, self.threads, scene=scene, model="starter",
                                     engine=self.engine, **self.files()))  # fmt: skip
        wall, added = (
            [one[key] / other[key] for one, other in zip(*runs.values(), strict=True)]
            for key in ("wall", "added_mb")
        )
        print(f"monai: wall {middle(wall)}, added memory {middle(added)} of MONAI's", flush=True)
        fp32 = {"backend": "torch", "precision": "fp32"}
        small = {"scene": scene, "model": "small", "engine": fp32}
        ours, theirs = self.work / "small.tif", self.work / "small_monai.tif"
        measure("glacierx", self.threads, **small, out=ours)
        measure("monai", self.threads, **small, out=theirs)
        wrong = measure("whole", self.threads, scene=scene, glacierx=ours,
                        monai=theirs.with_suffix(".npy"))  # fmt: skip
        print(f"monai: wrong pixels inside: {wrong['glacierx']}, MONAI {wrong['monai']}")

    def large(self) -> None:
        """Print time and memory of a whole extraction with a DEM, and what was estimated."""
        scene, dem = self.scene(self.size, self.size), self.work / f"dem_{self.size}.tif"
        write_dem(dem, self.size, self.size)
        job = {"scene": scene, "dem": dem, "model": "starter", "engine": self.engine}
        told = measure("extract", self.threads, **job, estimate=True)
        found = measure("extract", self.threads, **job, out=self.work / "outlines")
        print(f"large: {self.size} x {self.size} with a DEM: {found['glaciers']} glaciers")
        for key, unit in (("minutes", "minutes"), ("memory_mb", "MB"), ("disk_mb", "MB on disk")):
            print(
                f"large: {found[key]:.2f} {unit}, estimated {told[key]:.2f} "
                f"({told[key] / found[key]:.2f})"
            )
        stages = ", ".join(f"{name} {took:.1f}" for name, took in found["stages"].items())
        print(f"large: seconds of stages: {stages}", flush=True)

    def routes(self) -> None:
        """Print the time of a patch by each route over that of plain PyTorch."""
        names = [name for name in ROUTES if "openvino" not in name or has("openvino")]
        found: dict[str, list[float]] = {name: [] for name in names}
        patch = min(PATCH_PX, self.size // 16 * 16)
        for _ in range(self.rounds):
            for name, times in found.items():
                run = measure("route", self.threads, model="starter", rounds=3, patch=patch,
                              route=name)  # fmt: skip
                times.append(run["seconds"])
        for name, times in found.items():
            ratios = [own / plain for own, plain in zip(times, found["plain"], strict=True)]
            print(f"routes: {name}: {middle(times)} s, {middle(ratios)} of plain fp32", flush=True)

    def growth(self) -> None:
        """Print time for each patch and memory for each column as scenes grow."""
        base, before = 0.0, (0, 0.0)
        for size in (self.size // 8 * scale for scale in (2, 4, 8, 16)):
            scene = self.scene(size, size)
            runs = [
                measure("glacierx", self.threads, scene=scene, model="starter",
                        engine=self.engine, **self.files())
                for _ in range(self.rounds if size < self.size else 1)
            ]  # fmt: skip
            each = statistics.median(run["wall"] / run["patches"] for run in runs)
            added = statistics.median(run["added_mb"] for run in runs)
            base = base or each
            more = (added - before[1]) * 1e6 / (size - before[0])
            print(
                f"growth: {size} x {size}: {runs[0]['patches']} patches, {each:.3f} s each "
                f"({each / base:.2f}), added {added:.0f} MB, {more:.0f} bytes for each column more",
                flush=True,
            )
            before = size, added


def middle(values: list[float]) -> str:
    """Show the median, and the least and greatest."""
    return f"{statistics.median(values):.3f} ({min(values):.3f}-{max(values):.3f})"


FIGURES: dict[str, Callable[[Bench], None]] = {
    "engine": Bench.beside, "memory": Bench.memory, "monai": Bench.monai, "routes": Bench.routes,
    "growth": Bench.growth, "large": Bench.large,
}  # fmt: skip


def main() -> None:
    """Print the figures that are asked for."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("figures", nargs="*", metavar="FIGURE")
    parser.add_argument("--size", type=int, default=6000, help="side of the scene in pixels")
    parser.add_argument("--rounds", type=int, default=5)
    parser.add_argument("--threads", type=int, default=max(1, cores() - 1),
                        help="of the network; one core is left for the rest")  # fmt: skip
    parser.add_argument("--backend", default="auto", choices=("auto", "torch", "openvino"))
    parser.add_argument("--tta", choices=("none", "chu6"), help="for the figure engine, one alone")
    parser.add_argument("--work", type=Path, help="folder that keeps made scenes")
    parser.add_argument("--case", choices=sorted(CASES), help=argparse.SUPPRESS)
    parser.add_argument("--given", type=json.loads, help=argparse.SUPPRESS)
    asked = parser.parse_args()
    torch.set_num_threads(asked.threads)
    if asked.case:
        if asked.given.get("route") != "plain":
            keep_memory()  # as the command does
        print(json.dumps(CASES[asked.case](asked.given)))
        return
    unknown = set(asked.figures) - set(FIGURES)
    if unknown:
        parser.error(f"{', '.join(sorted(unknown))}: figures are {', '.join(FIGURES)}")
    with tempfile.TemporaryDirectory() as temporary:
        work = asked.work or Path(temporary)
        work.mkdir(parents=True, exist_ok=True)
        bench = Bench(work, asked.size, asked.rounds, asked.threads, asked.backend)
        bench.tta = (asked.tta,) if asked.tta else bench.tta
        for figure in asked.figures or FIGURES:
            FIGURES[figure](bench)


if __name__ == "__main__":
    main()
