"""Sensor and Band records; the table of known sensors."""

import re
from dataclasses import dataclass

from glacierx.errors import OptionError

OPTICAL = (
    "coastal", "blue", "green1", "green", "yellow", "red", "red_edge1", "red_edge2", "red_edge3",
    "nir", "nir_narrow", "water_vapour", "cirrus", "swir1", "swir2", "pan",
)  # fmt: skip
"""Roles whose values are reflectance once scale and offset are known."""

THERMAL = ("tir1", "tir2")
SAR = ("vv", "vh", "hh", "hv", "incidence")
INSAR = ("coherence", "velocity")
TERRAIN = (
    "elevation", "slope", "aspect_sin", "aspect_cos", "aspect_north", "aspect_south",
    "profile_curvature", "tangential_curvature", "unsphericity", "sadi",
)  # fmt: skip
"""Roles that a DEM gives."""
INDEX = (
    "ndsi", "ndvi", "ndwi", "mndwi", "nbr", "band_ratio", "tc_brightness", "tc_wetness",
)  # fmt: skip
"""Roles that are computed from optical bands."""

ROLES = (*OPTICAL, *THERMAL, *SAR, *INSAR, *TERRAIN, *INDEX)
"""What a plane can measure, independent of the sensor."""

MODALITIES = {
    "optical": OPTICAL, "thermal": THERMAL, "sar": SAR, "insar": INSAR, "terrain": TERRAIN,
    "index": INDEX,
}  # fmt: skip
OWN = "aux"
"""The modality of roles that a user names."""


def is_own_role(name: object) -> bool:
    """Tell whether a user may give a plane this name: a short word that no role has."""
    plain = isinstance(name, str) and re.fullmatch(r"[a-z][a-z0-9_]{0,31}", name, re.ASCII)
    return bool(plain) and name not in ROLES


def modality(role: str) -> str:
    """Return the group of a role: optical, thermal, sar, insar, terrain, index; else aux."""
    return next((name for name, roles in MODALITIES.items() if role in roles), OWN)


def how_to_give(role: str) -> str:
    """Say by which flags a scene gets a role that it does not have."""
    named = f"Name it with --bands {role}=NUMBER"
    if role in TERRAIN:
        return f"{named}, give --dem FILE"
    if role in OPTICAL or role in INDEX:
        return named
    return (
        f"{named}, give --aux {role}=FILE" if role in ROLES else f"Give it with --aux {role}=FILE"
    )


@dataclass(frozen=True)
class Band:
    """One band of a sensor.

    Attributes:
        name: Name in the supplier's own file names.
        role: What it measures, in the vocabulary that models ask in.
        wavelength_nm: Centre wavelength.
        gsd_m: Ground sampling distance.
    """

    name: str
    role: str
    wavelength_nm: float
    gsd_m: float


@dataclass(frozen=True)
class Level:
    """How a processing level stores reflectance: value = scale * number + offset.

    Attributes:
        name: What ``--level`` calls it.
        scale: Factor of the optical bands.
        offset: Added after scaling.
        unit: What the value is.
        thermal: Scale and offset that give kelvin in the thermal bands, if the level has them.
    """

    name: str
    scale: float
    offset: float
    unit: str = "reflectance"
    thermal: tuple[float, float] | None = None


@dataclass(frozen=True)
class Sensor:
    """What an instrument measures and how its supplier stores it.

    Attributes:
        name: What ``--sensor`` calls it.
        bands: Every band.
        stack: Band names in the order of the supplier's one multi-band file; empty where the
            supplier delivers a file per band or where the order varies.
        levels: Processing levels with known scale and offset.
        fill: Number that means no data where the file does not say.
        note: What a user without a fitting level should do.
    """

    name: str
    bands: tuple[Band, ...]
    stack: tuple[str, ...] = ()
    levels: tuple[Level, ...] = ()
    fill: float | None = None
    note: str = ""

    def band(self, name: str) -> Band | None:
        """Return the band of a name, however its number is padded (B2, B02), or None."""
        wanted = _plain(name)
        return next((band for band in self.bands if _plain(band.name) == wanted), None)

    def level(self, name: str) -> Level:
        """Return a processing level by name.

        Raises:
            OptionError: The sensor has no such level.
        """
        for level in self.levels:
            if level.name == name.lower():
                return level
        known = ", ".join(level.name for level in self.levels) or "none"
        note = f" {self.note}" if self.note else ""
        raise OptionError(f"--level {name!r} is not known for {self.name}. Known: {known}.{note}")


def _plain(name: str) -> str:
    return re.sub(r"0+(?=\d)", "", name.lower())


