"""Slow, obvious NumPy float64 twins of every displayed equation. Nothing here is imported from datastill."""

import numpy as np
import scipy.linalg
import scipy.stats
from scipy.special import erf


def rows(x):
    """(n, …) -> (n, d), float64."""
    return np.asarray(x, np.float64).reshape(len(x), -1)


def polynomial(x1, x2, degree=2, bias=1.0):
    """(x·x'/d + bias)^degree."""
    x1, x2 = rows(x1), rows(x2)
    return np.array([[(a @ b / len(a) + bias) ** degree for b in x2] for a in x1])


def linear(x1, x2, bias=1.0):
    """x·x'/d + bias."""
    return polynomial(x1, x2, 1, bias)


def rbf(x1, x2, length_scale):
    """exp(−‖x − x'‖² / (2 length_scale²))."""
    x1, x2 = rows(x1), rows(x2)
    return np.array([[np.exp(-np.sum((a - b) ** 2) / (2 * length_scale**2)) for b in x2] for a in x1])


def median_length_scale(x):
    """√(half the median squared distance between distinct rows)."""
    x = rows(x)
    squares = [np.sum((x[i] - x[j]) ** 2) for i in range(len(x)) for j in range(i)]
    return np.sqrt(np.median([s for s in squares if s > 0]) / 2)


def dual_relu(k11, k22, k12):
    """E[φ(u)φ(v)], E[φ'(u)φ'(v)] for ReLU: Cho and Saul (2009), eqs. (3)-(6)."""
    # By sine and cosine, so that identical and opposite rows have exactly the angles 0 and π.
    theta = np.arctan2(np.sqrt(max(k11 * k22 - k12**2, 0)), k12) if k11 * k22 > 0 else np.pi / 2
    one = (np.sin(theta) + (np.pi - theta) * np.cos(theta)) / (2 * np.pi) * np.sqrt(k11 * k22)
    return one, (np.pi - theta) / (2 * np.pi)


def dual_erf(k11, k22, k12):
    """E[φ(u)φ(v)], E[φ'(u)φ'(v)] for erf: Williams (1997), eq. (11)."""
    product = (1 + 2 * k11) * (1 + 2 * k22)
    return 2 / np.pi * np.arcsin(2 * k12 / np.sqrt(product)), 4 / np.pi / np.sqrt(product - 4 * k12**2)


DUALS = {"relu": dual_relu, "erf": dual_erf}


def dense(x1, x2, depth=1, activation="relu", w_std=2**0.5, b_std=0.1):
    """(NNGP, NTK) of a fully connected network: the recursion over layers, one pair of rows at a time."""
    dual = DUALS[activation]

    def pair(a, b):
        k11, k22, k12 = (w_std**2 * p @ q / len(a) + b_std**2 for p, q in ((a, a), (b, b), (a, b)))
        ntk = k12
        for _ in range(depth):
            phi12, slope12 = dual(k11, k22, k12)
            k11, k22, k12 = (w_std**2 * k + b_std**2 for k in (dual(k11, k11, k11)[0], dual(k22, k22, k22)[0], phi12))
            ntk = k12 + w_std**2 * slope12 * ntk
        return k12, ntk

    x1, x2 = rows(x1), rows(x2)
    both = np.array([[pair(a, b) for b in x2] for a in x1])
    return both[..., 0], both[..., 1]


