"""What to do where a command is refused: another command, another user, or the managed service's own way.

From the providers' own documentation, not tried (November 2026). A service is known by its host name; behind a private
address nothing is guessed.
"""

import re

from msgspec import Struct

from redis_oom_tui.models.address import Address
from redis_oom_tui.models.capabilities import Capabilities, Feature


class Provider(Struct, frozen=True):
    """A managed service, known by its `host`, or not at all (None) where its host names are those of a cloud.

    `policy` and `limit` say in a sentence how each is changed, NAME and VALUE to be filled in; `note` what is different
    there and matters when memory runs out; `lacks` which commands its documentation says are not to be had.
    """

    name: str
    host: re.Pattern[str] | None
    policy: str
    limit: str
    note: str = ""
    lacks: tuple[str, ...] = ()


_CONFIG = ("CONFIG GET", "CONFIG SET")


def _ends(*names: str) -> re.Pattern[str]:
    return re.compile(rf"(^|\.)({'|'.join(names)})\.?$", re.IGNORECASE)


PROVIDERS: tuple[Provider, ...] = (
    Provider(
        "Amazon MemoryDB",
        _ends(r"memorydb\.[a-z0-9-]+\.amazonaws\.com(?:\.cn)?"),
        "aws memorydb update-parameter-group --parameter-group-name NAME"
        " --parameter-name-values ParameterName=maxmemory-policy,ParameterValue=VALUE",
        "it follows from the node type: aws memorydb update-cluster --cluster-name NAME --node-type TYPE",
        "In a multi-Region cluster RESTORE cannot set TTL or idle time, so an undo brings keys back without them.",
        lacks=_CONFIG,
    ),
    Provider(
        "Amazon ElastiCache",
        _ends(r"cache\.amazonaws\.com(?:\.cn)?"),
        "aws elasticache modify-cache-parameter-group --cache-parameter-group-name NAME"
        " --parameter-name-values ParameterName=maxmemory-policy,ParameterValue=VALUE",
        "it follows from the node type, less reserved-memory-percent of the parameter group: aws elasticache"
        " modify-replication-group --replication-group-id NAME --cache-node-type TYPE --apply-immediately",
        "A default parameter group cannot be changed: copy it and attach the copy; its policy is volatile-lru.",
        lacks=_CONFIG,
    ),
    Provider(
        "Azure Managed Redis",
        _ends(r"redis\.azure\.net", r"redisenterprise\.cache\.azure\.net"),
        "az redisenterprise database update --cluster-name NAME --resource-group GROUP --eviction-policy VALUE",
        "it follows from the SKU: az redisenterprise update --name NAME --resource-group GROUP --sku SKU",
        "The proxy hides the nodes: figures are the database's as a whole.",
        lacks=_CONFIG,
    ),
    Provider(
        "Azure Cache for Redis",
        _ends(r"redis\.cache\.windows\.net", r"redis\.cache\.chinacloudapi\.cn", r"redis\.cache\.usgovcloudapi\.net"),
        "az redis update --name NAME --resource-group GROUP --set redisConfiguration.maxmemory-policy=VALUE",
        "it follows from the SKU, less maxmemory-reserved and maxfragmentationmemory-reserved (portal: Advanced"
        " settings): az redis update --name NAME --resource-group GROUP --sku SKU --vm-size SIZE",
        "Eviction begins when RSS nears the limit too, so fragmentation counts here.",
        lacks=_CONFIG,
    ),
    Provider(
        "Google Cloud Memorystore",
        _ends(r"memorystore\.goog", r"redis\.[a-z0-9-]+\.gcp\.cloud"),
        "gcloud redis instances update NAME --region REGION --update-redis-config maxmemory-policy=VALUE",
        "gcloud redis instances update NAME --region REGION --update-redis-config maxmemory-gb=GB, up to the"
        " instance's size; beyond that --size GB",
        "For a cluster the command is gcloud redis clusters update, and maxmemory is set by node.",
        lacks=_CONFIG,
    ),
    Provider(
        "Redis Cloud",
        _ends(r"redis-cloud\.com", r"redislabs\.com", r"rlrcp\.com", r"redns\.redis-cloud\.com", r"cloud\.rlrcp\.com"),
        "in the console under Databases, Edit, Data eviction policy; by API PUT"
        " /v1/subscriptions/ID/databases/ID with dataEvictionPolicy",
        "in the console under Databases, Edit, Memory limit, or by API with datasetSizeInGb",
        "The proxy hides the nodes: CONFIG answers for few settings, and replication doubles what the limit counts.",
    ),
    Provider(
        "Upstash",
        _ends(r"upstash\.io"),
        "in the console, database, Configuration, Eviction: it is on or off, not one of Redis's policies",
        "it follows from the plan: in the console, database, Upgrade",
        "It has a list of supported commands of its own: what is missing is shown as missing.",
    ),
    Provider(
        "Aiven",
        _ends(r"aivencloud\.com"),
        "avn service update NAME -c valkey_maxmemory_policy=VALUE (redis_maxmemory_policy for a Redis service)",
        "it follows from the plan: avn service update NAME --plan PLAN",
        "Its default is noeviction, so a full service refuses writes.",
        lacks=_CONFIG,
    ),
    Provider(
        "OCI Cache",
        _ends(r"redis\.[a-z0-9-]+\.oci\.oraclecloud\.com", r"oci\.oraclecloud\.com"),
        "in the console, OCI Cache, Configurations: a custom configuration with maxmemory-policy VALUE, attached to"
        " the cluster (a configuration cannot be edited, only copied)",
        "oci redis redis-cluster update --redis-cluster-id OCID --node-memory-in-gbs GB",
        "A sharded cluster refuses scripts: keys are read again and deleted in two steps there.",
        lacks=("CONFIG SET",),
    ),
    Provider(
        "Alibaba Cloud Tair",
        _ends(r"rds\.aliyuncs\.com", r"kvstore\.aliyuncs\.com"),
        "in the console, instance, Parameter Settings, maxmemory-policy, or aliyun r-kvstore ModifyInstanceConfig"
        """ --InstanceId ID --Config '{"maxmemory-policy":"VALUE"}'""",
        "it follows from the instance class: aliyun r-kvstore ModifyInstanceSpec --InstanceId ID --InstanceClass CLASS",
        "CONFIG SET may answer OK and change nothing, which is why every setting is read back.",
    ),
    Provider(
        "TencentDB for Redis",
        _ends(r"tencentcdb\.com", r"redis\.tencentcos\.cn", r"tencentdb\.com"),
        "in the console, instance, Parameter Settings, maxmemory-policy, or by API ModifyInstanceParams with"
        " InstanceParams key maxmemory-policy",
        "it follows from the instance's memory: API UpgradeInstance with MemSize, in MB",
        "Clusters there have no MEMORY USAGE: sizes of keys stay unknown.",
        lacks=("CONFIG SET",),
    ),
    Provider(
        "IBM Cloud Databases for Redis",
        _ends(r"databases\.appdomain\.cloud"),
        """ibmcloud cdb deployment-configuration NAME '{"configuration":{"maxmemory-policy":"VALUE"}}'""",
        "ibmcloud cdb deployment-groups-set NAME member --memory MB; maxmemory is 80% of a member's memory",
        "Its default is noeviction, so a full deployment refuses writes.",
        lacks=("CONFIG SET",),
    ),
    Provider(
        "DigitalOcean Managed Caching",
        _ends(r"db\.ondigitalocean\.com"),
        "PATCH /v2/databases/ID/config of its API with"
        """ '{"config":{"valkey_maxmemory_policy":"VALUE"}}' (redis_maxmemory_policy for a Redis cluster)""",
        "it follows from the plan: doctl databases resize ID --size SIZE --num-nodes COUNT",
        "Its default is noeviction, so a full cluster refuses writes.",
    ),
    Provider(
        "Heroku Key-Value Store",
        None,
        "heroku redis:maxmemory NAME --app APP --policy VALUE",
        "it follows from the plan: heroku addons:upgrade NAME PLAN --app APP",
        "Its host names are those of the cloud, so the tool does not recognize it.",
    ),
)


