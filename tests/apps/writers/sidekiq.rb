# Sidekiq: jobs waiting, scheduled, to be retried, dead; the figures of a process.
require "sidekiq"
require "sidekiq/api"
Sidekiq.configure_client { |config| config.redis = { url: ARGV[0] } }

class Mail
  include Sidekiq::Worker
  sidekiq_options queue: "mailers"
  def perform(to); end
end

2.times { |at| Mail.perform_async(at) }
Mail.set(queue: "default").perform_async("a")
Mail.perform_in(3600, 5)
job = { "class" => "Mail", "args" => [1], "queue" => "mailers", "jid" => "b4a577edbccf1d805744efa9", "retry" => true,
        "created_at" => Time.now.to_f, "error_message" => "no such order", "error_class" => "RuntimeError", "retry_count" => 0 }
Sidekiq.redis { |c| c.zadd("retry", (Time.now.to_f + 60).to_s, Sidekiq.dump_json(job)) }
Sidekiq::DeadSet.new.kill(Sidekiq.dump_json(job.merge("jid" => "c4a577edbccf1d805744efa9", "failed_at" => Time.now.to_f)))
require "sidekiq/launcher"
launcher = Sidekiq::Launcher.new({ queues: ["mailers"], concurrency: 1, tag: "shop", labels: [], strict: true, timeout: 1, poll_interval_average: 60 })
launcher.run
sleep 0.1 until Sidekiq::Stats.new.processed >= 2 || Sidekiq::Queue.new("mailers").size.zero?
sleep 0.05 until Sidekiq::ProcessSet.new(false).size.positive?
exit! 0