def convolutional(x1, x2, stages, pooling=True, head="flatten", activation="relu", w_std=2**0.5, b_std=0.1):
    """(NNGP, NTK) of a convolutional network: every pair of pixels of a pair of images, layer by layer.

    `stages` has the 3×3 convolutions before each pooling over 2×2; the mean over all pixels ("mean") takes the place
    of the last pooling.
    """
    dual = DUALS[activation]

    def convolve(k):
        h, w, *_ = k.shape
        k = np.pad(k, 1)
        return w_std**2 / 9 * sum(k[y : y + h, x : x + w, y : y + h, x : x + w] for y in range(3) for x in range(3))

    def pool(k):
        h, w = k.shape[0] // 2, k.shape[1] // 2
        return k[: 2 * h, : 2 * w, : 2 * h, : 2 * w].reshape(h, 2, w, 2, h, 2, w, 2).mean(axis=(1, 3, 5, 7))

    def activate(k11, k22, k12):
        one, slope = np.zeros(k12.shape), np.zeros(k12.shape)
        for p in np.ndindex(k12.shape):
            one[p], slope[p] = dual(k11[p[:2] * 2], k22[p[2:] * 2], k12[p])
        return one, slope

    def pair(a, b):
        k11, k22, k12 = (np.einsum("hwc,ijc->hwij", p, q) / a.shape[2] for p, q in ((a, a), (b, b), (a, b)))
        ntk = np.zeros(k12.shape)
        for stage, layers in enumerate(stages):
            for _ in range(layers):
                k11, k22, k12 = (convolve(k) + b_std**2 for k in (k11, k22, k12))
                ntk = k12 + convolve(ntk)
                (k11, _), (k22, _), (k12, slope) = (
                    activate(k11, k11, k11),
                    activate(k22, k22, k22),
                    activate(k11, k22, k12),
                )
                ntk = slope * ntk
            if pooling and not (head == "mean" and stage == len(stages) - 1):
                k11, k22, k12, ntk = (pool(k) for k in (k11, k22, k12, ntk))
        mean = (lambda k: np.mean(np.einsum("hwhw->hw", k))) if head == "flatten" else np.mean
        nngp = w_std**2 * mean(k12) + b_std**2
        return nngp, nngp + w_std**2 * mean(ntk)

    x1, x2 = np.asarray(x1, np.float64), np.asarray(x2, np.float64)
    both = np.array([[pair(a, b) for b in x2] for a in x1])
    return both[..., 0], both[..., 1]


def wide_network(x, width, draws, rng, activation="relu", w_std=2**0.5, b_std=0.1):
    """Monte-Carlo (NNGP, NTK) of one hidden layer of `width` units: means over `draws` random networks.

    f(x) = w_std/√width · v·φ(h) + b_std·b₂,  h = w_std/√d · W x + b_std·b₁,  everything standard normal; the NTK is
    the inner product of ∂f/∂(W, b₁, v, b₂), written out.
    """
    phi = {"relu": lambda h: np.maximum(h, 0), "erf": erf}[activation]
    slope = {"relu": lambda h: (h > 0) * 1.0, "erf": lambda h: 2 / np.sqrt(np.pi) * np.exp(-(h**2))}[activation]
    x = rows(x)
    n, d = x.shape
    nngp, ntk = np.zeros((n, n)), np.zeros((n, n))
    for _ in range(draws):
        h = w_std / np.sqrt(d) * x @ rng.standard_normal((d, width)) + b_std * rng.standard_normal(width)
        back = w_std / np.sqrt(width) * rng.standard_normal(width) * slope(h)  # ∂f/∂h
        last = w_std**2 / width * phi(h) @ phi(h).T + b_std**2  # ∂f/∂v and ∂f/∂b₂; also the NNGP, over v and b₂
        first = (w_std**2 / d * x @ x.T + b_std**2) * (back @ back.T)  # ∂f/∂W and ∂f/∂b₁
        nngp += last / draws
        ntk += (last + first) / draws
    return nngp, ntk


def regularise(k_ss, reg):
    """k_ss + reg · tr(k_ss)/s · I."""
    return k_ss + reg * np.trace(k_ss) / len(k_ss) * np.eye(len(k_ss))


def predict(k_ss, k_ts, y_s, reg):
    """f(x_t) = k_ts k_ss⁻¹ y_s."""
    return k_ts @ np.linalg.inv(regularise(k_ss, reg)) @ y_s


def left_out(k_ss, y_s, reg):
    """y_i − f₋ᵢ(x_i), each from a regression of its own without row i; λ is that of all rows."""
    penalty, found = reg * np.trace(k_ss) / len(k_ss), []
    for i in range(len(k_ss)):
        rest = np.delete(np.arange(len(k_ss)), i)
        alpha = np.linalg.solve(k_ss[np.ix_(rest, rest)] + penalty * np.eye(len(rest)), y_s[rest])
        found.append(y_s[i] - k_ss[i, rest] @ alpha)
    return np.array(found)


def through(k_ss, k_ts, y_t, penalty):
    """α with (k_tsᵀ k_ts + penalty·k_ss) α = k_tsᵀ y_t."""
    return np.linalg.solve(k_ts.T @ k_ts + penalty * k_ss, k_ts.T @ y_t)


