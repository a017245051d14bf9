# Memory: resident set after the start, with 10,000 and 100,000 names, and after many misses.
# shellcheck shell=bash disable=SC2034,SC2154 # Names are shared with run and the other files.

measure_memory() {
    local name names_file idle bytes grown count limit entries servers=(horizond "${peers[@]}")
    declare -A idle_of=()
    for name in "${servers[@]}"; do
        if [ "$name" = horizond ]; then start_ours horizond 5300; else start_peer "$name"; fi
        idle_of[$name]=$(rss_kib "${pid_of[$name]}")
        memory_row idle "$name" "${idle_of[$name]}" 'at most 10'
    done
    for names_file in 10k 100k; do
        for name in "${servers[@]}"; do
            # Of the peers a few may be missing; they only stand beside.
            if [ "$name" = horizond ]; then fill "$name" -d "$dir/$names_file" -n 1; else
                by_load "$name" -d "$dir/$names_file" -n 1 -t 1000 -l 60
            fi
            # The cache keeps house once a second.
            [ "$name" != horizond ] || sleep 1.5
            memory_row "${names_file%k},000 names" "$name" "$(rss_kib "${pid_of[$name]}")" \
                "$([ $names_file = 10k ] || echo 'at most 60')"
        done
    done
    said_row 'growth for'
    fresh_names memory
    by_load horizond "${fresh[@]}" -m "$many" -l 120
    [ "$lost" -eq 0 ] || note "memory: $lost of $many misses lost"
    sleep 1.5
    memory_row "$many misses more" horizond "$(rss_kib "${pid_of[horizond]}")" ''
    said_row 'growth after all misses, for'
}

# memory_row WHAT SERVER KIB TARGET-OF-OURS
memory_row() {
    row "memory: $1" "$2" '' '' '' '' '' '' "$(mib "$3")" "$([ "$2" != horizond ] || echo "$4")"
    note "$(printf 'memory  %-20s %-12s %8.1f MiB' "$1" "$2" "$(mib "$3")")"
}

# What we grew by, beside what the cache says it holds, which must stay within its limit.
said_row() {
    entries=$(cache_figure horizond entries) bytes=$(cache_figure horizond bytes)
    limit=$((64 << 20))
    grown=$((($(rss_kib "${pid_of[horizond]}") - idle_of[horizond]) * 1024))
    row "memory: $1 $entries entries" horizond '' '' '' "$(ratio "$grown" "$bytes") (grown / said)" '' '' \
        "$(mib $((grown / 1024)))" "0.85 to 1.15 of $(mib $((bytes / 1024))) said"
    [ "$bytes" -le "$limit" ] || failed="the cache holds $bytes bytes, more than [cache] memory"
}
