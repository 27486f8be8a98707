<?php
// Symfony's cache: tagged entries by RedisTagAwareAdapter and by TagAwareAdapter over RedisAdapter.
foreach (["/usr/share/php/Symfony/Component/Cache/autoload.php"] as $file) { require_once $file; }

use Symfony\Component\Cache\Adapter\RedisAdapter;
use Symfony\Component\Cache\Adapter\RedisTagAwareAdapter;
use Symfony\Component\Cache\Adapter\TagAwareAdapter;
use Symfony\Contracts\Cache\ItemInterface;

$client = RedisAdapter::createConnection($argv[1]);
$tagged = new RedisTagAwareAdapter($client, "shop", 3600);
$over = new TagAwareAdapter(new RedisAdapter($client, "app", 3600));
foreach ([$tagged, $over] as $cache) {
    foreach ([1, 2, 3] as $at) {
        $cache->get("article.$at", function (ItemInterface $item) use ($at) {
            $item->expiresAfter(600);
            $item->tag(["articles", "author.$at"]);
            return ["title" => "one"];
        });
    }
}
$plain = new RedisAdapter($client, "", 3600);
$plain->get("settings", fn () => ["a" => 1]);
