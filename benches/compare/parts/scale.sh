# Scale: ten thousand suffixes beside three, and a million names in the cache beside ten thousand.
# shellcheck shell=bash disable=SC2034,SC2154 # Names are shared with run and the other files.

measure_scale() {
    local name round_number
    awk 'BEGIN { for (i = 0; i < 10000; i++) print "s" i ".corp.example" }' >"$dir/suffixes"
    awk '{ print "h" NR "." $1, "A" }' "$dir/suffixes" >"$dir/suffixed"
    start_ours three-suffixes 5300
    suffixes=$dir/suffixes start_ours 10000-suffixes 5301
    memory=1GiB start_ours 10000-names 5302
    memory=1GiB start_ours "$many-names" 5303
    for name in three-suffixes 10000-suffixes; do fill "$name" -d "$dir/suffixed" -n 1; done
    # Asked in another order than they came in, so that neighbours in memory do not help.
    awk -v all=10000 "$in_strides" >"$dir/few"
    awk -v all="$many" "$in_strides" >"$dir/many"
    fill 10000-names -p 'm{}.example A' -m 10000 -q 1024
    fill "$many-names" -p 'm{}.example A' -m "$many" -q 1024
    [ "$(cache_figure "$many-names" entries)" -ge "$many" ] || die "the cache does not hold $many names"
    for round_number in $(seq "$rounds"); do
        for name in three-suffixes 10000-suffixes; do
            round scale-suffixes "$name" load -d "$dir/suffixed" -l "$load_seconds"
        done
        for name in three-suffixes 10000-suffixes; do
            # Names below all the suffixes, again and again others.
            awk -v tag="$round_number" -v times=$((seconds * 11 + 1)) '{ for (i = 0; i < times; i++) print tag "x" i "." $1, "A" }' "$dir/suffixes" >"$dir/fresh"
            round scale-misses "$name" load -d "$dir/fresh" -n 1 -l "$load_seconds"
        done
        round scale-names 10000-names load -d "$dir/few" -l "$load_seconds"
        round scale-names "$many-names" load -d "$dir/many" -l "$load_seconds"
    done
    aimed=10000-suffixes target='at most 1.15' rows scale-suffixes 'hits below 10,000 suffixes' load 'times three-suffixes' three-suffixes 10000-suffixes
    aimed=10000-suffixes target='' rows scale-misses 'misses below 10,000 suffixes' load 'times three-suffixes' three-suffixes 10000-suffixes
    aimed=$many-names target='at most 1.15' rows scale-names 'hits in a cache of many names' load 'times 10000-names' 10000-names "$many-names"
}

in_strides='BEGIN { for (i = 0; i < all; i++) printf "m%08d.example A\n", i * 7919 % all }'
