<?php
// Laravel's components: the cache with tags, a lock and a limit; a queue with waiting, delayed and reserved jobs; a session.
spl_autoload_register(function ($class) {
    $file = "/usr/share/php/" . strtr($class, "\\", "/") . ".php";
    if (is_file($file)) { require_once $file; }
});
foreach (glob("/usr/share/php/Illuminate/*/autoload.php") as $file) { require_once $file; }

use Illuminate\Cache\RateLimiter;
use Illuminate\Cache\RedisStore;
use Illuminate\Cache\Repository;
use Illuminate\Container\Container;
use Illuminate\Queue\RedisQueue;
use Illuminate\Redis\RedisManager;
use Illuminate\Session\CacheBasedSessionHandler;

$where = parse_url($argv[1]);
$redis = new RedisManager(new Container(), "phpredis", [
    "options" => ["prefix" => "shop_database_"],
    "default" => ["host" => $where["host"], "port" => $where["port"]],
]);
$store = new RedisStore($redis, "shop_cache_", "default");
$store->setLockConnection("default");
$cache = new Repository($store);
$cache->put("article.1", ["title" => "one"], 600);
$cache->forever("settings", ["a" => 1]);
$cache->put("visits", 7, 600);
$cache->tags(["articles", "authors"])->put("article.2", "two", 600);
$cache->tags(["articles"])->forever("article.3", "three");
$store->lock("import", 600)->get();
(new RateLimiter($cache))->hit("login|10.0.0.1", 60);
(new CacheBasedSessionHandler($cache, 120))->write("PbWk7Zu3vUj2mPqv4gD1sYc9xR5tN8aLeB6hKoQw", serialize(["_token" => "t"]));

$queue = new RedisQueue($redis, "default", "default", 90);
$queue->setContainer(new Container());
$queue->setConnectionName("redis");
foreach ([1, 2, 3] as $at) { $queue->push("App\\Jobs\\Mail", ["to" => $at]); }
$queue->later(3600, "App\\Jobs\\Mail", ["to" => 4]);
$queue->pop();
