"""Random numbers that are the same on every platform and in every version of NumPy and JAX.

The bits are those of Philox 4×64 with ten rounds, a cipher of a counter; NumPy guarantees the bit stream of a
generator, though not what it makes of it. What is made of the bits here uses only operations that IEEE 754 rounds
exactly (+, −, ×, ÷, √, comparisons, scaling by powers of two), one at a time, so that no mathematical library has a
say.

Source: Salmon et al. (2011), "Parallel random numbers: as easy as 1, 2, 3" (Philox); Wichura (1988), algorithm AS 241
(the normal quantile).
"""

import hashlib
from collections.abc import Callable

import numpy as np

from datastill._errors import InputError

CHUNK = 2**15  # values made at once: their working arrays stay in a core's cache
SPLIT = 0.425  # |u − ½| up to which the quantile is a ratio of polynomials in u itself
FAR = 5.0  # √(−log of the tail's probability) from which the third pair of polynomials is used
LOG_TERMS = 11  # of artanh's series, enough for float64 on [√½, √2]

# Numerators and denominators of AS 241, highest power first: the centre, the tails, the far tails.
CENTRE = (
    (2509.0809287301226727, 33430.575583588128105, 67265.770927008700853, 45921.953931549871457,
     13731.693765509461125, 1971.5909503065514427, 133.14166789178437745, 3.3871328727963666080),
    (5226.4952788528545610, 28729.085735721942674, 39307.895800092710610, 21213.794301586595867,
     5394.1960214247511077, 687.18700749205790830, 42.313330701600911252, 1.0),
)  # fmt: skip
TAIL = (
    (7.74545014278341407640e-4, 2.27238449892691845833e-2, 2.41780725177450611770e-1, 1.27045825245236838258,
     3.64784832476320460504, 5.76949722146069140550, 4.63033784615654529590, 1.42343711074968357734),
    (1.05075007164441684324e-9, 5.47593808499534494600e-4, 1.51986665636164571966e-2, 1.48103976427480074590e-1,
     6.89767334985100004550e-1, 1.67638483018380384940, 2.05319162663775882187, 1.0),
)  # fmt: skip
FAR_TAIL = (
    (2.01033439929228813265e-7, 2.71155556874348757815e-5, 1.24266094738807843860e-3, 2.65321895265761230930e-2,
     2.96560571828504891230e-1, 1.78482653991729133580, 5.46378491116411436990, 6.65790464350110377720),
    (2.04426310338993978564e-15, 1.42151175831644588870e-7, 1.84631831751005468180e-5, 7.86869131145613259100e-4,
     1.48753612908506148525e-2, 1.36929880922735805310e-1, 5.99832206555887937690e-1, 1.0),
)  # fmt: skip


def normals(seed: int, stream: str, shape: tuple[int, ...]) -> np.ndarray:
    """Independent standard normal numbers of this shape, float32.

    A larger shape begins with the numbers of a smaller one, in C order.

    Args:
        seed: 0 or more, below 2⁶⁴.
        stream: what they are for, such as "dense.1.weights"; streams with different names are independent.
        shape: of the result.
    """
    return _fill(seed, stream, shape, normal_quantile, np.float32)


def uniforms(seed: int, stream: str, shape: tuple[int, ...]) -> np.ndarray:
    """Independent uniform numbers strictly between 0 and 1, multiples of 2⁻⁵³, float64. See `normals`."""
    return _fill(seed, stream, shape, lambda u: u, np.float64)


def normal_quantile(u: np.ndarray) -> np.ndarray:
    """The number that a standard normal variable stays below with probability u, to 1e-15, float64."""
    q = u - 0.5
    r = np.maximum(SPLIT**2 - q * q, 0)
    x = q * (_polynomial(CENTRE[0], r) / _polynomial(CENTRE[1], r))
    tails = np.abs(q) > SPLIT
    depth = np.sqrt(-_log(np.minimum(u[tails], 1 - u[tails])))
    near, far = (
        _polynomial(top, depth - offset) / _polynomial(bottom, depth - offset)
        for (top, bottom), offset in ((TAIL, 1.6), (FAR_TAIL, FAR))
    )
    x[tails] = np.where(depth <= FAR, near, far) * np.sign(q[tails])
    return x


def _fill(
    seed: int, stream: str, shape: tuple[int, ...], transform: Callable[[np.ndarray], np.ndarray], dtype: type
) -> np.ndarray:
    if not 0 <= seed < 2**64:
        raise InputError(f"Got seed={seed}; expected a whole number from 0 to 2**64 - 1.")
    name = int.from_bytes(hashlib.sha256(stream.encode()).digest()[:8], "little")
    philox = np.random.Philox(key=np.array([seed, name], np.uint64))
    values: np.ndarray = np.empty(int(np.prod(shape)), dtype)
    for start in range(0, len(values), CHUNK):
        bits = philox.random_raw(min(CHUNK, len(values) - start)) >> np.uint64(12)
        values[start : start + len(bits)] = transform((bits.astype(np.float64) + 0.5) * 2.0**-52)
    return values.reshape(shape)


def _polynomial(coefficients: tuple[float, ...], x: np.ndarray) -> np.ndarray:
    value = np.full_like(x, coefficients[0])
    for coefficient in coefficients[1:]:
        value *= x
        value += coefficient
    return value


def _log(x: np.ndarray) -> np.ndarray:
    """log x = e·log 2 + 2 artanh((m − 1)/(m + 1)), x = m·2ᵉ with m between √½ and √2."""
    m, e = np.frexp(x)
    low = m < 2**-0.5
    m, e = np.where(low, 2 * m, m), e - low
    z = (m - 1) / (m + 1)
    series = _polynomial(tuple(1 / (2 * k + 1) for k in reversed(range(LOG_TERMS))), z * z)
    return e * 0.6931471805599453 + 2 * z * series
