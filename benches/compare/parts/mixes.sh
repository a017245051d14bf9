# Mixes: what is harder than short names and small answers.
# shellcheck shell=bash disable=SC2034,SC2154 # Names are shared with run and the other files.

measure_mixes() {
    local name round_number target='' servers=(horizond "${peers[@]}")
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
    pattern_file 2000 "$long" >"$dir/long"
    pattern_file 2000 'b{}.big.example TXT' >"$dir/big"
    pattern_file 2000 'd{}.signed A' >"$dir/signed"
    pattern_file 2000 't{}.huge.example TXT' >"$dir/huge"
    # What fills the caches comes last, because it drives out what the others ask for.
    fill_all -d "$dir/long" -n 1
    mix long load echo -d "$dir/long"
    rows mix-long 'hits, names of 200 bytes' load 'echo echo' echo "${servers[@]}"

    fill_all -d "$dir/big" -n 1 -e 1232
    mix big load echo-1058 -d "$dir/big" -e 1232
    rows mix-big 'hits, answers of 1,058 bytes' load 'echo echo-1058' echo-1058 "${servers[@]}"

    fill_all -d "$dir/signed" -n 1 -D
    mix signed load echo-672 -d "$dir/signed" -D
    rows mix-signed 'hits with DO, signed answers of 672 bytes' load 'echo echo-672' echo-672 "${servers[@]}"

    # Cut answers need not be kept: these only have their first time behind them.
    for name in "${servers[@]}"; do by_load "$name" -d "$dir/huge" -n 1 -e 1232; done
    mix truncated load echo -d "$dir/huge" -e 1232
    rows mix-truncated 'answers of 2,000 bytes, clients take 1,232: TC' load 'echo echo' echo "${servers[@]}"
    mix tcp dnsperf '' -m tcp -e -d "$dir/huge"
    rows mix-tcp 'the same, asked again over TCP' dnsperf none "${servers[@]}"

    fill_all -d "$dir/10k" -n 1
    mix clients load echo -d "$dir/10k" -c 4000 -a 1000 -q 1000
    rows mix-clients 'hits, 4,000 clients at 1,000 addresses' load 'echo echo' echo "${servers[@]}"
    mix half load relay -d "$dir/10k" -p 'half@-{}.example A'
    rows mix-half 'half hits, half misses' load 'times relay' relay "${servers[@]}"
    expected=NXDOMAIN mix nxdomain load relay -p 'nx@-{}.void.example A'
    rows mix-nxdomain 'random names that do not exist' load 'times relay' relay "${servers[@]}"
    mix fallback load '' -p 'f@-{}.huge.example TXT' -e 1232
    rows mix-fallback 'answers of 2,000 bytes, never asked before' load none "${servers[@]}"
}

fill_all() {
    for name in "${servers[@]}"; do fill "$name" "$@"; done
}

# mix NAME GENERATOR BASE OPTION...: the rounds of one mix. @ in an option becomes the round's number.
mix() {
    local what=$1 generator=$2 base=$3 length=$load_seconds
    shift 3
    [ "$generator" = load ] || length=$seconds
    for round_number in $(seq "$mix_rounds"); do
        for name in $base "${servers[@]}"; do
            round "mix-$what" "$name" "$generator" "${@//@/$round_number}" -l "$length"
        done
    done
}

# pattern_file COUNT PATTERN: the names that bench-load makes of a pattern.
pattern_file() {
    awk -v count="$1" -v pattern="$2" 'BEGIN {
        at = index(pattern, "{}")
        for (i = 0; i < count; i++)
            printf "%s%08d%s\n", substr(pattern, 1, at - 1), i, substr(pattern, at + 2)
    }'
}
