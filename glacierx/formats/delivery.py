"""What is asked for of a format: its name, and facts that no result holds."""

import math
import re
from dataclasses import dataclass

from glacierx.errors import OptionError

FORMATS = ("rgi7", "rgi6", "oggm", "glims")
_REGION = re.compile(r"(0[1-9]|1\d|20)(-\d\d)?")


@dataclass(frozen=True)
class Delivery:
    """A format, and what its files say beside the outlines.

    Attributes:
        format: One of `FORMATS`.
        region: Region of RGI, first order (``11``) or second (``11-01``).
        analyst: Who made the outlines.
        image_ids: The supplier's ids of the images.
        instrument: What took them.
        geolocation_m: How far off they may lie, in metres.
    """

    format: str
    region: str | None = None
    analyst: str | None = None
    image_ids: tuple[str, ...] = ()
    instrument: str | None = None
    geolocation_m: float | None = None

    def __post_init__(self) -> None:
        if self.format not in FORMATS:
            raise OptionError(
                f"--format is {self.format!r}. It takes one of: {', '.join(FORMATS)}."
            )
        if self.region is not None and not _REGION.fullmatch(self.region):
            raise OptionError(
                f"--region is {self.region!r}. It takes a region of RGI, 01 to 20, such as 11, or "
                "one of its second-order regions, such as 11-01."
            )
        if self.geolocation_m is not None and not 0 <= self.geolocation_m < math.inf:
            raise OptionError(f"--geolocation-m is {self.geolocation_m}. It takes metres from 0.")

    @property
    def o1region(self) -> str | None:
        """The first-order region."""
        return self.region[:2] if self.region else None

    @property
    def o2region(self) -> str | None:
        """The second-order region, with the first before it."""
        return self.region if self.region and "-" in self.region else None
