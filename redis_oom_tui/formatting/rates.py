"""Rates, as people say them."""


def per_second(rate: float | None) -> str:
    """A rate with a digit behind the point where it is small.

    >>> per_second(None), per_second(0.0), per_second(0.25), per_second(1234.5)
    ('?/s', '0/s', '0.2/s', '1,234/s')
    """
    if rate is None:
        return "?/s"
    return f"{rate:,.0f}/s" if rate >= 10 or rate == 0 else f"{rate:.1f}/s"
