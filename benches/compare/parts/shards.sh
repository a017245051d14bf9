# Shards: two of them in one daemon, against one, and against two daemons with one each. All variants may
# run on the same two CPUs. With fewer than four CPUs the load runs there too, so that three threads
# share two CPUs; then only the two daemons stand under the same scheduling as the two shards, and
# what differs between those is what the shards share.
# shellcheck shell=bash disable=SC2034,SC2154 # Names are shared with run and the other files.

measure_shards() {
    local round_number
    cpus=$shard_cpus shards=1 start_ours one-shard 5300
    cpus=$shard_cpus shards=2 start_ours two-shards 5301
    cpus=$shard_cpus shards=1 start_ours daemon-a 5302
    cpus=$shard_cpus shards=1 start_ours daemon-b 5303
    for name in one-shard two-shards daemon-a daemon-b; do fill "$name" -d "$dir/10k" -n 1; done
    for round_number in $(seq "$rounds"); do
        for name in one-shard two-shards daemon-a,daemon-b; do
            load_cpus=$shard_load_cpus round shard-hits "$name" load -d "$dir/10k" -c 64 -l "$load_seconds"
        done
        fresh_names "sh$round_number"
        for name in one-shard two-shards daemon-a,daemon-b; do
            load_cpus=$shard_load_cpus round shard-misses "$name" load "${fresh[@]}" -c 64 -l "$load_seconds"
        done
    done
    local kind base
    for kind in hits misses; do
        for base in one-shard daemon-a,daemon-b; do
            aimed=two-shards target='at most 1.05' rows "shard-$kind" "$kind, shards on two CPUs" load "times $base" \
                "$base" two-shards
        done
    done
}
