"""For the applications that receive the error: a bounded retry that knows every form of OOM, and room made in between.

    >>> from redis_oom_tui.resilience import OomRetry
    >>> OomRetry(retries=3, base_seconds=0.25, cap_seconds=2.0).longest_wait_seconds
    3.5

It needs redis-py and nothing else of this package's dependencies.
"""

from redis_oom_tui.server.resilience import AsyncNamespaceCleanup, AsyncOomRetry, NamespaceCleanup, OomRetry, is_oom

__all__ = ["AsyncNamespaceCleanup", "AsyncOomRetry", "NamespaceCleanup", "OomRetry", "is_oom"]
