"""Each rule of the verdict and each finding has a test on a live server: what is new here cannot go without one.

What no server here can be brought to say is shown on captured INFO.
"""

import inspect
import re
from collections.abc import Callable

import pytest

from redis_oom_tui.rules import findings, verdict
from redis_oom_tui.rules.findings import keys
from redis_oom_tui.rules.verdict import limit_rules, state_rules
from redis_oom_tui.rules.verdict.causes import CAUSES
from tests.cli import test_check as checked
from tests.cli import test_public_reports as reported
from tests.cli import test_skewed_clock as skewed
from tests.rules import test_foreign_info as foreign
from tests.rules import test_garbled_info as garbled
from tests.rules import test_verdict_rules as by_figures
from tests.server import test_applications_live as of_apps
from tests.server import test_causes_live as causes
from tests.server import test_cluster as cluster
from tests.server import test_cluster_failover as failover
from tests.server import test_cluster_migrating_slots as migrating
from tests.server import test_cluster_replicas as replicas
from tests.server import test_findings_live as found
from tests.server import test_savings_live as saving
from tests.server import test_states_live as states
from tests.server import test_verdict_live as judged
from tests.server import test_verdict_writes_live as refused

Shown = dict[str, tuple[Callable[..., object], ...]]

VERDICTS: Shown = {
    "loading": (judged.test_a_server_that_is_loading,),
    "refusing-noeviction": (judged.test_refusing_writes_under_noeviction,),
    "refusing-no-ttl": (judged.test_volatile_policy_without_any_ttl,),
    "refusing-buffers": (judged.test_client_buffers_hold_the_memory,),
    "refusing-tiny-limit": (judged.test_a_limit_below_the_empty_server,),
    "refusing-nothing-left": (states.test_channels_that_fill_the_limit_leave_nothing_to_evict,),
    "refusing-behind": (states.test_a_refusal_before_eviction_was_allowed,),
    "refusing-scripts": (states.test_scripts_that_fill_the_limit_are_named,),
    "refusing-links": (reported.test_check_tells_it,),
    "refusing-tracking": (causes.test_the_cause_and_the_first_step,),
    "refusing-backlog": (causes.test_the_cause_and_the_first_step,),
    "refusing-names": (causes.test_the_cause_and_the_first_step,),
    "refusing-connections": (causes.test_the_cause_and_the_first_step,),
    "refusing-functions": (causes.test_the_cause_and_the_first_step,),
    "refusing-channels": (causes.test_the_cause_and_the_first_step,),
    "refusing-watched": (causes.test_the_cause_and_the_first_step,),
    "refusing-freeing": (causes.test_memory_that_is_still_being_freed,),
    "refusing-modules": (causes.test_the_cause_and_the_first_step,),
    "refusing-unexplained": (by_figures.test_each_cause_has_a_state_of_its_own,),
    "refusing-lowered": (causes.test_the_cause_and_the_first_step,),
    "refusing-giant": (causes.test_the_cause_and_the_first_step,),
    "refusing-migration": (by_figures.test_each_cause_has_a_state_of_its_own,),
    "refusing-replicas": (by_figures.test_each_cause_has_a_state_of_its_own,),
    "refusing-rehashing": (by_figures.test_each_cause_has_a_state_of_its_own,),
    "refusing-expired": (by_figures.test_each_cause_has_a_state_of_its_own,),
    "refusing-paused": (by_figures.test_each_cause_has_a_state_of_its_own,),
    "refusing-few-evictable": (by_figures.test_each_cause_has_a_state_of_its_own,),
    "refusing-count-unknown": (reported.test_check_tells_it,),
    "refusing-limit-unknown": (reported.test_check_tells_it,),
    "refusing-no-limit": (garbled.test_refusals_without_a_limit_name_no_cause,),
    "count-unknown": (foreign.test_kvrocks_reports_no_memory_and_is_not_blamed_on_permissions,),
    "limit-unknown": (reported.test_check_tells_it,),
    "foreign-rss": (reported.test_check_tells_it,),
    "contradictory": (garbled.test_more_in_use_than_the_host_has_is_a_contradiction,),
    "behind-": (garbled.test_where_no_key_holds_it_an_armed_cleanup_stays_away,),
    "close-": (reported.test_check_tells_it,),
    "crowded": (causes.test_the_cause_and_the_first_step,),
    "machine-full": (states.test_a_machine_that_others_have_filled,),
    "refusing-large": (states.test_a_write_larger_than_the_room_left,),
    "misconf": (refused.test_a_failed_save_is_told_apart_from_memory,),
    "noreplicas": (refused.test_too_few_replicas_block_writes_whatever_the_memory,),
    "buffers": (judged.test_client_buffers_hold_the_memory,),
    "behind": (states.test_eviction_that_does_not_keep_up,),
    "close-warning": (judged.test_close_to_the_limit, judged.test_few_keys_to_evict_are_told_before_they_run_out),
    "close-critical": (judged.test_close_to_the_limit,),
    "replica-own-limit": (refused.test_a_replica_that_keeps_to_its_own_limit,),
    "replica-copying": (states.test_a_fresh_replica_is_no_alarm,),
    "replica-link": (refused.test_a_replica_over_its_limit_is_no_outage,),
    "replica-limit": (
        refused.test_a_replica_beyond_its_own_limit_is_told_before_a_failover,
        cluster.test_a_replica_with_a_smaller_limit_is_found,
    ),
    "save-failed": (refused.test_a_failed_save_is_told_apart_from_memory,),
    "host-full": (states.test_a_container_that_is_nearly_full,),
    "swapped": (states.test_a_server_whose_machine_swaps,),
    "fragmented": (states.test_memory_full_of_holes,),
    "churning": (judged.test_a_cache_too_small_for_its_work,),
    "growing": (states.test_growth_that_ends_at_the_limit_within_the_hour,),
    "evicting": (judged.test_a_full_cache_that_evicts_is_busy_and_no_outage,),
    "full-cache": (judged.test_a_full_volatile_cache_that_evicts_is_no_outage,),
    "no-limit": (judged.test_no_limit,),
    "healthy": (judged.test_healthy,),
    "node-lost": (failover.test_a_killed_primary_is_told_and_its_replica_followed,),
    "slots-open": (cluster.test_slots_that_nobody_serves,),
}
FINDINGS: Shown = {
    "finished-work": (of_apps.test_finished_jobs_are_counted_named_and_worth_what_is_said,),
    "application-data": (of_apps.test_what_a_setting_would_bound_is_told_with_the_setting,),
    "orphaned-keys": (of_apps.test_reply_queues_that_no_binding_names_are_counted,),
    "stream-readers": (of_apps.test_readers_of_a_stream_that_have_gone_are_told_with_the_trap,),
    "monitor": (checked.test_a_hog_among_the_clients_is_named,),
    "client-hogs": (found.test_clients_that_hold_buffers, found.test_a_slow_subscriber_is_named),
    "clients-evicted": (found.test_clients_that_were_closed_for_their_buffers,),
    "maxmemory-clients": (found.test_clients_that_hold_buffers,),
    "functions": (causes.test_the_cause_and_the_first_step,),
    "many-connections": (causes.test_the_cause_and_the_first_step,),
    "backlog": (found.test_a_backlog_too_large_for_the_limit,),
    "scripts": (found.test_scripts_with_values_in_their_text,),
    "channels": (found.test_many_channels,),
    "cluster-links": (reported.test_check_tells_it,),
    "held-by-no-key": (states.test_channels_that_fill_the_limit_leave_nothing_to_evict,),
    "refused-at-peak": (judged.test_refusals_of_values_too_large_and_of_a_burst_are_told_apart,),
    "large-writers": (found.test_who_sends_large_values,),
    "refused-large": (judged.test_refusals_of_values_too_large_and_of_a_burst_are_told_apart,),
    "one-cluster-node": (reported.test_check_tells_it,),
    "not-redis": (reported.test_check_tells_it,),
    "refusals-unknown": (reported.test_check_tells_it,),
    "limit-stated": (reported.test_a_stated_limit_counts,),
    "tracking": (states.test_keys_tracked_for_clients,),
    "no-limit": (states.test_a_container_that_is_nearly_full,),
    "limit-over-host": (found.test_a_limit_that_the_host_cannot_honour,),
    "raise-limit": (found.test_policies_and_limits_that_do_not_fit,),
    "volatile-no-ttl": (found.test_policies_and_limits_that_do_not_fit,),
    "cache-noeviction": (found.test_policies_and_limits_that_do_not_fit,),
    "store-allkeys": (found.test_policies_and_limits_that_do_not_fit,),
    "samples": (found.test_settings_far_from_the_usual,),
    "lazyfree-lazy-eviction": (found.test_settings_far_from_the_usual,),
    "lazyfree-lazy-expire": (found.test_settings_far_from_the_usual,),
    "fragmentation": (states.test_memory_full_of_holes,),
    "giant-key": (found.test_settings_far_from_the_usual,),
    "stream-untrimmed": (found.test_giants_and_what_they_are,),
    "queue-growing": (found.test_giants_and_what_they_are,),
    "zset-log": (found.test_giants_and_what_they_are,),
    "grew": (found.test_giants_and_what_they_are,),
    "no-ttl-stragglers": (saving.test_expiring_the_keys_that_were_forgotten,),
    "no-ttl-family": (saving.test_expiring_a_pattern_of_passing_use,),
    "old-data": (found.test_data_that_nobody_uses_any_more,),
    "long-ttl": (found.test_ttls_far_beyond_use,),
    "expired-unreaped": (states.test_expired_keys_that_the_server_is_slow_to_drop,),
    "hash-grouping": (saving.test_one_hash_in_place_of_separate_keys,),
    "long-names": (saving.test_shorter_names,),
    "numbers-as-text": (saving.test_what_values_would_save_holds_where_they_cannot_be_read,),
    "encoding-limit": (saving.test_collections_just_over_the_compact_limit,),
    "compressible": (saving.test_compressed_values,),
    "clock-skew": (skewed.test_check_tells_how_far_the_clocks_are_apart,),
    "slots-open": (cluster.test_slots_that_nobody_serves,),
    "slots-half-moved": (migrating.test_it_is_a_finding_with_what_ends_it,),
    "node-lost": (failover.test_a_killed_primary_is_told_and_its_replica_followed,),
    "shard-skew": (cluster.test_one_shard_far_fuller_than_the_others,),
    "differs-": (cluster.test_the_full_shard_comes_first_and_speaks_for_the_cluster,),
    "replica-unseen": (replicas.test_a_replica_that_would_evict_on_promotion,),
    "replica-promotion": (cluster.test_a_replica_with_a_smaller_limit_is_found,),
    "not-readable": (found.test_what_may_not_be_read_here,),
    "values-unread": (found.test_what_may_not_be_read_here,),
}


