"""Flask-Session: three visitors of an application."""

import sys

from flask import Flask, session
from flask_session import Session
from redis import Redis

app = Flask("shop")
app.config.update(SESSION_TYPE="redis", SESSION_REDIS=Redis.from_url(sys.argv[1]))
Session(app)


@app.route("/")
def index():
    session["user"] = 1
    return "hello"


for _ in range(3):
    app.test_client().get("/")
