"""A network over a scene, with a scene and networks of which everything is known."""

import threading
import time
from types import SimpleNamespace

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from torch import nn

from glacierx.errors import SceneError
from glacierx.networks.layers import Output
from glacierx.options import EngineOptions
from glacierx.predict.ahead import ahead, behind
from glacierx.predict.card import Card, Slot
from glacierx.predict.engine import Engine, balanced
from glacierx.predict.modelfile import Model
from glacierx.predict.normalise import Normaliser
from glacierx.predict.pipeline import Reader, run_network
from glacierx.predict.tiling import Tiling
from glacierx.profile import Profile
from glacierx.scene.prediction import NODATA
from glacierx.scene.stored import Stored

ROLES = ("green", "nir")


class Shown(nn.Module):
    """Logits whose probabilities are 0.004 times the first plane, so that steps show the input."""

    def forward(self, inputs):
        return Output(mask=torch.logit(inputs.x[:, :1].double() * 0.004).float())


class Sums(nn.Module):
    """Sums over 7 x 7 pixels as steps, zero beyond the patch: it sees three pixels far."""

    def forward(self, inputs):
        x = nn.functional.avg_pool2d(inputs.x[:, :1].double(), 7, 1, 3, divisor_override=1)
        return Output(mask=torch.logit(x * 0.004).float())


class Memory:
    """A scene in memory that notes which rows were asked for."""

    def __init__(self, values, valid=None, wanted=None, block_rows=1):
        self.values = values
        self.valid = np.ones(values.shape[1:], bool) if valid is None else valid
        self.wanted = np.ones(values.shape[1:], bool) if wanted is None else wanted
        self.block_rows = block_rows
        self.grid = SimpleNamespace(columns=values.shape[2])
        self.asked = []

    def read_stored(self, window, roles, needed=None):
        first, last = int(window.row_off), int(window.row_off + window.height)
        self.asked.append((first, last))
        planes = self.values[:, first:last]
        return (Stored.physical(roles[: len(planes)], planes),), self.valid[first:last].copy()

    def inside(self, window):
        rows = slice(int(window.row_off), int(window.row_off + window.height))
        return self.wanted[rows].copy()


def engine_for(network, bands=1, **options):
    slots = tuple(Slot(role) for role in ROLES[:bands])
    card = Card("test", "none", slots, patch_px=64)
    nothing = Normaliser(np.zeros(bands, np.float32), np.ones(bands, np.float32))
    how = EngineOptions(device="cpu", backend="torch", precision="fp32", **options)
    return Engine(Model(network.eval(), card), nothing, [True] * bands, options=how)


def run(scene, *, network=None, patch_px=1024, keep=0.9, batch=1, done=lambda patches: None):
    """Return the steps of a whole scene, what was wanted, and the engine."""
    engine = engine_for(network or Shown(), len(scene.values), batch=batch)
    tiling = Tiling(scene.values.shape[1:], patch_px, keep)
    profile = Profile()
    reader = Reader(scene, ROLES[: len(scene.values)], (), tiling, 0, profile)
    parts = list(run_network(reader, tiling, engine, 1, profile=profile, done=done))
    return (
        np.concatenate([steps for steps, _ in parts], axis=1)[0],
        np.concatenate([wanted for _, wanted in parts]),
        engine,
    )


def rows_of(scene, profile):
    """Begin a run of patches of 64 pixels, for those who stop it half way."""
    tiling = Tiling(scene.values.shape[1:], 64)
    reader = Reader(scene, ROLES[:1], (), tiling, 0, profile)
    return run_network(reader, tiling, engine_for(Shown()), 1, profile=profile)


def numbers(rows, columns, bands=1, low=1, high=250):
    random = np.random.default_rng(rows * 7919 + columns)
    return random.integers(low, high, (bands, rows, columns)).astype(np.uint8)


