"""Is this machine fit for glacierx: each part looked at by itself, in plain words.

Libraries are imported within the check that needs them: one that cannot be is what is looked for.
"""

import os
import re
import shutil
import subprocess
import sys
import tempfile
import warnings
from collections.abc import Callable, Sequence
from contextlib import suppress
from importlib import import_module
from importlib.metadata import PackageNotFoundError, requires, version
from pathlib import Path

from glacierx.errors import GlacierxError, GlacierxWarning
from glacierx.findings import Finding

Progress = Callable[[int, int, str], None]

PYTHONS = (3, 11), (3, 13)
# Where a package is imported by another name than it is installed by.
MODULES = {"pillow": "PIL", "scikit-image": "skimage"}
EXTRAS = {
    "distributed": "glacierx batch --scheduler needs it: pip install 'glacierx[dask]'",
    "openvino": "networks run faster on a CPU without bf16: pip install 'glacierx[openvino]'",
    "scikit-learn": "glacierx fit rf needs it: pip install 'glacierx[rf]'",
}
RASTERS = ("GTiff", "VRT", "MEM")
VECTORS = ("GPKG", "ESRI Shapefile", "GeoJSON")
# Settings that make GDAL and PROJ look for their data elsewhere, or do without drivers.
GDAL_SETTINGS = ("GDAL_DATA", "GDAL_DRIVER_PATH", "GDAL_SKIP", "OGR_SKIP")
PROJ_SETTINGS = ("PROJ_DATA", "PROJ_LIB")
# A made scene of 256 x 256 pixels takes 0.6 GB with all libraries, one of 20,000 x 20,000 2.1 GB.
LEAST_MEMORY_GB, GOOD_MEMORY_GB = 1.0, 3.0
LEAST_DISK_GB, GOOD_DISK_GB = 0.1, 2.0
PROBE_BYTES = 1_000_000
# The shipped model reaches 0.61 on the trial's scene; wrong arithmetic falls far below.
LEAST_IOU = 0.3


def examine(progress: Progress | None = None) -> list[Finding]:
    """Look at everything that glacierx needs of a machine, and run it once.

    Args:
        progress: Called as work goes on.

    Returns:
        A finding for each check; one that itself breaks is a problem.
    """
    found = []
    for done, (name, check) in enumerate(CHECKS.items()):
        if progress:
            progress(done, len(CHECKS), "checks")
        try:
            with warnings.catch_warnings():
                warnings.simplefilter("ignore")
                found.append(check(name))
        except Exception as error:  # noqa: BLE001 - whatever breaks is what is looked for
            found.append(Finding(name, "problem", f"{_reason(error)}.", ADVICE.get(name, "")))
    if progress:
        progress(len(CHECKS), len(CHECKS), "checks")
    return found


def _reason(error: BaseException) -> str:
    text = " ".join(str(error).split()).rstrip(".")
    if isinstance(error, GlacierxError):
        return text
    return f"{type(error).__name__}: {text}" if text else type(error).__name__


def check_python(name: str) -> Finding:
    """Is Python one that glacierx is tested with?"""
    own = ".".join(str(part) for part in sys.version_info[:3])
    text = f"{own} on {sys.platform}"
    if PYTHONS[0] <= sys.version_info[:2] <= PYTHONS[1]:
        return Finding(name, "ok", text)
    low, high = (".".join(map(str, one)) for one in PYTHONS)
    advice = f"glacierx is made for {low} to {high}: set up an environment with one of these."
    return Finding(name, "problem", f"{text}.", advice)


