"""Who is told of an event: a command, a webhook. Neither can make the watch wait."""
