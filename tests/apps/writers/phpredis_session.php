<?php
// PHP's sessions by the phpredis extension.
ini_set("session.save_handler", "redis");
ini_set("session.save_path", str_replace("redis://", "tcp://", $argv[1]));
ini_set("session.use_cookies", "0");
ini_set("session.cache_limiter", "");
foreach ([1, 2] as $user) {
    session_id(bin2hex(random_bytes(13)));
    session_start();
    $_SESSION["user"] = $user;
    session_write_close();
}