@settings(deadline=None, max_examples=25)
@given(
    rows=st.integers(1, 300),
    columns=st.integers(1, 300),
    patch=st.sampled_from([32, 64, 100]),
    keep=st.floats(0.3, 1),
    batch=st.integers(1, 5),
    block=st.sampled_from([1, 16, 256]),
)
def test_every_pixel_comes_back_in_its_place(rows, columns, patch, keep, batch, block):
    scene = Memory(numbers(rows, columns, bands=2), block_rows=block)
    steps, wanted, engine = run(scene, patch_px=patch, keep=keep, batch=batch)
    assert np.array_equal(steps, scene.values[0])
    assert wanted.all()
    assert engine.patches_run == Tiling((rows, columns), patch, keep).patches
    # Each row is read once, from top to bottom.
    assert [first for first, _ in scene.asked] == [0, *(last for _, last in scene.asked)][:-1]
    assert scene.asked[-1][1] == rows
    assert all(first % block == 0 for first, _ in scene.asked)


@pytest.mark.parametrize(
    "shape",
    [(1, 1), (209, 209), (972, 972), (1023, 1023), (1024, 1024), (1025, 1025), (1200, 1200),
     (1996, 1996), (1, 3000), (800, 3000), (3772, 4688)],
)  # fmt: skip
def test_named_sizes_come_back_bit_for_bit_at_1024(shape):
    scene = Memory(numbers(*shape))
    steps, _, _ = run(scene)
    assert np.array_equal(steps, scene.values[0])


def test_tiled_and_untiled_agree_inside():
    # Whole numbers are summed without rounding, so any difference would be a seam.
    scene = Memory(numbers(333, 401, low=0, high=6))
    tiled, _, _ = run(scene, network=Sums(), patch_px=64, keep=0.7)
    whole, _, _ = run(scene, network=Sums(), patch_px=401, keep=1.0)
    assert len(np.unique(tiled)) > 50
    assert np.array_equal(tiled[3:-3, 3:-3], whole[3:330, 3:-3])


def test_invalid_patches_are_skipped_and_others_are_not():
    valid = np.zeros((300, 300), bool)
    valid[290, 290] = True
    scene = Memory(numbers(300, 300), valid)
    steps, wanted, engine = run(scene, patch_px=64)
    assert engine.patches_run == 1
    assert np.array_equal(wanted, valid)
    assert steps[290, 290] == scene.values[0, 290, 290]
    assert steps[0, 0] == NODATA


def test_rows_outside_the_area_of_interest_are_not_read():
    wanted = np.zeros((1200, 100), bool)
    wanted[900:910] = True
    scene = Memory(numbers(1200, 100), wanted=wanted)
    steps, found, engine = run(scene, patch_px=64)
    assert np.array_equal(found, wanted)
    assert np.array_equal(steps[wanted], scene.values[0][wanted])
    # Reading begins with a block of 256 rows, which is the same wherever a run begins.
    assert min(first for first, _ in scene.asked) == 768
    assert engine.patches_run == 2


def test_pixels_outside_the_area_of_interest_are_seen_by_the_network():
    wanted = np.zeros((100, 100), bool)
    wanted[:50, :50] = True
    scene = Memory(numbers(100, 100, low=0, high=6))
    part = Memory(scene.values, wanted=wanted)
    whole, _, _ = run(scene, network=Sums(), patch_px=64)
    steps, _, _ = run(part, network=Sums(), patch_px=64)
    assert np.array_equal(steps[:50, :50], whole[:50, :50])


def test_progress_ends_with_all_patches_skipped_or_not():
    valid = np.zeros((300, 200), bool)
    valid[100:110, :80] = True
    seen = []
    run(Memory(numbers(300, 200), valid), patch_px=64, done=seen.append)
    assert seen == sorted(seen)
    assert seen[-1] == Tiling((300, 200), 64).patches


def test_batches_always_have_one_shape():
    shapes = []

    class Noting(Shown):
        def forward(self, inputs):
            shapes.append(tuple(inputs.x.shape))
            return super().forward(inputs)

    scene = Memory(numbers(200, 300))
    steps, _, _ = run(scene, network=Noting(), patch_px=64, batch=4)
    assert set(shapes) == {(4, 1, 64, 64)}
    assert np.array_equal(steps, scene.values[0])


def test_a_batch_that_does_not_fit_is_halved_and_stays_so():
    shapes = []

    class Large(Shown):
        def forward(self, inputs):
            shapes.append(len(inputs.x))
            if len(inputs.x) > 2:
                raise torch.OutOfMemoryError("no room")
            return super().forward(inputs)

    scene = Memory(numbers(200, 400))
    steps, _, engine = run(scene, network=Large(), patch_px=64, batch=7)
    assert np.array_equal(steps, scene.values[0])
    assert shapes[:3] == [7, 4, 2]
    assert set(shapes[2:]) == {2}
    assert engine.batch == 2


