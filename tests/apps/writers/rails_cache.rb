# Rails: entries of the Redis cache store, with and without a namespace.
require "active_support"
require "active_support/cache"
require "active_support/cache/redis_cache_store"
require "active_support/cache/memory_store"
{ nil => "views/articles/1", "shop" => "articles/1" }.each do |namespace, key|
  store = ActiveSupport::Cache::RedisCacheStore.new(url: ARGV[0], namespace: namespace)
  store.write(key, "<ul></ul>", expires_in: 3600)
  store.write("#{key}/forever", { title: "one" })
  store.increment("#{key}/visits")
end
