"""Django: entries of the cache in two versions, a template fragment, sessions in the cache and the cached database."""

import sys

import django
from django.conf import settings

settings.configure(
    CACHES={
        "default": {"BACKEND": "django.core.cache.backends.redis.RedisCache", "LOCATION": sys.argv[1]},
        "named": {
            "BACKEND": "django.core.cache.backends.redis.RedisCache",
            "LOCATION": sys.argv[1],
            "KEY_PREFIX": "shop",
        },
    },
    DATABASES={"default": {"ENGINE": "django.db.backends.sqlite3", "NAME": ":memory:"}},
    INSTALLED_APPS=["django.contrib.sessions"],
    SECRET_KEY="not a secret",
    USE_TZ=True,
)
django.setup()
from django.contrib.sessions.backends.cache import SessionStore  # noqa: E402
from django.contrib.sessions.backends.cached_db import SessionStore as CachedStore  # noqa: E402
from django.core.cache import cache, caches  # noqa: E402
from django.core.cache.utils import make_template_fragment_key  # noqa: E402
from django.core.management import call_command  # noqa: E402

cache.set("article:1", {"title": "one"})
cache.set("article:2", {"title": "two"}, timeout=None)
cache.set("visits", 7)
cache.set("article:1", "newer", version=2)
cache.set(make_template_fragment_key("sidebar", ["user"]), "<ul></ul>", 300)
caches["named"].set("article:1", "of the shop")
call_command("migrate", verbosity=0)
for store in (SessionStore, SessionStore, CachedStore):
    session = store()
    session["user"] = 1
    session.save()
