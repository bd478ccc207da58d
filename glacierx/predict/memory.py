"""How a long run uses memory."""

import ctypes
import sys

# Numbers of glibc's mallopt.
TRIM_THRESHOLD, MMAP_MAX = -1, -4
NEVER = 2**31 - 1


def keep_memory() -> bool:
    """Have this process keep freed memory, so that each step does not ask for it anew.

    glibc gives large blocks back to the system when a tensor is freed, and the system clears them
    when the next one is made; every step makes the same tensors again.

    Returns:
        Whether the C library knows how; elsewhere than on Linux with glibc it does not.
    """
    if sys.platform != "linux":
        return False
    mallopt = getattr(ctypes.CDLL(None), "mallopt", None)
    return mallopt is not None and bool(mallopt(MMAP_MAX, 0) and mallopt(TRIM_THRESHOLD, NEVER))
