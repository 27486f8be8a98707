"""Which commands a full server refuses: commandstats count every refusal, by the ACL as well."""

# None of these can be refused for lack of memory.
_HARMLESS = (
    "auth client config command cluster acl info ping hello select memory object latency slowlog debug role module"
    " monitor scan keys dbsize randomkey type ttl pttl exists touch get mget getrange strlen hget hmget hgetall hkeys"
    " hvals hlen hscan lrange llen lindex smembers sismember scard sscan zrange zscore zcard zscan xrange xlen xinfo"
    " dump del unlink expire pexpire expireat pexpireat persist flushall flushdb save bgsave bgrewriteaof shutdown"
    " subscribe psubscribe publish watch multi discard replicaof slaveof psync replconf"
)
# Error replies, by their first word, of calls that are refused before they run, but not for lack of memory.
REFUSED_OTHERWISE = (
    "NOPERM",
    "NOAUTH",
    "MISCONF",
    "NOREPLICAS",
    "READONLY",
    "MASTERDOWN",
    "LOADING",
    "BUSY",
    "CLUSTERDOWN",
    "MOVED",
    "ASK",
    "TRYAGAIN",
    "CROSSSLOT",
)
_NEED_NO_MEMORY = frozenset(_HARMLESS.split())


def takes_memory(command: str) -> bool:
    """Whether a full server may refuse it.

    >>> takes_memory("set"), takes_memory("CLIENT|LIST")
    (True, False)
    """
    return command.lower().partition("|")[0] not in _NEED_NO_MEMORY
