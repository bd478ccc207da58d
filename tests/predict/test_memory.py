import subprocess
import sys

import pytest

FAULTS = """
import resource, sys, torch
from glacierx.predict.memory import keep_memory
if sys.argv[1] == "kept" and not keep_memory():
    sys.exit(3)
def step():
    blocks = [torch.ones(9_000_000) for _ in range(8)]
    return sum(float(block[0]) for block in blocks)
for _ in range(3):
    step()
before = resource.getrusage(resource.RUSAGE_SELF).ru_minflt
for _ in range(5):
    step()
print(resource.getrusage(resource.RUSAGE_SELF).ru_minflt - before)
"""


def faults(how):
    found = subprocess.run(
        [sys.executable, "-c", FAULTS, how], capture_output=True, text=True, check=False
    )
    if found.returncode == 3:
        pytest.skip("the C library has no mallopt")
    assert found.returncode == 0, found.stderr
    return int(found.stdout)


@pytest.mark.skipif(sys.platform != "linux", reason="only glibc is told")
def test_memory_that_is_freed_is_not_asked_for_again():
    """Each step touches the 70,000 pages of its tensors anew unless freed memory is kept.

    They are above 32 MiB, from where on glibc by itself keeps none.
    """
    assert faults("kept") < faults("given back") / 10
