# TCP: upstreams asked over TCP against the same over UDP, and clients who ask over TCP.
# shellcheck shell=bash disable=SC2034,SC2154 # Names are shared with run and the other files.

measure_tcp() {
    local name round_number servers=(horizond "${peers[@]}")
    scheme=udp start_ours udp 5300
    scheme=tcp start_ours tcp 5301
    fresh_names warm
    by_load udp "${fresh[@]}" -m 5000
    by_load tcp "${fresh[@]}" -m 5000
    for round_number in $(seq "$rounds"); do
        names $((seconds * 110000)) "t$round_number" >"$dir/fresh"
        round upstream-tcp udp dnsperf -d "$dir/fresh" -n 1 -l "$seconds"
        round upstream-tcp tcp dnsperf -d "$dir/fresh" -n 1 -l "$seconds"
    done
    aimed=tcp target='at most 1.00' rows upstream-tcp 'misses over our upstream transport' dnsperf 'times udp' udp tcp
    stop_servers

    start_ours horizond 5300
    start_peers
    for name in "${servers[@]}"; do fill "$name" -d "$dir/10k" -n 1; done
    for round_number in $(seq "$rounds"); do
        for name in "${servers[@]}"; do
            round clients-tcp "$name" dnsperf -m tcp -d "$dir/10k" -l "$seconds"
        done
    done
    target='' rows clients-tcp 'hits, clients over TCP' dnsperf none "${servers[@]}"
}
