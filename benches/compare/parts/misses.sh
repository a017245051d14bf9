# Misses: names that nobody asked before, answered by nsd, against the bare relay.
# shellcheck shell=bash disable=SC2034,SC2154 # Names are shared with run and the other files.

measure_misses() {
    local name round_number hits misses servers=(relay horizond)
    start_relay
    start_ours horizond 5300
    start_peers
    servers+=("${peers[@]}")
    fresh_names warm
    for name in "${servers[@]}"; do by_load "$name" "${fresh[@]}" -m 5000; done
    for round_number in $(seq "$rounds"); do
        # More names than can be asked in the time; all may share them, having a cache each.
        names $((seconds * 110000)) "r$round_number" >"$dir/fresh"
        for name in "${servers[@]}"; do
            round misses "$name" dnsperf -d "$dir/fresh" -n 1 -l "$seconds"
        done
        fresh_names "l$round_number"
        for name in "${servers[@]}"; do
            round misses "$name" load "${fresh[@]}" -l "$load_seconds"
        done
    done
    hits=$(cache_figure horizond hits) misses=$(cache_figure horizond misses)
    [ $((hits * 1000)) -le "$misses" ] || die "$hits of the misses were hits"
    target='at most 1.30' rows misses 'misses over UDP' dnsperf 'times relay' "${servers[@]}"
    target='' rows misses 'misses over UDP' load 'times relay' "${servers[@]}"
}