def graybill_wang(values, confidence=0.95):
    """Half the width of the interval of the mean of m seeds × n rows, each variance with its own quantile of t."""
    (m, n), tail = values.shape, (1 - confidence) / 2
    seeds, rows = (np.var(values.mean(axis=axis), ddof=1) for axis in (1, 0))
    quantiles = [scipy.stats.t.ppf(1 - tail, freedom) for freedom in (m - 1, n - 1)]
    return np.sqrt(quantiles[0] ** 2 * seeds / m + quantiles[1] ** 2 * rows / n)


def loss(k_ss, k_ts, y_s, y_t, reg):
    """½ mean over targets of ‖k_ts k_ss⁻¹ y_s − y_t‖²."""
    return 0.5 * np.mean([np.sum(row**2) for row in predict(k_ss, k_ts, y_s, reg) - y_t])


def label_solve(k_ss, k_ts, y_t, reg, ridge=0.0, weights=None):
    """(k_ts k_ss⁻¹)⁺ y_t; with a ridge, the least-norm minimiser of the stacked least squares."""
    k_ss_reg = regularise(k_ss, reg)
    root = np.ones(len(y_t)) if weights is None else np.sqrt(weights)
    a, b = root[:, None] * (k_ts @ np.linalg.inv(k_ss_reg)), root[:, None] * y_t
    if ridge:
        weight = ridge * np.trace(k_ss) / len(k_ss) * len(y_t)
        # y_sᵀ k_ss⁻¹ y_s = ‖L⁻¹ y_s‖², k_ss = L Lᵀ
        a = np.concatenate([a, np.sqrt(weight) * np.linalg.inv(np.linalg.cholesky(k_ss_reg))])
        b = np.concatenate([b, np.zeros((len(k_ss), b.shape[1]))])
    return np.linalg.pinv(a, rcond=1e-10) @ b


def eliminated_minimum(k_ss, k_ts, y_t, reg, ridge):
    """min over α of ½/t ‖k_ts α − y_t‖² + ½ ridge·m αᵀ k_ss α, and that α; m is the mean diagonal of k_ss."""
    k_ss, t = regularise(k_ss, reg), len(y_t)
    weight = ridge * np.trace(k_ss) / len(k_ss)
    a = np.concatenate([k_ts, np.sqrt(t * weight) * np.linalg.cholesky(k_ss).T])
    b = np.concatenate([y_t, np.zeros((len(k_ss), y_t.shape[1]))])
    alpha = np.linalg.lstsq(a, b, rcond=None)[0]
    return 0.5 / t * np.sum((a @ alpha - b) ** 2), alpha


def zca(z, reg=0.1):
    """W = (C + reg·tr(C)/d · I)^(−1/2), C = XᵀX/n uncentred, by a matrix square root."""
    z = rows(z)
    covariance = z.T @ z / len(z)
    shifted = covariance + reg * np.trace(covariance) / len(covariance) * np.eye(len(covariance))
    return np.linalg.inv(np.real(scipy.linalg.sqrtm(shifted)))


def centred_one_hot(codes, classes):
    """1 − 1/C at the class and −1/C elsewhere."""
    return np.array([[(1.0 if c == code else 0.0) - 1 / classes for c in range(classes)] for code in codes])


def clopper_pearson(successes, n, confidence=0.95):
    """The exact interval for a proportion, by SciPy."""
    interval = scipy.stats.binomtest(successes, n).proportion_ci(confidence, method="exact")
    return interval.low, interval.high


def instance_norm(x, gamma, beta, epsilon=1e-5):
    """γ_c (x − m_c) / √(v_c + ε) + β_c, with the mean and the variance of channel c over the pixels of one image."""
    out = np.zeros(x.shape)
    for i, c in np.ndindex(len(x), x.shape[3]):
        pixels = np.asarray(x[i, :, :, c], np.float64)
        out[i, :, :, c] = gamma[c] * (pixels - pixels.mean()) / np.sqrt(pixels.var() + epsilon) + beta[c]
    return out


