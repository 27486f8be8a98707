<?php
// Symfony Messenger with its Redis transport: waiting messages, one taken, one delayed.
spl_autoload_register(function ($class) {
    $file = "/usr/share/php/" . strtr($class, "\\", "/") . ".php";
    if (is_file($file)) { require_once $file; }
});

function trigger_deprecation() {}

use Symfony\Component\Messenger\Bridge\Redis\Transport\Connection;

$connection = Connection::fromDsn($argv[1] . "/messages");
foreach ([1, 2, 3] as $at) { $connection->add("{\"to\": $at}", ["type" => "App\\Mail"]); }
$connection->get();
$connection->add("{\"to\": 4}", ["type" => "App\\Mail"], 3600000);