def check_packages(name: str) -> Finding:
    """Is every package that glacierx needs here, new enough, and can it be imported?"""
    try:
        needed = [line for line in requires("glacierx") or () if "extra ==" not in line]
    except PackageNotFoundError:
        needed = []
    if not needed:
        text = "glacierx runs from a folder and is not installed, so versions are not checked."
        return Finding(name, "note", text, "Install it: pip install -e FOLDER")
    faults, mend, good = [], [], []
    for line in needed:
        package, least = re.fullmatch(r"([\w.-]+)(?:>=([\d.]+))?.*", line).groups()  # type: ignore[union-attr]  # a requirement begins with a name
        fault = _fault_of(package, least or "0")
        if fault:
            faults.append(fault)
            mend.append(f"'{package}>={least}'" if least else package)
        else:
            good.append(f"{package} {version(package)}")
    if faults:
        return Finding(
            name, "problem", f"{'; '.join(faults)}.", f"pip install --upgrade {' '.join(mend)}"
        )
    return Finding(name, "ok", ", ".join(good))


def _fault_of(package: str, least: str) -> str:
    """Say what is wrong with an installed package; nothing if all is well."""
    try:
        own = version(package)
    except PackageNotFoundError:
        return f"{package} is not installed"
    if _numbers(own) < _numbers(least):
        return f"{package} is {own}, and {least} or newer is needed"
    try:
        import_module(MODULES.get(package, package))
    except Exception as error:  # noqa: BLE001 - a broken library may raise anything
        return f"{package} {own} cannot be imported ({_reason(error)})"
    return ""


def _numbers(text: str) -> tuple[int, ...]:
    """Read the numbers of a version, without trailing zeros: 2.13.0+cpu is (2, 13)."""
    match = re.match(r"\d+(\.\d+)*", text)
    parts = [int(part) for part in match[0].split(".")] if match else []
    while parts and parts[-1] == 0:
        parts.pop()
    return tuple(parts)


def check_extras(name: str) -> Finding:
    """Which of the packages that only some work needs are here?"""
    found = []
    for package, use in EXTRAS.items():
        try:
            found.append(f"{package} {version(package)}")
        except PackageNotFoundError:
            found.append(f"no {package} ({use})")
    return Finding(name, "ok", "; ".join(found))


def check_gdal(name: str) -> Finding:
    """Can GDAL read and write what glacierx does?"""
    import fiona
    import rasterio

    with rasterio.Env() as rasters, fiona.Env() as vectors:
        raster, vector = set(rasters.drivers()), set(vectors.drivers())
    lacking = [f"rasterio's lacks {one}" for one in RASTERS if one not in raster]
    lacking += [f"fiona's lacks {one}" for one in VECTORS if one not in vector]
    own = f"{rasterio.__gdal_version__} in rasterio, {fiona.__gdal_version__} in fiona"
    if lacking:
        advice = _unset(GDAL_SETTINGS) or ADVICE[name]
        return Finding(name, "problem", f"{own}: {', '.join(lacking)}.", advice)
    if not any(one.startswith("JP2") for one in raster):
        text = f"{own}; JPEG 2000 cannot be read, which Sentinel-2 products come in."
        return Finding(name, "note", text, "Convert them to GeoTIFF, or install another rasterio.")
    return Finding(name, "ok", f"{own}; {', '.join(VECTORS)}, GeoTIFF, VRT and JPEG 2000 are there")


def _unset(names: Sequence[str]) -> str:
    """Say which of these settings may be at fault."""
    given = [name for name in names if os.environ.get(name)]
    if not given:
        return ""
    shown = ", ".join(f"{name}={os.environ[name]}" for name in given)
    return f"Unset {shown}, which another program may have set."