def convolution(x, kernel, bias):
    """Σ over 3×3 neighbours and channels, zeros outside the image."""
    n, h, w, _ = x.shape
    out = np.zeros((n, h, w, kernel.shape[3])) + np.asarray(bias, np.float64)
    for i, a, b in np.ndindex(n, h, w):
        for da, db in np.ndindex(3, 3):
            if 0 <= a + da - 1 < h and 0 <= b + db - 1 < w:
                out[i, a, b] += np.asarray(x[i, a + da - 1, b + db - 1], np.float64) @ kernel[da, db]
    return out


def average_pool(x):
    """Means of 2×2 pixels; a last odd row or column is dropped."""
    h, w = x.shape[1] // 2 * 2, x.shape[2] // 2 * 2
    return (x[:, 0:h:2, 0:w:2] + x[:, 1:h:2, 0:w:2] + x[:, 0:h:2, 1:w:2] + x[:, 1:h:2, 1:w:2]) / 4


def colour_jitter(x, brightness, saturation, contrast):
    """x + b, then the factor s on what differs from the pixel's mean, then c on what differs from the image's."""
    out = []
    for image, b, s, c in zip(np.asarray(x, np.float64), brightness, saturation, contrast, strict=True):
        image = image + b
        pixel_means = image.mean(axis=2, keepdims=True)
        image = pixel_means + s * (image - pixel_means)
        out.append(image.mean() + c * (image - image.mean()))
    return np.array(out)


def seen_through(image, angle, scale, centre):
    """(h, w, ch) image seen through a window, turned, scaled and moved; bilinear, zeros outside."""
    h, w, _ = image.shape
    out = np.zeros(image.shape)
    for i, j in np.ndindex(h, w):
        r, c = i - (h - 1) / 2, j - (w - 1) / 2
        y = scale[0] * (np.cos(angle) * r - np.sin(angle) * c) + (h - 1) / 2 + centre[0]
        x = scale[1] * (np.sin(angle) * r + np.cos(angle) * c) + (w - 1) / 2 + centre[1]
        for a, b in np.ndindex(2, 2):
            row, column = int(np.floor(y)) + a, int(np.floor(x)) + b
            if 0 <= row < h and 0 <= column < w:
                out[i, j] += (1 - abs(y - row)) * (1 - abs(x - column)) * image[row, column]
    return out


def laplace(x1, x2, length_scale):
    """exp(−Σ|x − x'| / length_scale)."""
    x1, x2 = rows(x1), rows(x2)
    return np.array([[np.exp(-np.sum(np.abs(a - b)) / length_scale) for b in x2] for a in x1])


def fourier_features(x, omega, length_scale):
    """[cos(ω·x/ℓ), …, sin(ω·x/ℓ), …] / √m, row by row."""
    angles = [[w @ a / length_scale for w in np.asarray(omega, np.float64)] for a in rows(x)]
    return np.array([[*np.cos(a), *np.sin(a)] for a in angles]) / np.sqrt(len(omega))


def network_features(x, layers, kind, w_std=2**0.5, b_std=0.1):
    """NNGP or NTK features of a ReLU network with these (W, β[, R]), row by row."""
    out = []
    for a in rows(x):
        theta = np.array([*(w_std / np.sqrt(len(a)) * a), b_std])
        sigma = theta
        for matrix, shift, *sketch in layers:
            h = w_std / np.sqrt(len(a)) * np.asarray(matrix, np.float64) @ a + b_std * np.asarray(shift, np.float64)
            a = np.maximum(h, 0)
            sigma = np.array([*(w_std / np.sqrt(len(a)) * a), b_std])
            if kind == "ntk":
                back = w_std / np.sqrt(len(a)) * (h > 0) * (np.asarray(sketch[0], np.float64) @ theta)
                theta = np.concatenate([sigma, back])
        out.append(theta if kind == "ntk" else sigma)
    return np.array(out)


def convolutional_features(x, layers, pooling, w_std=2**0.5, b_std=0.1, norm="none"):
    """[w/√size(a) · a, b] of the last layer of a ReLU network with these (W, β)."""
    a = np.asarray(x, np.float64)
    for filters, shift in layers:
        scaled = w_std / np.sqrt(9 * a.shape[3]) * np.asarray(filters, np.float64)
        h = convolution(a, scaled, np.zeros(len(shift)))
        if norm == "instance":
            h = (h - h.mean(axis=(1, 2), keepdims=True)) / np.sqrt(h.var(axis=(1, 2), keepdims=True) + 1e-5)
        a = np.maximum(h + b_std * np.asarray(shift, np.float64), 0)
        a = average_pool(a) if pooling else a
    return np.array([[*(w_std / np.sqrt(image.size) * image.ravel()), b_std] for image in a])


