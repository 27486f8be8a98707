"""Managed services by their host names, and the exact way to a setting on each."""

import pytest

from redis_oom_tui.models.address import Address
from redis_oom_tui.rules.providers import PROVIDERS, provider_of, where_to_set

HEROKU = "ec2-3-1-2-3.compute-1.amazonaws.com"
HOSTS = {
    "clustercfg.prod.abc123.memorydb.eu-west-1.amazonaws.com": "Amazon MemoryDB",
    "prod.abc123.ng.0001.use1.cache.amazonaws.com": "Amazon ElastiCache",
    "prod-abc123.serverless.use1.cache.amazonaws.com": "Amazon ElastiCache",
    "prod.westeurope.redis.azure.net": "Azure Managed Redis",
    "prod.westeurope.redisenterprise.cache.azure.net": "Azure Managed Redis",
    "prod.redis.cache.windows.net": "Azure Cache for Redis",
    "redis-12345.c1.eu-west-1-3.ec2.redns.redis-cloud.com": "Redis Cloud",
    "redis-12345.c1.eu-west-1-3.ec2.cloud.redislabs.com": "Redis Cloud",
    "eu1-grown-cat-12345.upstash.io": "Upstash",
    "valkey-prod-team.a.aivencloud.com": "Aiven",
    "prod-p.redis.eu-frankfurt-1.oci.oraclecloud.com": "OCI Cache",
    "r-abc123.redis.rds.aliyuncs.com": "Alibaba Cloud Tair",
    "private-db-valkey-fra1-12345-do-user-1-0.b.db.ondigitalocean.com": "DigitalOcean Managed Caching",
    "abc.def.databases.appdomain.cloud": "IBM Cloud Databases for Redis",
}


@pytest.mark.parametrize("host", HOSTS)
def test_each_is_known_by_its_host(host: str) -> None:
    for name in (host, host.upper(), f"{host}."):
        provider = provider_of(Address(name))
        assert provider is not None
        assert provider.name == HOSTS[host]


@pytest.mark.parametrize(
    "host", ["10.0.0.5", "::1", "cache-1", "upstash.io.example.org", "notupstash.io", "localhost", HEROKU]
)
def test_nothing_is_guessed(host: str) -> None:
    assert provider_of(Address(host)) is None
    assert "provider's console" in where_to_set(Address(host), "maxmemory-policy", "noeviction")


@pytest.mark.parametrize("provider", PROVIDERS, ids=lambda provider: provider.name)
def test_every_service_has_one_sentence_for_each(provider: object) -> None:
    for text in (provider.policy, provider.limit, provider.note):  # type: ignore[attr-defined]
        assert text
        assert "\n" not in text
    assert not provider.policy.endswith(".")  # type: ignore[attr-defined]


def test_the_value_stands_in_the_command() -> None:
    words = where_to_set(Address("prod.abc123.ng.0001.use1.cache.amazonaws.com"), "maxmemory-policy", "allkeys-lru")
    assert words.endswith("ParameterName=maxmemory-policy,ParameterValue=allkeys-lru")
    assert "node type" in where_to_set(Address("prod.abc123.ng.0001.use1.cache.amazonaws.com"), "maxmemory", "1")
    assert "parameters" in where_to_set(Address("prod.redis.cache.windows.net"), "maxmemory-samples", "10")