def check_proj(name: str) -> Finding:
    """Does each library find its own data of coordinate systems?"""
    import fiona.transform
    import pyproj
    import rasterio.warp

    crs = "EPSG:4326", "EPSG:32632"
    ways: dict[str, Callable[[], Sequence[Sequence[float]]]] = {
        "rasterio": lambda: rasterio.warp.transform(*crs, [9.0], [0.0]),
        "fiona": lambda: fiona.transform.transform(*crs, [9.0], [0.0]),
        "pyproj": lambda: pyproj.Transformer.from_crs(*crs, always_xy=True).transform([9.0], [0.0]),
    }
    faults = []
    for package, way in ways.items():
        try:
            x, y = (float(part[0]) for part in way())
        except Exception as error:  # noqa: BLE001 - each library has errors of its own
            faults.append(f"{package} cannot use EPSG codes ({_reason(error)})")
            continue
        # On the central meridian and the equator a UTM zone has these by definition.
        if not (abs(x - 500_000) < 1e-3 and abs(y) < 1e-3):
            faults.append(f"{package} puts 9 E, 0 N at {x:.3f}, {y:.3f} of UTM zone 32")
    if faults:
        advice = _unset(PROJ_SETTINGS) or ADVICE[name]
        return Finding(name, "problem", f"{'; '.join(faults)}.", advice)
    return Finding(name, "ok", f"{pyproj.proj_version_str}; its data is found by {', '.join(ways)}")


def check_temporary(name: str) -> Finding:
    """Can something be written where temporary files go?"""
    return _check_folder(
        name, Path(tempfile.gettempdir()), "problem", "set TMPDIR to a folder on another disk"
    )


def check_folder(name: str) -> Finding:
    """Can something be written here?"""
    return _check_folder(
        name, Path.cwd(), "note", "write results elsewhere: -o FOLDER/outlines.gpkg"
    )


def _check_folder(name: str, folder: Path, state: str, else_do: str) -> Finding:
    advice = f"Free some space, or {else_do}."
    try:
        with tempfile.TemporaryFile(dir=folder, prefix="glacierx-") as probe:
            probe.write(bytes(PROBE_BYTES))
            probe.flush()
            os.fsync(probe.fileno())
    except OSError as error:
        text = f"Nothing can be written in {folder}: {error.strerror or error}."
        return Finding(name, state, text, f"Mend its rights, or {else_do}.")
    free_gb = shutil.disk_usage(folder).free / 1e9
    text = f"{free_gb:.1f} GB free in {folder}"
    if free_gb < LEAST_DISK_GB:
        return Finding(name, state, f"{text}, which is next to nothing.", advice)
    if free_gb < GOOD_DISK_GB:
        return Finding(name, "note", f"{text}, which large scenes fill.", advice)
    return Finding(name, "ok", text)


def check_memory(name: str) -> Finding:
    """Is there memory for a scene?"""
    limits = [size for size in (_available_bytes(), _allowed_bytes()) if size is not None]
    if not limits:
        return Finding(name, "note", "this system does not tell how much is free")
    free_gb = min(limits) / 1e9
    text = f"{free_gb:.1f} GB free"
    if free_gb < LEAST_MEMORY_GB:
        advice = f"Close programs, or take a machine with {GOOD_MEMORY_GB:g} GB."
        return Finding(name, "problem", f"{text}, and {LEAST_MEMORY_GB:g} GB is needed.", advice)
    if free_gb < GOOD_MEMORY_GB:
        advice = "Ask glacierx extract --estimate first; a smaller --patch-px or --aoi takes less."
        return Finding(name, "note", f"{text}: enough for small scenes.", advice)
    return Finding(name, "ok", text)


def _available_bytes() -> int | None:
    """Return what the system could give, None where it does not tell."""
    with suppress(OSError):
        found = re.search(r"MemAvailable:\s+(\d+) kB", Path("/proc/meminfo").read_text("ascii"))
        if found:
            return int(found[1]) * 1024
    with suppress(AttributeError, ValueError, OSError):  # Elsewhere at least how much there is.
        return os.sysconf("SC_PHYS_PAGES") * os.sysconf("SC_PAGE_SIZE")
    return None


def _allowed_bytes() -> int | None:
    """Return what a container leaves to this process, None where nothing limits it."""
    group = Path("/sys/fs/cgroup")
    with suppress(OSError, ValueError):
        limit = int((group / "memory.max").read_text("ascii"))
        return limit - int((group / "memory.current").read_text("ascii"))
    return None