def test_every_rule_of_the_verdict_is_in_the_table() -> None:
    declared = {id_ for rule in verdict.DECLARED for id_ in rule.ids}
    refusing = {id_ for id_ in VERDICTS if id_.startswith("refusing-")}
    assert declared - {"refusing-"} | refusing == VERDICTS.keys() - {"node-lost", "slots-open"}
    assert {id_ for id_ in declared if id_.endswith("-")} == {"refusing-", "close-", "behind-"}
    source = "".join(inspect.getsource(module) for module in (limit_rules, state_rules))
    literal = set(re.findall(r'\bsay\(\s*facts,\s*[\w.]+,\s*"([a-z-]+)"', source))
    assert len(literal) > 15
    assert literal | {f"refusing-{cause.name}" for cause in CAUSES} <= VERDICTS.keys()


def test_every_finding_is_in_the_table() -> None:
    rules = [*findings.RULES, *findings.ON_DEMAND]
    declared = {id_ for rule in rules for id_ in rule.ids}
    assert declared == set(FINDINGS)
    made = {inspect.getmodule(rule.judge) for rule in rules}
    assert made == {module for module in vars(findings).values() if inspect.ismodule(module) and module in made}
    source = "\n".join(inspect.getsource(module) for module in made if module is not None)
    literal = set(re.findall(r'\bid=f?"([a-z-]+)', source)) | {words[0] for words in keys.BY_TYPE.values()}
    assert literal <= declared, "an id that no rule declares"


@pytest.mark.parametrize("shown", [VERDICTS, FINDINGS])
def test_each_is_told_by_the_test_that_shows_it(shown: Shown) -> None:
    for id_, tests in shown.items():
        for test in tests:
            source = inspect.getsource(inspect.getmodule(test) or test)
            assert test.__name__.startswith("test_")
            assert f'"{id_}' in source, (id_, test.__name__)
