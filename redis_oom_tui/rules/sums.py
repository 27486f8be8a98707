"""Whether the sizes of all keys, summed up, can be true beside what the server uses in all."""

from redis_oom_tui.formatting.sizes import number_of_keys, percent, size

# MEMORY USAGE adds up to 92 to 95 % of used_memory on servers whose sizes are right.
_TOO_MUCH = 1.10
_TOO_LITTLE = 0.5
# Less than this is missing on any server that was just started.
_NOTHING = 2 * 1024 * 1024


def contradiction(held: int, used: tuple[int, int], overhead: int, *, unsized: int = 0, refused: int = 0) -> str | None:
    """Why `held`, the sizes of all keys together, cannot be true; None where it can.

    `used` is the least and the most of used_memory meanwhile, of which `overhead` is known to be no data.

    >>> contradiction(242, (90, 100), 0)
    'The sizes of the keys add up to 242 % of used_memory, which cannot be: MEMORY USAGE over-reports some here.'
    >>> contradiction(90, (100, 100), 10)
    """
    least, most = used
    if most and held > _TOO_MUCH * most:
        return (
            f"The sizes of the keys add up to {percent(held / most)} of used_memory, which cannot be: "
            "MEMORY USAGE over-reports some here."
        )
    data = max(0, least - overhead)
    if refused or held >= _TOO_LITTLE * data or data - held < _NOTHING:
        return None
    why = "under-reports some of them here, or the server holds memory that it does not count"
    if unsized:
        why = "does not tell what the keys of modules hold, or under-reports others"
    return (
        f"The sizes of the keys explain {percent(held / data)} of the {size(data)} that used_memory holds beyond "
        f"known overheads: MEMORY USAGE {why}."
    )


def unsized_note(keys: int) -> tuple[str, ...]:
    """A sentence about keys whose module does not tell their size, none without such keys.

    >>> unsized_note(1)
    ('1 key is of a module that does not tell its size: what it holds is in no sum',)
    """
    if not keys:
        return ()
    what, it = ("is", "it holds") if keys == 1 else ("are", "they hold")
    its = "its size" if keys == 1 else "their sizes"
    return (f"{number_of_keys(keys)} {what} of a module that does not tell {its}: what {it} is in no sum",)