def check_processor(name: str) -> Finding:
    """What will networks run on?"""
    from glacierx.options import EngineOptions
    from glacierx.predict.backend import WORTH_PASSES, resolve
    from glacierx.predict.device import choose_device, cores, device_name

    engine = resolve(EngineOptions(), WORTH_PASSES)
    device = choose_device(engine.device)
    runs = f"networks run on {device_name(device)} with {engine.backend} in {engine.precision}"
    text = f"{cores()} cores; {runs}"
    unused = _unused_gpu(device.type)
    if unused:
        return Finding(name, "note", f"{text}. {unused}", _GPU_ADVICE)
    return Finding(name, "ok", text)


_GPU_ADVICE = (
    "For speed install the CUDA build of PyTorch that fits the driver (pytorch.org); all works "
    "without."
)


def _unused_gpu(device: str) -> str:
    """Name a GPU of NVIDIA's that PyTorch does not use; nothing if there is none."""
    tool = shutil.which("nvidia-smi")
    if device != "cpu" or tool is None:
        return ""
    with suppress(OSError, subprocess.SubprocessError):
        done = subprocess.run([tool, "-L"], capture_output=True, text=True, timeout=10, check=True)
        gpu = re.search(r"GPU \d+: (.*?)(?: \(|$)", done.stdout, re.MULTILINE)
        return f"There is a GPU ({gpu[1]}) that PyTorch does not see." if gpu else ""
    return ""


def check_models(name: str) -> Finding:
    """Can every model that ships be read, whole?"""
    from glacierx.predict.model import load_model, shipped_models

    names = shipped_models()
    for model in names:
        load_model(model)
    if not names:
        return Finding(name, "problem", "no model ships with this copy.", ADVICE[name])
    return Finding(name, "ok", f"{', '.join(names)}: card and weights agree")


def try_it(name: str) -> Finding:
    """Make a small scene, find its glaciers, write them, and read them again."""
    from glacierx.demo import demonstrate
    from glacierx.options import SimulateOptions
    from glacierx.outlines.geopackage import read_outlines, read_record
    from glacierx.predict.model import shipped_models

    with (
        tempfile.TemporaryDirectory(prefix="glacierx-") as folder,
        warnings.catch_warnings(),
    ):
        warnings.simplefilter("ignore", GlacierxWarning)
        made = demonstrate(folder, SimulateOptions(size=256))
        glaciers, record = read_outlines(made.outlines), read_record(made.outlines)
    if made.model not in shipped_models():
        text = f"no shipped model took the made scene; the pixel method {made.model} did."
        return Finding(name, "problem", text, ADVICE[name])
    if not len(glaciers) or record.get("model", {}).get("name") != made.model:
        return Finding(
            name, "problem", "the GeoPackage does not hold what was written.", ADVICE[name]
        )
    text = f"{made.model} found {len(glaciers)} glaciers in a made scene, IoU {made.iou:.2f}"
    if not made.iou >= LEAST_IOU:
        text = f"{text}, and {LEAST_IOU:g} is the least: this machine computes wrongly."
        return Finding(name, "problem", text, ADVICE[name])
    return Finding(name, "ok", f"{text}, and the GeoPackage reads back")


CHECKS: dict[str, Callable[[str], Finding]] = {
    "Python": check_python,
    "packages": check_packages,
    "extras": check_extras,
    "GDAL": check_gdal,
    "PROJ": check_proj,
    "temporary files": check_temporary,
    "this folder": check_folder,
    "memory": check_memory,
    "processor": check_processor,
    "models": check_models,
    "trial run": try_it,
}
ADVICE = {
    "GDAL": "Install both anew from PyPI: pip install --force-reinstall rasterio fiona",
    "PROJ": "Install them anew from PyPI: pip install --force-reinstall rasterio fiona pyproj",
    "temporary files": "Set TMPDIR to a folder that can be written to.",
    "this folder": "Go to another folder.",
    "processor": "Install PyTorch anew, as pytorch.org says for this machine.",
    "models": "Mend what is named above first; else install glacierx anew.",
    "trial run": "Mend what is named above first; else glacierx demo --debug shows where it ends.",
}
