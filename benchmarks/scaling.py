"""What a pass over all glacier regions takes, worked out from costs that were measured.

Run ``python benchmarks/scaling.py``; each measured cost is a flag, so that those of another machine
can be put in. It computes, and measures nothing itself.
"""

import argparse
from collections.abc import Sequence
from dataclasses import dataclass

# Glaciers and their area (km2) in RGI 7.0 by region, without the ice sheets.
REGIONS = (
    ("01 Alaska", 27509, 86725), ("02 Western Canada and USA", 18730, 14629),
    ("03 Arctic Canada North", 5216, 105010), ("04 Arctic Canada South", 11009, 40861),
    ("05 Greenland Periphery", 19994, 90482), ("06 Iceland", 568, 11020),
    ("07 Svalbard and Jan Mayen", 1666, 33959), ("08 Scandinavia", 3410, 2947),
    ("09 Russian Arctic", 1069, 51551), ("10 North Asia", 7155, 2638),
    ("11 Central Europe", 4079, 2124), ("12 Caucasus and Middle East", 2275, 1336),
    ("13 Central Asia", 75613, 50344), ("14 South Asia West", 37562, 33075),
    ("15 South Asia East", 18587, 16047), ("16 Low Latitudes", 3695, 1929),
    ("17 Southern Andes", 30634, 27674), ("18 New Zealand", 3018, 886),
    ("19 Subantarctic and Antarctic Islands", 2742, 133432),
)  # fmt: skip
ICE_CAPS = ("03", "04", "05", "06", "07", "09", "19")


@dataclass(frozen=True)
class Costs:
    """What a megapixel takes, and what is assumed of the ground to be read.

    Attributes:
        core_s: Seconds of one core for everything, the network on the CPU.
        rest_s: Seconds of one core for everything but the network.
        gflop: Work of the network with its overlap, 10^9 operations.
        gpu_tflops: What a GPU does of it in a second, 10^12 operations.
        cores: Cores that feed one GPU.
        input_mb: Pixels of a scene, uncompressed.
        result_mb: Outlines and probability map.
        scene_mpx: Pixels of a scene.
        ground_caps: Ground to be read over ice area, in regions of ice caps.
        ground_mountains: The same in regions of mountain ranges.
    """

    core_s: float = 1.98
    rest_s: float = 1.13
    gflop: float = 53.6
    gpu_tflops: float = 50.0
    cores: int = 16
    input_mb: float = 12.0
    result_mb: float = 0.56
    scene_mpx: float = 120.6
    ground_caps: float = 3.0
    ground_mountains: float = 15.0


@dataclass(frozen=True)
class Pass:
    """What a pass over some ice takes.

    Attributes:
        mpx: Megapixels.
        scenes: Number of scenes.
        core_h: Core hours without a GPU.
        gpu_h: Hours of a GPU that its cores feed as fast as they can.
        busy_h: Of these, hours in which it computes.
        input_tb: Pixels to be read, uncompressed.
        result_gb: Results.
    """

    mpx: float
    scenes: float
    core_h: float
    gpu_h: float
    busy_h: float
    input_tb: float
    result_gb: float


def work_out(region: str, ice_km2: float, gsd_m: float, costs: Costs) -> Pass:
    """Return what a region takes at a ground sampling distance."""
    caps = region[:2] in ICE_CAPS
    ground_km2 = ice_km2 * (costs.ground_caps if caps else costs.ground_mountains)
    mpx = ground_km2 / gsd_m**2
    busy_h = mpx * costs.gflop / 1000 / costs.gpu_tflops / 3600
    return Pass(
        mpx=mpx,
        scenes=mpx / costs.scene_mpx,
        core_h=mpx * costs.core_s / 3600,
        gpu_h=max(busy_h, mpx * costs.rest_s / costs.cores / 3600),
        busy_h=busy_h,
        input_tb=mpx * costs.input_mb / 1e6,
        result_gb=mpx * costs.result_mb / 1e3,
    )


def total(passes: Sequence[Pass]) -> Pass:
    """Add passes up."""
    return Pass(
        *(sum(column) for column in zip(*(vars(one).values() for one in passes), strict=True))
    )


def table(gsd_m: float, costs: Costs) -> list[str]:
    """Return the lines of a Markdown table for all regions."""
    passes = [work_out(name, ice, gsd_m, costs) for name, _, ice in REGIONS]
    lines = [
        "| Region | Glaciers | Ice, km2 | Mpx | Scenes | Core hours | GPU hours | Input, TB "
        "| Results, GB |",
        "|---|---|---|---|---|---|---|---|---|",
    ]
    rows = [*zip(REGIONS, passes, strict=True)]
    whole = ("All", sum(row[1] for row in REGIONS), sum(row[2] for row in REGIONS))
    for (name, glaciers, ice), one in [*rows, (whole, total(passes))]:
        lines.append(
            f"| {name} | {glaciers:,} | {ice:,} | {one.mpx:,.0f} | {one.scenes:,.0f} | "
            f"{one.core_h:,.1f} | {one.gpu_h:,.2f} | {one.input_tb:,.2f} | {one.result_gb:,.1f} |"
        )
    return lines


def main() -> None:
    """Print the tables."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--gsd", type=float, nargs="+", default=[10.0, 2.0])
    for name, value in vars(Costs()).items():
        parser.add_argument(f"--{name.replace('_', '-')}", type=type(value), default=value)
    given = vars(parser.parse_args())
    sizes = given.pop("gsd")
    for gsd_m in sizes:
        print(f"At {gsd_m:g} m:\n")
        print("\n".join(table(gsd_m, Costs(**given))) + "\n")


if __name__ == "__main__":
    main()
