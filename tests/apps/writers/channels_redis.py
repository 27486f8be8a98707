"""Channels' layer: a group with two members, a message that nobody has read."""

import asyncio
import sys

from channels_redis.core import RedisChannelLayer


async def main() -> None:
    layer = RedisChannelLayer(hosts=[sys.argv[1]])
    first, second = await layer.new_channel(), await layer.new_channel()
    await layer.group_add("chat_room", first)
    await layer.group_add("chat_room", second)
    await layer.group_send("chat_room", {"type": "chat.message", "text": "hello"})
    await layer.send("thumbnails", {"type": "generate", "id": 1})
    await layer.close_pools()


asyncio.run(main())