def provider_of(address: Address) -> Provider | None:
    """The managed service behind `address`, by its host name; None where the name tells nothing.

    >>> getattr(provider_of(Address("prod.abc123.ng.0001.euw1.cache.amazonaws.com")), "name", None)
    'Amazon ElastiCache'
    >>> provider_of(Address("10.0.0.5")) is provider_of(Address(socket_path="/run/redis.sock")) is None
    True
    """
    if address.socket_path is not None:
        return None
    return next((provider for provider in PROVIDERS if provider.host and provider.host.search(address.host)), None)


def where_to_set(address: Address, setting: str = "", value: str = "") -> str:
    """Where to change `setting` (to `value`) when the server refuses or ignores CONFIG SET: a clause for a sentence.

    >>> where_to_set(Address("db.example.aivencloud.com"), "maxmemory-policy", "allkeys-lru").split(" (")[0]
    'on Aiven set it by: avn service update NAME -c valkey_maxmemory_policy=allkeys-lru'
    >>> where_to_set(Address("10.0.0.5"), "maxmemory")[:34]
    "set it in the provider's console o"
    """
    provider = provider_of(address)
    if provider is None:
        return (
            "set it in the provider's console or parameter group where the server is managed, else in the server's own"
            " configuration file"
        )
    if setting == "maxmemory":
        return f"on {provider.name} {_led(provider.limit)}"
    if setting == "maxmemory-policy":
        how = provider.policy.replace("VALUE", value) if value else provider.policy
        return f"on {provider.name} {_led(how)}"
    return f"on {provider.name} set it where its other parameters are; maxmemory-policy for one {_led(provider.policy)}"