# ESA, Sentinel-2 MSI user handbook (centre wavelengths of Sentinel-2A). Since processing baseline
# 04.00 (25 January 2022) 1000 is added to the stored numbers: RADIO_ADD_OFFSET / BOA_ADD_OFFSET.
SENTINEL2 = Sensor(
    "sentinel-2",
    (
        Band("B01", "coastal", 442.7, 60),
        Band("B02", "blue", 492.4, 10),
        Band("B03", "green", 559.8, 10),
        Band("B04", "red", 664.6, 10),
        Band("B05", "red_edge1", 704.1, 20),
        Band("B06", "red_edge2", 740.5, 20),
        Band("B07", "red_edge3", 782.8, 20),
        Band("B08", "nir", 832.8, 10),
        Band("B8A", "nir_narrow", 864.7, 20),
        Band("B09", "water_vapour", 945.1, 60),
        Band("B10", "cirrus", 1373.5, 60),
        Band("B11", "swir1", 1613.7, 20),
        Band("B12", "swir2", 2202.4, 20),
    ),
    levels=(
        Level("l1c-pre0400", 1e-4, 0.0),
        Level("l2a-pre0400", 1e-4, 0.0),
        Level("l1c-0400", 1e-4, -0.1),
        Level("l2a-0400", 1e-4, -0.1),
    ),
    fill=0,
    note="Baseline 04.00 (January 2022) added an offset: files whose supplier took it off again "
    "are pre0400.",
)

# USGS, Landsat Collection 2 Level-2 science product guide (surface reflectance and temperature).
_LANDSAT_L2 = Level("l2", 2.75e-5, -0.2, thermal=(0.00341802, 149.0))
_LANDSAT_NOTE = "Level-1 coefficients differ by scene: take them from the MTL file and give "
_LANDSAT_NOTE += "--scale and --offset."


def _landsat_tm(name: str, pan: bool) -> Sensor:
    bands: tuple[Band, ...] = (
        Band("B1", "blue", 485, 30),
        Band("B2", "green", 560, 30),
        Band("B3", "red", 660, 30),
        Band("B4", "nir", 830, 30),
        Band("B5", "swir1", 1650, 30),
        Band("B6", "tir1", 11450, 60 if pan else 120),
        Band("B7", "swir2", 2215, 30),
    )
    if pan:
        bands += (Band("B8", "pan", 710, 15),)
    return Sensor(name, bands, levels=(_LANDSAT_L2,), fill=0, note=_LANDSAT_NOTE)


def _landsat_oli(name: str) -> Sensor:
    return Sensor(
        name,
        (
            Band("B1", "coastal", 443, 30),
            Band("B2", "blue", 482, 30),
            Band("B3", "green", 561.5, 30),
            Band("B4", "red", 654.5, 30),
            Band("B5", "nir", 865, 30),
            Band("B6", "swir1", 1609, 30),
            Band("B7", "swir2", 2200.5, 30),
            Band("B8", "pan", 589.5, 15),
            Band("B9", "cirrus", 1373.5, 30),
            Band("B10", "tir1", 10895, 100),
            Band("B11", "tir2", 12005, 100),
        ),
        # REFLECTANCE_MULT_BAND_x and REFLECTANCE_ADD_BAND_x of every Collection 2 MTL file.
        levels=(Level("l1", 2e-5, -0.1, "reflectance without sun-angle correction"), _LANDSAT_L2),
        fill=0,
    )


# CRESDA: pan 450-900 nm, then blue, green, red and near infrared in this order in the MUX file.
# Calibration to radiance changes every year, so there is no level.
def _gaofen(name: str, pan_m: float, ms_m: float, green: float, nir: float) -> Sensor:
    return Sensor(
        name,
        (
            Band("PAN", "pan", 675, pan_m),
            Band("MUX1", "blue", 485, ms_m),
            Band("MUX2", "green", green, ms_m),
            Band("MUX3", "red", 660, ms_m),
            Band("MUX4", "nir", nir, ms_m),
        ),
        stack=("MUX1", "MUX2", "MUX3", "MUX4"),
        note="Its calibration changes every year: take gain and bias from CRESDA and give "
        "--scale and --offset once they lead to reflectance.",
    )


