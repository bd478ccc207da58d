"""Which raster beside a scene has which role, as a user says it; needs no GDAL."""

import re
from collections.abc import Mapping, Sequence
from pathlib import Path

from glacierx.errors import OptionError
from glacierx.scene.sensors import OPTICAL, ROLES, is_own_role

AuxChoice = Mapping[str, str | Path] | Sequence[str] | str
"""``{"coherence": "coh.tif"}``, or ``["coherence=coh.tif:2"]``."""


def parse_aux(choice: AuxChoice | None) -> dict[str, str]:
    """Read which raster has which role.

    Returns:
        ``FILE`` or ``FILE:BAND`` by role.

    Raises:
        OptionError: It cannot be understood, or a role cannot be given so.
    """
    if choice is None:
        return {}
    if isinstance(choice, Mapping):
        pairs = [(str(role), str(target)) for role, target in choice.items()]
    else:
        pairs = [_pair(text) for text in ([choice] if isinstance(choice, str) else choice)]
    found: dict[str, str] = {}
    for role, target in pairs:
        _check_role(role)
        if role in found:
            raise OptionError(f"--aux names {role!r} twice. Give each role one raster.")
        found[role] = target
    return found


def _pair(text: str) -> tuple[str, str]:
    role, equals, target = (part.strip() for part in text.partition("="))
    if not (role and equals and target):
        raise OptionError(f"--aux is {text!r}. Give it as ROLE=FILE, such as coherence=coh.tif.")
    return role, target


def _check_role(role: str) -> None:
    if role in OPTICAL:
        raise OptionError(
            f"--aux names {role!r}, which is a band: give it with --bands {role}=FILE."
        )
    if role not in ROLES and not is_own_role(role):
        raise OptionError(
            f"--aux names {role!r}. A role is a word of small letters, digits and _, of at most 32."
        )


def split_band(target: str) -> tuple[str, int | None]:
    """Part ``FILE:BAND``; the band is None where none is named."""
    match = re.fullmatch(r"(.+):([0-9]+)", target)
    return (match[1], int(match[2])) if match else (target, None)
