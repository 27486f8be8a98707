"""A webhook: each event as a POST, tried again with growing pauses. Its URL is a secret and is never shown."""

import asyncio
import http.client
import json
import random
import urllib.error
import urllib.request
from collections.abc import Awaitable, Callable
from urllib.parse import urlsplit

from redis_oom_tui import __version__
from redis_oom_tui.formatting.sanitize import safe_text
from redis_oom_tui.formatting.watch_lines import event_object, event_title
from redis_oom_tui.models.address import Secret
from redis_oom_tui.models.alert import Event
from redis_oom_tui.models.config import HookSettings, WebhookFormat
from redis_oom_tui.models.errors import BadInput
from redis_oom_tui.monitor.hooks import DeliveryFailed
from redis_oom_tui.monitor.output import aside

_LONGEST_PAUSE_SECONDS = 30.0
# A receiver that drips its answer keeps a try's thread for longer than the try is waited for.
_MOST_HANGING = 8
_EXPECTED = (OSError, http.client.HTTPException, ValueError)
# Retrying cannot fix these: the address or the body is wrong.
_FINAL = frozenset(range(300, 500)) - {408, 425, 429}


def _opener() -> urllib.request.OpenerDirector:
    """As urllib's own, but for http and https alone, and without redirects: one would lose the body, or leak it."""
    opener = urllib.request.OpenerDirector()
    for handler in (
        urllib.request.ProxyHandler(),
        urllib.request.HTTPHandler(),
        urllib.request.HTTPSHandler(),
        urllib.request.HTTPDefaultErrorHandler(),
        urllib.request.HTTPErrorProcessor(),
    ):
        opener.add_handler(handler)
    return opener


def body(event: Event, form: WebhookFormat) -> bytes:
    """What is posted: the event as `watch --json` has it, or the `text` that Slack-compatible receivers take."""
    value = {"text": _escaped(event_title(event))} if form is WebhookFormat.SLACK else event_object(event)
    return json.dumps(value, allow_nan=False).encode("ascii")


def _escaped(text: str) -> str:
    """As Slack wants it: a name of a key or a server becomes no mention, no link, no emphasis of its own.

    >>> _escaped("<!channel> a&b")
    '&lt;!channel&gt; a&amp;b'
    """
    return text.replace("&", "&amp;").replace("<", "&lt;").replace(">", "&gt;")


class Webhook:
    """Posts each event to `url`. `sleep` and `chance` are for the pauses between tries."""

    def __init__(
        self,
        url: Secret,
        settings: HookSettings,
        *,
        sleep: Callable[[float], Awaitable[object]] = asyncio.sleep,
        chance: Callable[[], float] = random.random,
    ) -> None:
        parts = urlsplit(url.reveal())
        if parts.scheme not in ("http", "https") or not parts.hostname:
            raise BadInput("the webhook's URL must start with https:// or http:// and name a host")
        self.name = "webhook"
        self._url = url
        self._host = safe_text(parts.hostname, 80)
        self._settings = settings
        self._sleep = sleep
        self._chance = chance
        self._opener = _opener()
        self._under_way = 0

    async def deliver(self, event: Event) -> str:
        """Post, and post again; raises DeliveryFailed once no try is left, or where none can help."""
        data = body(event, self._settings.webhook_format)
        tries = 1 + self._settings.retries
        for number in range(1, tries + 1):
            refusal, final = await self._try(data)
            if refusal is None:
                return f"{self._host} accepted it" + (f" at attempt {number}" if number > 1 else "")
            if final or number == tries:
                raise DeliveryFailed(f"{self._host} {refusal}" + (f" ({number} attempts)" if number > 1 else ""))
            await self._sleep(self._pause(number))
        raise AssertionError("unreachable")

    def _pause(self, number: int) -> float:
        """Growing, with chance in it: many watches may have lost the same receiver at once."""
        return min(_LONGEST_PAUSE_SECONDS, 2.0 ** (number - 1)) * (0.5 + self._chance())

    async def _try(self, data: bytes) -> tuple[str | None, bool]:
        """None where it was taken, else why not; and whether another try would be in vain."""
        limit = self._settings.timeout_seconds
        if self._under_way >= _MOST_HANGING:
            return "is still busy with earlier attempts", False
        try:
            async with asyncio.timeout(limit):
                status = await aside(lambda: self._post(data, limit), name="webhook", expected=_EXPECTED)
        except TimeoutError:
            return f"did not answer within {limit:g}s", False
        except urllib.error.URLError as error:
            return f"cannot be reached: {_reason(error.reason)}", False
        except _EXPECTED as error:
            return f"cannot be reached: {_reason(error)}", False
        return (None, False) if 200 <= status < 300 else (f"answered {status}", status in _FINAL)

    def _post(self, data: bytes, limit: float) -> int:
        headers = {"Content-Type": "application/json", "User-Agent": f"redis-oom-tui/{__version__}"}
        # The scheme was checked to be http or https when the hook was made.
        request = urllib.request.Request(self._url.reveal(), data, headers, method="POST")  # noqa: S310
        self._under_way += 1
        try:
            with self._opener.open(request, timeout=limit) as answer:
                return int(answer.status)
        except urllib.error.HTTPError as error:
            with error:
                return error.code
        finally:
            self._under_way -= 1


def _reason(error: object) -> str:
    """Why, in words that hold no part of the URL."""
    if isinstance(error, OSError):
        return error.strerror or type(error).__name__
    return type(error).__name__