def _led(how: str) -> str:
    """The words that lead to a command, or none before a phrase that stands by itself."""
    return how if how.startswith("it follows") else f"set it {how}" if how.startswith("in the") else f"set it by: {how}"


_ALTERNATIVES = {
    Feature.UNLINK: "delete with another client",
    Feature.EXPIRE: "delete the keys instead",
    Feature.RESTORE: "restore the backup on a server that accepts it",
    Feature.CONFIG_REWRITE: "write the setting into the server's configuration file by hand",
    Feature.CLIENT_KILL: "close the connection where that client runs",
    Feature.MEMORY_PURGE: "wait, as the allocator gives memory back by itself in time",
}


def refused_feature(feature: Feature, reason: str, known: Capabilities) -> str:
    """That `feature` is refused, the server's `reason`, and what to try.

    >>> refused_feature(Feature.UNLINK, "unknown command 'UNLINK'", Capabilities())
    "UNLINK is refused here (unknown command 'UNLINK'): let the keys expire instead of deleting them"
    """
    other = _ALTERNATIVES.get(feature, "")
    if feature is Feature.UNLINK and known.has(Feature.EXPIRE):
        other = "let the keys expire instead of deleting them"
    tries = [*(["log in as a user with permission"] if "permission" in reason else []), *([other] if other else [])]
    return f"{feature.value} is refused here ({reason})" + (f": {', or '.join(tries)}" if tries else "")


def no_copy(known: Capabilities) -> str | None:
    """Why no key can be copied before it is deleted, and what to do; None where it can."""
    reason = known.why_not(Feature.DUMP)
    if reason is None:
        return None
    return (
        f"No key can be backed up, as DUMP is refused here ({reason}): decline the backup (--no-backup),"
        " and there is no undo"
    )
