"""How a Gram block is computed changes nothing but time and memory."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest

import oracles
from datastill._errors import InputError
from datastill.gram import sharded, tiled
from datastill.gram.tiled import WORKING_ARRAYS, map_tiles, sum_tiles, tile_rows
from datastill.kernels import RBF, ConvNet, FullyConnected, Linear, Polynomial

KERNEL = FullyConnected(1)
ROW = WORKING_ARRAYS * 8  # bytes for a row of one float64 column
WRAPPED = {
    "tiled": lambda memory: tiled(KERNEL, memory),
    "sharded": lambda memory: sharded(KERNEL),
    "sharded-tiled": lambda memory: sharded(tiled(KERNEL, memory)),
    "two-devices": lambda memory: sharded(KERNEL, 2),
}
BUILT_IN = [
    Linear(),
    Polynomial(3),
    RBF(1.0),
    FullyConnected(1),
    FullyConnected(1, kind="nngp"),
    FullyConnected(1, "erf", 1.5, 0.05),
]


@pytest.mark.parametrize("how", WRAPPED)
@pytest.mark.parametrize(
    ("n1", "n2", "memory"),
    [(9, 4, 4 * ROW * 2), (8, 4, 4 * ROW * 4), (3, 7, 7 * ROW * 2), (1, 1, 1), (1, 6, 2**20)],
)
def test_block_and_gradient_equal_the_dense_ones(how, n1, n2, memory, rng):
    x1, x2, weights = (rng.standard_normal(shape) for shape in ((n1, 3), (n2, 3), (n1, n2)))

    def block_and_gradients(kernel):
        def total(a, b):
            block = kernel.block(a, b)
            return jnp.sum(weights * block), block

        with jax.enable_x64(True):
            gradients, block = jax.jit(jax.grad(total, (0, 1), has_aux=True))(jnp.asarray(x1), jnp.asarray(x2))
            return block, *gradients

    wrapped = WRAPPED[how](memory)
    for ours, dense in zip(block_and_gradients(wrapped), block_and_gradients(KERNEL), strict=True):
        np.testing.assert_allclose(ours, dense, rtol=0, atol=1e-12 * np.abs(dense).max())
    np.testing.assert_array_equal(wrapped.diagonal(x1), KERNEL.diagonal(x1))


def test_kernels_of_convolutional_networks_are_sharded_with_their_gradients(rng):
    images, few = (rng.standard_normal((n, 4, 4, 1)).astype(np.float32) for n in (7, 3))
    kernel, weights = ConvNet(1), rng.standard_normal((7, 3))

    def gradients(kernel):
        return jax.jit(jax.grad(lambda a, b: jnp.sum(weights * kernel.block(a, b)), (0, 1)))(images, few)

    for ours, dense in zip(gradients(sharded(tiled(kernel))), gradients(kernel), strict=True):
        np.testing.assert_allclose(ours, dense, rtol=0, atol=1e-5 * np.abs(dense).max())


def test_images_are_tiled_and_sharded_too(rng):
    images = rng.standard_normal((7, 2, 2, 1)).astype(np.float32)
    dense = KERNEL(images, images[:3])
    for kernel in (tiled(KERNEL, 1), sharded(KERNEL)):
        np.testing.assert_allclose(kernel(images, images[:3]), dense, rtol=1e-5)


def test_work_is_spread_over_four_devices(rng):
    assert len(jax.devices()) == 4
    block = sharded(KERNEL)(rng.standard_normal((8, 3)), rng.standard_normal((2, 3)))
    assert len(block.sharding.device_set) == 4
    assert {shard.data.shape for shard in block.addressable_shards} == {(2, 2)}
    assert len(sharded(KERNEL, 100)(np.ones((3, 2)), np.eye(2)).sharding.device_set) == 4


def test_wrappers_meet_data_and_embed_as_what_they_wrap(rng):
    x = rng.standard_normal((6, 4))
    for wrap in (tiled, sharded):
        assert wrap(RBF()).resolve(x) == wrap(RBF().resolve(x))
        assert wrap(RBF(1.0)).embedded(4, 16) == wrap(RBF(2.0))


@pytest.mark.parametrize("memory", [0, -1, float("nan")])
def test_memory_must_be_above_zero(memory):
    with pytest.raises(InputError, match=r"memory=.*expected a number of bytes above 0"):
        tiled(KERNEL, memory)


@pytest.mark.parametrize("devices", [0, -1])
def test_there_is_a_device(devices):
    with pytest.raises(InputError, match=f"devices={devices}; expected 1 or more"):
        sharded(KERNEL, devices)


@pytest.mark.parametrize("memory", [1, 1000, 10**4, 10**9])
def test_tiles_fit_or_hold_one_row(memory):
    size = tile_rows(100, 7, 4, memory)
    assert 1 <= size <= 100
    assert size == 1 or size * 7 * 4 * WORKING_ARRAYS <= memory
    assert size == 100 or (size + 1) * 7 * 4 * WORKING_ARRAYS > memory


@pytest.mark.parametrize("size", [1, 2, 3, 5, 6, 100])
def test_tiles_of_any_size_map_and_sum_alike(size, rng):
    x, y = jnp.asarray(rng.standard_normal((5, 2))), jnp.asarray(rng.standard_normal((5, 1)))
    np.testing.assert_allclose(map_tiles(jnp.sin, x, size), jnp.sin(x), rtol=1e-6)
    total = sum_tiles(lambda a, b, mask: {"product": (mask[:, None] * a).T @ b, "n": mask.sum()}, (x, y), size)
    np.testing.assert_allclose(total["product"], x.T @ y, rtol=1e-5, atol=1e-6)
    assert total["n"] == 5


def gradient_memory(objective, *shapes):
    """Bytes that XLA sets aside for the compiled gradient, beside its inputs and outputs."""
    arguments = [jax.ShapeDtypeStruct(shape, np.float32) for shape in shapes]
    return jax.jit(jax.grad(objective)).lower(*arguments).compile().memory_analysis().temp_size_in_bytes


@pytest.mark.parametrize("kernel", BUILT_IN, ids=repr)
def test_working_arrays_bound_the_memory_of_a_gradient(kernel):
    n, s = 2000, 50

    def total(x_s, x_t):
        return jnp.sum(kernel.block(x_t, x_s) ** 2)

    used = gradient_memory(total, (s, 3), (n, 3))
    assert used <= WORKING_ARRAYS * n * s * 4


@pytest.mark.parametrize("kernel", [FullyConnected(1), RBF(1.0)], ids=repr)
def test_memory_of_a_tiled_gradient_keeps_to_its_budget_whatever_the_rows(kernel):
    budget, s = 400_000, 50

    def total(x_s, x_t):
        rows = tile_rows(len(x_t), s, 4, budget)
        return sum_tiles(lambda x, mask: jnp.sum(mask[:, None] * kernel.block(x, x_s) ** 2), (x_t,), rows)

    few, many = (gradient_memory(total, (s, 3), (n, 3)) for n in (20_000, 200_000))
    dense = gradient_memory(lambda x_s, x_t: jnp.sum(kernel.block(x_t, x_s) ** 2), (s, 3), (20_000, 3))
    assert many <= budget < dense / 10
    assert many - few <= 8 * 200_000 // tile_rows(200_000, s, 4, budget)  # a step number for each tile, no row


def test_memory_of_a_tiled_block_is_the_result_and_the_budget():
    kernel, budget, n, s = FullyConnected(1), 400_000, 20_000, 50
    shapes = [jax.ShapeDtypeStruct((rows, 3), np.float32) for rows in (n, s)]
    compiled = jax.jit(tiled(kernel, budget).block).lower(*shapes).compile()
    assert compiled.memory_analysis().temp_size_in_bytes <= budget + 2 * n * (s + 3) * 4


def test_a_tile_is_padded_with_a_real_row(rng):
    # Padding with zeros would put rows of norm 0 through the kernel, whose gradient there is not that of any data.
    x_s, x_t = rng.standard_normal((2, 3)), rng.standard_normal((5, 3))
    with jax.enable_x64(True):
        kernel = tiled(FullyConnected(1, b_std=0.0), 2 * 2 * ROW)
        slope = jax.jit(jax.grad(lambda a: jnp.sum(kernel.block(jnp.asarray(x_t), a))))(jnp.asarray(x_s))
    expected = oracles.difference(lambda a: np.sum(oracles.dense(x_t, a, b_std=0.0)[1]), x_s)
    np.testing.assert_allclose(slope, expected, rtol=1e-6)
