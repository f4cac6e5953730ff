"""Numbers of guarantees as text, rounded to the side on which the guarantee still holds.

A float is taken as its shortest decimal text, which is also what JSON files show.
"""

from decimal import ROUND_CEILING, ROUND_FLOOR, Context, Decimal

FINE = 0.01
"""Shares below this get a second decimal in percent."""


def at_most(value: float, decimals: int = 3) -> str:
    """Rounded up: `0.124` for 0.1231."""
    return _rounded(Decimal(repr(float(value))), decimals, ROUND_CEILING)


def at_least(value: float, decimals: int = 3) -> str:
    """Rounded down: `0.123` for 0.1239."""
    return _rounded(Decimal(repr(float(value))), decimals, ROUND_FLOOR)


def percent_at_most(value: float) -> str:
    """Rounded up, without its unit: `12.4` for 0.1231, `0.52` for 0.00511."""
    return _rounded(Decimal(repr(float(value))) * 100, _decimals(value), ROUND_CEILING)


def percent_at_least(value: float) -> str:
    """Rounded down, without its unit: `12.3` for 0.1239."""
    return _rounded(Decimal(repr(float(value))) * 100, _decimals(value), ROUND_FLOOR)


def probability(delta: float) -> str:
    """1 − δ as text, never more than it is: `95 %`; `1 − 1e-09` where percent would take many digits."""
    exact = Decimal(repr(float(delta)))
    if delta < 1e-4:
        return f"1 − {level(delta)}"
    text = _rounded((1 - exact) * 100, 3, ROUND_FLOOR)
    return f"{text.rstrip('0').rstrip('.')} %"


def level(delta: float) -> str:
    """A small probability with three digits, rounded up."""
    return f"{float(Context(prec=3, rounding=ROUND_CEILING).create_decimal(repr(float(delta)))):g}"


def _decimals(value: float) -> int:
    return 1 if abs(value) >= FINE else 2


def _rounded(value: Decimal, decimals: int, to: str) -> str:
    text = f"{value.quantize(Decimal(1).scaleb(-decimals), to):f}"
    return (text.removeprefix("-") if not text.strip("-0.") else text).replace("-", "−")
