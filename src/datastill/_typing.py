"""The vocabulary of array axes and the types built on it.

    s support rows    t target rows    n rows    d features    c classes or outputs    h w ch image axes

Annotations name the axes as strings ("t d"); `jaxtyping` checks them in the tests, where `Float` is its class.
At run time the aliases are plain arrays, so jaxtyping is not a dependency.
"""

from typing import TYPE_CHECKING, Any

import jax
import numpy as np

if TYPE_CHECKING:
    from typing import Annotated as Bool
    from typing import Annotated as Float
    from typing import Annotated as Int
else:
    try:
        from jaxtyping import Bool, Float, Int
    except ImportError:

        class Float:
            def __class_getitem__(cls, item: Any) -> Any:
                return item[0]

        Bool = Int = Float

Array = jax.Array
ArrayLike = jax.Array | np.ndarray
Key = jax.Array
"""A JAX random key; split before use, used once."""
