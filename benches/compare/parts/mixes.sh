# Mixes: what is harder than short names and small answers.

measure_mixes() {
    local name round_number servers=(horizond "${peers[@]}")
    # 127 + 60 bytes and the rest: some 200 in all.
    local long label
    label=$(printf 'l%.0s' $(seq 60))
    long="q{}.$label.$label.$label.example A"
    start_echo echo 5300
    start_echo echo-1058 5302 1058
    start_echo echo-672 5303 672
    start_relay
    start_ours horizond 5300
    start_peers
    pattern_file 5000 "$long" >"$dir/long"
    pattern_file 5000 'b{}.big.example TXT' >"$dir/big"
    pattern_file 5000 'd{}.signed A' >"$dir/signed"
    pattern_file 5000 't{}.huge.example TXT' >"$dir/huge"
    for name in "${servers[@]}"; do
        fill "$name" -d "$dir/10k" -n 1
        fill "$name" -d "$dir/long" -n 1
        fill "$name" -d "$dir/big" -n 1 -e 1232
        fill "$name" -d "$dir/signed" -n 1 -D
    done
    # Cut answers need not be kept: these only have their first time behind them.
    for name in "${servers[@]}"; do by_load "$name" -d "$dir/huge" -n 1 -e 1232; done
    for round_number in $(seq "$rounds"); do
        for name in echo "${servers[@]}"; do round mix-long "$name" load -d "$dir/long" -l "$seconds"; done
        for name in echo-1058 "${servers[@]}"; do round mix-big "$name" load -d "$dir/big" -e 1232 -l "$seconds"; done
        for name in echo-672 "${servers[@]}"; do round mix-signed "$name" load -d "$dir/signed" -D -l "$seconds"; done
        for name in echo "${servers[@]}"; do round mix-truncated "$name" load -d "$dir/huge" -e 1232 -l "$seconds"; done
        for name in "${servers[@]}"; do round mix-fallback "$name" load -p "f$round_number-{}.huge.example TXT" -e 1232 -l "$seconds"; done
        for name in "${servers[@]}"; do round mix-tcp "$name" dnsperf -m tcp -e -d "$dir/huge" -l "$seconds"; done
        for name in relay "${servers[@]}"; do round mix-half "$name" load -d "$dir/10k" -p "half$round_number-{}.example A" -l "$seconds"; done
        for name in relay "${servers[@]}"; do
            expected=NXDOMAIN round mix-nxdomain "$name" load -p "nx$round_number-{}.void.example A" -l "$seconds"
        done
        for name in echo "${servers[@]}"; do round mix-clients "$name" load -d "$dir/10k" -c 4000 -a 1000 -q 1000 -l "$seconds"; done
    done
    target=''
    rows mix-long 'hits, names of 200 bytes' load 'echo echo' echo "${servers[@]}"
    rows mix-big 'hits, answers of 1,058 bytes' load 'echo echo-1058' echo-1058 "${servers[@]}"
    rows mix-signed 'hits with DO, signed answers of 672 bytes' load 'echo echo-672' echo-672 "${servers[@]}"
    rows mix-truncated 'answers of 2,000 bytes to clients that take 1,232: TC' load 'echo echo' echo "${servers[@]}"
    rows mix-fallback 'the same, never asked before' load none "${servers[@]}"
    rows mix-tcp 'the same, asked again over TCP' dnsperf none "${servers[@]}"
    rows mix-half 'half hits, half misses' load 'times relay' relay "${servers[@]}"
    rows mix-nxdomain 'random names that do not exist' load 'times relay' relay "${servers[@]}"
    rows mix-clients 'hits, 4,000 clients at 1,000 addresses' load 'echo echo' echo "${servers[@]}"
}

# pattern_file COUNT PATTERN: the names that bench-load makes of a pattern.
pattern_file() {
    awk -v count="$1" -v pattern="$2" 'BEGIN {
        at = index(pattern, "{}")
        for (i = 0; i < count; i++)
            printf "%s%08d%s\n", substr(pattern, 1, at - 1), i, substr(pattern, at + 2)
    }'
}
