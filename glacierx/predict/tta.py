"""Flipped and rotated views and their inverses; what points somewhere turns along."""

from collections.abc import Sequence
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from torch import Tensor

# Quarter turns, then whether columns are flipped. Two turns and a flip are the flip of rows.
VIEWS: dict[str, tuple[tuple[int, bool], ...]] = {
    "none": ((0, False),),
    "chu6": ((0, False), (0, True), (2, True), (2, False), (3, False), (1, False)),
    "d4": tuple((turns, flip) for flip in (False, True) for turns in range(4)),
}
"""Sets of views: chu6 is that of Chu et al. 2022, d4 all symmetries of the square."""


def turn(x: "Tensor", view: tuple[int, bool]) -> "Tensor":
    """Show a batch (..., rows, columns) in a view."""
    turns, flip = view
    x = x.rot90(turns, (-2, -1))
    return x.flip(-1) if flip else x


def turn_back(x: "Tensor", view: tuple[int, bool]) -> "Tensor":
    """Undo `turn` exactly."""
    turns, flip = view
    x = x.flip(-1) if flip else x
    return x.rot90(-turns, (-2, -1))


# Parts to the east and to the north of where a slope faces.
EAST, NORTH = "aspect_sin", "aspect_cos"
# The part to the north alone, of how steeply it does; the other part is in no plane.
UPRIGHT = ("aspect_north", "aspect_south")


def views_of(name: str, roles: Sequence[str]) -> tuple[tuple[int, bool], ...]:
    """Return the views of a set that planes can be shown in; see `is_upright`.

    Args:
        name: A key of `VIEWS`.
        roles: What the planes measure, as far as they are there.
    """
    return tuple(view for view in VIEWS[name] if not (view[0] % 2 and is_upright(roles)))


def is_upright(roles: Sequence[str]) -> bool:
    """Tell whether planes hold one part of a direction without the other.

    A quarter turn would need the other; flips and half turns do not.
    """
    return any(role in roles for role in UPRIGHT) or (EAST in roles) != (NORTH in roles)


def turn_planes(x: "Tensor", view: tuple[int, bool], roles: Sequence[str]) -> "Tensor":
    """Show planes (..., roles, rows, columns) in a view, as the ground itself so turned has them.

    A quarter turn anticlockwise makes what faces north face west, and a flip of columns exchanges
    east and west. Planes must be scaled so that 0 stays 0 (`Normalisation.bends`), and the view be
    one of `views_of`.
    """
    seen = turn(x, view)
    if not any(role in (EAST, NORTH, *UPRIGHT) for role in roles):
        return seen
    turns, flip = view
    back = turns >= 2
    signs = {EAST: back != flip, NORTH: back, **dict.fromkeys(UPRIGHT, back)}
    order = list(range(len(roles)))
    if turns % 2 and EAST in roles and NORTH in roles:
        east, north = roles.index(EAST), roles.index(NORTH)
        order[east], order[north] = north, east
        signs[EAST] = not signs[EAST]
    turned = seen.new_tensor([-1.0 if signs.get(role) else 1.0 for role in roles])
    return seen[..., order, :, :] * turned[:, None, None]