# Planet, PlanetScope product specification. Surface reflectance (SR) is stored times 10,000.
_PLANET = (Level("sr", 1e-4, 0.0),)
_PLANET_NOTE = "Other products need the reflectanceCoefficient of their XML: --scale."
PLANETSCOPE4 = Sensor(
    "planetscope-4",
    (
        Band("blue", "blue", 485, 3),
        Band("green", "green", 545, 3),
        Band("red", "red", 630, 3),
        Band("nir", "nir", 820, 3),
    ),
    stack=("blue", "green", "red", "nir"),
    levels=_PLANET,
    fill=0,
    note=_PLANET_NOTE,
)
PLANETSCOPE8 = Sensor(
    "planetscope-8",
    (
        Band("coastal_blue", "coastal", 441.5, 3),
        Band("blue", "blue", 490, 3),
        Band("green_i", "green1", 531, 3),
        Band("green", "green", 565, 3),
        Band("yellow", "yellow", 610, 3),
        Band("red", "red", 665, 3),
        Band("rededge", "red_edge1", 705, 3),
        Band("nir", "nir", 865, 3),
    ),
    stack=("coastal_blue", "blue", "green_i", "green", "yellow", "red", "rededge", "nir"),
    levels=_PLANET,
    fill=0,
    note=_PLANET_NOTE,
)


# Airbus, SPOT and Pleiades imagery user guides. The order in the multispectral file varies
# (often red, green, blue, near infrared): it stands in the DIMAP XML, so there is no stack.
def _airbus(name: str, pan_m: float, ms_m: float, centres: tuple[float, ...]) -> Sensor:
    blue, green, red, nir, pan = centres
    return Sensor(
        name,
        (
            Band("P", "pan", pan, pan_m),
            Band("B0", "blue", blue, ms_m),
            Band("B1", "green", green, ms_m),
            Band("B2", "red", red, ms_m),
            Band("B3", "nir", nir, ms_m),
        ),
        levels=(Level("reflectance", 1e-4, 0.0),),
        note="Only products whose DIMAP XML says RADIOMETRIC_PROCESSING REFLECTANCE have a level.",
    )


# Maxar, WorldView-2 data sheet: the eight-band file has this order.
WORLDVIEW2 = Sensor(
    "worldview-2",
    (
        Band("PAN", "pan", 625, 0.5),
        Band("C", "coastal", 425, 1.85),
        Band("B", "blue", 480, 1.85),
        Band("G", "green", 545, 1.85),
        Band("Y", "yellow", 605, 1.85),
        Band("R", "red", 660, 1.85),
        Band("RE", "red_edge1", 725, 1.85),
        Band("N", "nir", 832.5, 1.85),
        Band("N2", "nir_narrow", 950, 1.85),
    ),
    stack=("C", "B", "G", "Y", "R", "RE", "N", "N2"),
    note="Its numbers need absCalFactor and effectiveBandwidth of the IMD file: --scale.",
)

# NASA LP DAAC, ASTER user handbook. SWIR is without data since April 2008.
ASTER = Sensor(
    "aster",
    (
        Band("B1", "green", 560, 15),
        Band("B2", "red", 660, 15),
        Band("B3N", "nir", 820, 15),
        Band("B4", "swir1", 1650, 30),
        Band("B6", "swir2", 2205, 30),
        Band("B13", "tir1", 10600, 90),
        Band("B14", "tir2", 11300, 90),
    ),
    levels=(Level("ast_07", 1e-3, 0.0),),
    fill=0,
    note="Level-1 numbers need the unit conversion coefficients and the sun's elevation: --scale.",
)

SENSORS: dict[str, Sensor] = {
    sensor.name: sensor
    for sensor in (
        ASTER,
        _gaofen("gaofen-1", 2, 8, 555, 830),
        _gaofen("gaofen-2", 1, 4, 555, 830),
        _gaofen("gaofen-6", 2, 8, 560, 830),
        _landsat_tm("landsat-5", pan=False),
        _landsat_tm("landsat-7", pan=True),
        _landsat_oli("landsat-8"),
        _landsat_oli("landsat-9"),
        PLANETSCOPE4,
        PLANETSCOPE8,
        _airbus("pleiades", 0.5, 2, (490, 550, 660, 850, 655)),
        SENTINEL2,
        _airbus("spot-6", 1.5, 6, (490, 560, 660, 825, 600)),
        _airbus("spot-7", 1.5, 6, (490, 560, 660, 825, 600)),
        WORLDVIEW2,
    )
}
"""Every known sensor by name."""


def find_sensor(name: str) -> Sensor:
    """Return the sensor of a name; case, hyphens and spaces do not matter.

    Raises:
        OptionError: No sensor has that name.
    """

    def bare(text: str) -> str:
        return re.sub(r"[^a-z0-9]", "", text.lower())

    wanted = re.sub(r"^gf(?=\d)", "gaofen", bare(name))
    for sensor in SENSORS.values():
        if bare(sensor.name) == wanted:
            return sensor
    raise OptionError(f"--sensor {name!r} is not known. Known: {', '.join(SENSORS)}.")
