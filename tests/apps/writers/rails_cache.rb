# Rails: entries of the Redis cache store, named as fragments of views are, and in a namespace.
require "active_support"
require "active_support/cache"
require "active_support/cache/redis_cache_store"
require "active_support/cache/memory_store"
digest = "7ea952b3a4b9c3f8e1d20c9a3f1bb8e2"
{ nil => "views/articles/1", "" => "views/articles/index:#{digest}/articles/1", "shop" => "articles/1" }.each do |namespace, key|
  store = ActiveSupport::Cache::RedisCacheStore.new(url: ARGV[0], namespace: namespace.to_s.empty? ? nil : namespace)
  store.write(key, "<ul></ul>", expires_in: 3600)
  store.write("#{key}/forever", { title: "one" })
  store.increment("#{key}/visits")
end
