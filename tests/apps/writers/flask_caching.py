"""Flask-Caching: a cached view, a memoized function and an entry of its own."""

import sys

from flask import Flask
from flask_caching import Cache

app = Flask("shop")
cache = Cache(app, config={"CACHE_TYPE": "RedisCache", "CACHE_REDIS_URL": sys.argv[1]})


@app.route("/")
@cache.cached(timeout=50)
def index():
    return "hello"


@cache.memoize(timeout=50)
def add(x, y):
    return x + y


with app.app_context():
    app.test_client().get("/")
    add(1, 2)
    add(3, 4)
    cache.set("settings", {"a": 1})
