"""A class map: the likeliest class of each pixel, with colours and names for a GIS."""

from collections.abc import Mapping
from pathlib import Path
from xml.etree import ElementTree as Xml

import numpy as np

from glacierx.scene.classes import BACKGROUND, GLACIER, Classes
from glacierx.scene.geotiff import RasterLayout
from glacierx.scene.prediction import NODATA, class_tags

Color = tuple[int, int, int, int]

OTHER = (235, 235, 225, 255)
NAMED: Mapping[str, Color] = {
    BACKGROUND: OTHER, GLACIER: (40, 120, 200, 255), "ice": (40, 120, 200, 255),
    "clean": (40, 120, 200, 255), "snow": (190, 225, 250, 255), "debris": (150, 95, 45, 255),
    "water": (20, 60, 130, 255), "lake": (20, 60, 130, 255), "shadow": (70, 70, 75, 255),
    "vegetation": (70, 140, 60, 255), "rock": (170, 165, 155, 255),
}  # fmt: skip
# For other names, far apart to the eye.
SPARE = (
    (230, 159, 0, 255), (0, 158, 115, 255), (204, 121, 167, 255), (240, 228, 66, 255),
    (213, 94, 0, 255), (86, 180, 233, 255), (120, 94, 240, 255), (100, 100, 100, 255),
)  # fmt: skip


def map_classes(classes: Classes) -> Classes:
    """Return the classes of a class map; that of one class tells it from other ground."""
    if len(classes.names) > 1:
        return classes
    return Classes((BACKGROUND, *classes.names), classes.names)


def class_colors(classes: Classes) -> dict[int, Color]:
    """Return a colour for each class, and none for pixels that are not known."""
    spare = [color for color in SPARE if color not in NAMED.values()]
    colors: dict[int, Color] = {NODATA: (0, 0, 0, 0)}
    for number, name in enumerate(classes.names):
        named = NAMED.get(name.lower())
        colors[number] = named if named is not None else spare[number % len(spare)]
    return colors


def classmap_layout(classes: Classes, tags: Mapping[str, str]) -> RasterLayout:
    """Describe the file of a class map: the number of the class, 255 unknown, with colours."""
    listed = ", ".join(f"{number} {name}" for number, name in enumerate(classes.names))
    return RasterLayout(
        bands=1,
        dtype=np.uint8,
        nodata=NODATA,
        descriptions=(listed,),
        tags={"GLACIERX_KIND": "classes", **class_tags(classes), **tags},
        colors=class_colors(classes),
    )


def write_names(path: Path, classes: Classes) -> None:
    """Name the classes beside a finished class map, in the file that GDAL reads with it."""
    root = Xml.Element("PAMDataset")
    band = Xml.SubElement(root, "PAMRasterBand", band="1")
    names = Xml.SubElement(band, "CategoryNames")
    for name in classes.names:
        Xml.SubElement(names, "Category").text = name
    Xml.indent(root)
    path.with_name(f"{path.name}.aux.xml").write_text(
        Xml.tostring(root, encoding="unicode") + "\n", encoding="utf-8"
    )
