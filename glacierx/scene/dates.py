"""When a scene was acquired, as a user or its file says."""

import datetime
import re

from glacierx.errors import OptionError

# Names that suppliers and tools give the time of acquisition; TIFFTAG_DATETIME comes last because
# some programs write the time of processing there.
DATE_TAGS = (
    "src_date", "ACQUISITIONDATETIME", "ACQUISITION_DATE", "ACQUISITION_DATETIME", "DATE_ACQUIRED",
    "DATATAKE_1_DATATAKE_SENSING_START", "PRODUCT_START_TIME", "SENSING_TIME", "acquired",
    "datetime", "TIFFTAG_DATETIME",
)  # fmt: skip


def find_date(asked: str | None, tags: dict[str, str]) -> tuple[str | None, str]:
    """Return the date that was asked for, else that of the file's metadata; and where it is from.

    Raises:
        OptionError: What was asked for is no date.
    """
    if asked is not None:
        found = parse_date(asked)
        if found is None or not re.fullmatch(r"\s*[\d:/-]+(T.*|\s.*)?", asked):
            raise OptionError(f"--date {asked!r} is not a date. Give it as 2023-08-15.")
        return found, "user"
    lower = {key.lower(): value for key, value in tags.items()}
    for name in DATE_TAGS:
        found = parse_date(lower.get(name.lower(), ""))
        if found:
            return found, name
    return None, ""


def parse_date(text: str) -> str | None:
    """Find the date at the start of a text: 2023-08-15T10:16:09Z, 2023:08:15, 20230815.

    Returns:
        ISO 8601, or None where there is no such date.
    """
    match = re.match(r"\s*(\d{4})[-:/]?(\d{2})[-:/]?(\d{2})(?!\d)|\s*(\d{4})(\d{2})(\d{2})T", text)
    if match is None:
        return None
    year, month, day = (int(part) for part in match.groups() if part is not None)
    try:
        return datetime.date(year, month, day).isoformat()
    except ValueError:
        return None