def patch_features(x, filters, offsets, threshold, mean, scale, grid, overlap=False, contrast=0.05):
    """Two-sided responses of every patch to every word, averaged over grid cells, standardised; patch by patch."""
    size, words = len(filters), filters.shape[3]
    out = []
    for image in np.asarray(x, np.float64):
        positions = [side - size + 1 for side in image.shape[:2]]
        response = np.zeros((*positions, 2, words))
        for i, j in np.ndindex(*positions):
            patch = image[i : i + size, j : j + size]
            q = (patch - patch.mean()) / np.sqrt(patch.var() + contrast)
            r = np.array([np.sum(filters[..., k] * q) for k in range(words)]) - offsets
            response[i, j] = np.maximum(r - threshold, 0), np.maximum(-r - threshold, 0)
        cells = []
        for i, j in np.ndindex(grid, grid):
            if overlap:
                middle = [(c + 0.5) * p / grid - 0.5 for c, p in zip((i, j), positions, strict=True)]
                total = weight = 0
                for at in np.ndindex(*positions):
                    near = [max(0, 1 - abs(a - m) * grid / p) for a, m, p in zip(at, middle, positions, strict=True)]
                    total, weight = total + near[0] * near[1] * response[at], weight + near[0] * near[1]
                cells.append(total / weight)
                continue
            rows_, columns = (
                slice(int(np.floor(c * p / grid)), int(np.ceil((c + 1) * p / grid)))
                for c, p in zip((i, j), positions, strict=True)
            )
            cells.append(response[rows_, columns].mean(axis=(0, 1)))
        pooled = np.array(cells).ravel()
        out.append([*((pooled - mean) / scale / np.sqrt(len(pooled))), 1])
    return np.array(out)


def nystroem_features(x, landmarks, kernel, jitter=1e-5):
    """R⁻¹k(z, x) of every row, R the Cholesky factor of the landmarks' matrix with its diagonal raised."""
    x, z = x.astype(np.float64), landmarks.astype(np.float64)
    k = kernel(z, z)
    root = np.linalg.cholesky(k + jitter * np.trace(k) / len(k) * np.eye(len(k)))
    return np.array([np.linalg.solve(root, kernel(z, row[None])[:, 0]) for row in x])


def moments(phi, y):
    """Σ φφᵀ, Σ φyᵀ, Σ ‖y‖² and n, row by row."""
    second, cross, square = np.zeros((phi.shape[1],) * 2), np.zeros((phi.shape[1], y.shape[1])), 0.0
    for a, b in zip(np.asarray(phi, np.float64), np.asarray(y, np.float64), strict=True):
        second, cross, square = second + np.outer(a, a), cross + np.outer(a, b), square + b @ b
    return second, cross, square, len(phi)


def moments_loss(phi_s, y_s, second, cross, square, n, reg):
    """(tr WᵀCW − 2 tr WᵀB + c) / 2n, W = φ(x_s)ᵀ k_ss⁻¹ y_s."""
    w = phi_s.T @ np.linalg.inv(regularise(phi_s @ phi_s.T, reg)) @ y_s
    return (np.trace(w.T @ second @ w) - 2 * np.trace(w.T @ cross) + square) / (2 * n)


def difference(f, x, step=1e-5):
    """Central differences of a scalar function, coordinate by coordinate."""
    x = np.asarray(x, np.float64)
    slope = np.zeros_like(x)
    for i in np.ndindex(x.shape):
        move = np.zeros_like(x)
        move[i] = step
        slope[i] = (f(x + move) - f(x - move)) / (2 * step)
    return slope


def relative(actual, expected):
    """The largest deviation, relative to the largest expected entry."""
    expected = np.asarray(expected, np.float64)
    return np.max(np.abs(np.asarray(actual, np.float64) - expected)) / np.max(np.abs(expected))
