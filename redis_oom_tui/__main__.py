"""`python -m redis_oom_tui`: the same command as `redis-oom-tui`."""

from redis_oom_tui.cli.main import main

if __name__ == "__main__":
    main()