@pytest.mark.parametrize("error", [
    torch.OutOfMemoryError("no room"), MemoryError(),
    RuntimeError("DefaultCPUAllocator: can't allocate memory: you tried to allocate 9 bytes."),
])  # fmt: skip
def test_one_patch_that_does_not_fit_says_what_to_do(error):
    class Huge(nn.Module):
        def forward(self, inputs):
            raise error

    with pytest.raises(MemoryError, match="--patch-px"):
        run(Memory(numbers(70, 70)), network=Huge(), patch_px=64)


def test_other_errors_of_a_network_are_not_taken_for_memory():
    class Wrong(nn.Module):
        def forward(self, inputs):
            raise RuntimeError("shapes cannot be multiplied")

    with pytest.raises(RuntimeError, match="multiplied"):
        run(Memory(numbers(70, 70)), network=Wrong(), patch_px=64)


def test_what_is_damaged_below_stops_the_run_after_the_rows_above():
    class Damaged(Memory):
        def read_stored(self, window, roles, needed=None):
            if window.row_off >= 256:
                raise SceneError("cut short")
            return super().read_stored(window, roles, needed)

    rows = rows_of(Damaged(numbers(600, 70)), Profile())
    before = threading.active_count()
    with pytest.raises(SceneError, match="cut short"):
        list(rows)
    assert threading.active_count() <= before


def test_a_run_that_is_left_stops_reading():
    scene = Memory(numbers(3000, 70))
    rows = rows_of(scene, Profile())
    next(rows)
    rows.close()
    # Three strips may be on their way: one read, one made ready, one in the network.
    assert scene.asked[-1][1] <= 1024


def test_reading_is_never_more_than_one_item_ahead():
    made = []

    def items():
        for number in range(10):
            made.append(number)
            yield number

    with ahead(items()) as coming:
        for number in coming:
            time.sleep(0.01)
            assert len(made) <= number + 2
    assert made == list(range(10))


def test_an_error_ahead_comes_where_the_item_would_have():
    def items():
        yield 1
        raise SceneError("here")

    with ahead(items()) as coming:
        assert next(coming) == 1
        with pytest.raises(SceneError, match="here"):
            next(coming)


def test_work_behind_is_done_in_order_and_its_error_is_not_lost():
    done = []

    def work(number):
        time.sleep(0.005)
        done.append(number)
        if number == 3:
            raise OSError("disk full")

    with behind(lambda number: done.append(number)) as hand_over:
        for number in range(5):
            hand_over(number)
    assert done == list(range(5))
    done.clear()
    with pytest.raises(OSError, match="disk full"), behind(work) as hand_over:
        for number in range(4):
            hand_over(number)
    assert done == list(range(4))


@pytest.mark.parametrize(("most", "across", "batch"), [(32, 12, 12), (8, 12, 6), (5, 11, 4)])
def test_batches_share_a_strip_evenly(most, across, batch):
    assert balanced(most, across) == batch


def test_the_stages_of_a_run_are_timed():
    profile = Profile()
    scene = Memory(numbers(200, 200))
    tiling = Tiling((200, 200), 64)
    list(rows_of(scene, profile))
    assert profile.calls["network"] == profile.calls["normalise"] == tiling.patches
    assert profile.calls["read"] == len(tiling.down) + 1  # and once to see that there is no more
    assert 0 < profile.seconds["network"] < profile.elapsed
    text = str(profile)
    assert text.splitlines()[0].startswith("read")
    assert "divides" not in text


def test_other_threads_keep_their_number_of_processors():
    before = torch.get_num_threads()
    seen = []
    torch.set_num_threads(2)
    try:
        run(Memory(numbers(100, 100)), patch_px=64)
        assert torch.get_num_threads() == 2
        other = threading.Thread(target=lambda: seen.append(torch.get_num_threads()))
        other.start()
        other.join()
    finally:
        torch.set_num_threads(before)
    assert seen == [2]
