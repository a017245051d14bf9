# nsd as everybody's upstream, the daemon, the bare echo and the bare relay.
# shellcheck shell=bash disable=SC2034,SC2154 # Names are shared with run and the other files.

nsd_addr=127.53.1.1 nsd_port=5353
ours_addr=127.53.1.2
bare_addr=127.53.1.3
forger_addr=127.53.1.7

# Zones that answer every name, for an hour: three of one address a name; below big.example and
# huge.example long texts; below void.example nothing; "signed" has signatures of the usual size,
# which nobody here checks.
generate_files() {
    local zone zones=(cluster.local c.binrc.com example signed)
    {
        cat <<EOF_NSD
server:
    server-count: 1
    ip-address: $nsd_addr@$nsd_port
    username: ""
    zonesdir: "$dir"
    database: ""
    pidfile: "$dir/nsd.pid"
    xfrdfile: "$dir/xfrd.state"
    zonelistfile: "$dir/zone.list"
    xfrdir: "$dir"
    logfile: "$dir/nsd.log"
    minimal-responses: yes
    tcp-count: 200
    # Nobody is an attacker here.
    rrl-ratelimit: 0
    rrl-whitelist-ratelimit: 0
remote-control:
    # Says how many queries came, which tells hits from misses.
    control-enable: yes
    control-interface: "$dir/nsd.sock"
EOF_NSD
        for zone in "${zones[@]}"; do
            printf 'zone:\n    name: "%s"\n    zonefile: "%s.zone"\n' "$zone" "$zone"
        done
    } >"$dir/nsd.conf"
    for zone in "${zones[@]}"; do
        cat >"$dir/$zone.zone" <<EOF_ZONE
\$ORIGIN $zone.
\$TTL 3600
@ SOA ns hostmaster 1 3600 600 86400 60
@ NS ns
ns A 192.0.2.53
* A 192.0.2.1
EOF_ZONE
    done
    local text='' four
    text=$(printf 'x%.0s' $(seq 250))
    four="\"$text\" \"$text\" \"$text\" \"$text\""
    cat >>"$dir/example.zone" <<EOF_ZONE
void A 192.0.2.9
*.big TXT $four
*.huge TXT $four $four
EOF_ZONE
    sign_zone
    names 10000 hot >"$dir/10k"
    names 100000 hot >"$dir/100k"
    names 1 hot >"$dir/one"
}

# Signatures and the proof that a wildcard stood for the name, as a zone signed with RSA has them.
sign_zone() {
    local signature
    signature=$(head -c 256 /dev/zero | base64 | tr -d '\n')
    awk -v signature="$signature" 'BEGIN {
        count = split("@ SOA 1,@ NS 1,@ DNSKEY 1,@ NSEC 1,* A 1,* NSEC 1,ns A 2,ns NSEC 2", kinds, ",")
        print "@ DNSKEY 257 3 8", signature
        print "@ NSEC * NS SOA RRSIG NSEC DNSKEY"
        print "* NSEC ns A RRSIG NSEC"
        print "ns NSEC signed. A RRSIG NSEC"
        for (i = 1; i <= count; i++) {
            split(kinds[i], kind, " ")
            print kind[1], "RRSIG", kind[2], 8, kind[3], 3600, "20400101000000 20260101000000 12345 signed.", signature
        }
    }' >>"$dir/signed.zone"
}

# names COUNT TAG: so many names in three zones, a third each; no other tag has the same.
names() {
    awk -v count="$1" -v tag="$2" 'BEGIN {
        split("s bulk.svc.cluster.local,h bulk.c.binrc.com,n bulk.example", kinds, ",")
        for (i = 0; i < count; i++) {
            split(kinds[i % 3 + 1], kind, " ")
            print kind[1] i "-" tag "." kind[2] " A"
        }
    }'
}

# The same for bench-load, without end: options in $fresh.
fresh_names() {
    fresh=(-p "s{}-$1.bulk.svc.cluster.local A" -p "h{}-$1.bulk.c.binrc.com A" -p "n{}-$1.bulk.example A")
}

start_nsd() {
    on "$upstream_cpu" nsd nsd -d -c "$dir/nsd.conf"
    nsd_pid=$pid
    await nsd answers "$nsd_addr" "$nsd_port"
}

# Queries that came to nsd since its start.
nsd_count() {
    nsd-control -c "$dir/nsd.conf" stats_noreset | awk -F= '$1 == "num.queries" { print $2 }'
}

answers() {
    "$bin/examples/bench-load" -d "$dir/one" -m 1 -t 100 "$1:$2" 2>/dev/null | grep -q 'NOERROR 1 '
}

# serve NAME CPUS ADDR PORT COMMAND...: starts a server under test.
serve() {
    local name=$1 cpus=$2
    at["$name"]="$3 $4"
    shift 4
    on "$cpus" "$name" "$@"
    pid_of["$name"]=$pid
}

# config NAME PORT: an ordinary node's configuration with loopback addresses in it. Before the call
# may stand scheme=, upstream=, shards=, memory= and suffixes= (a file with one in each line).
config() {
    local upstream="${scheme:-udp}://${upstream:-$nsd_addr:$nsd_port}" more=""
    [ -z "${suffixes:-}" ] || more=$(awk '{ printf ", \"%s\"", $1 }' "$suffixes")
    cat >"$dir/$1.toml" <<EOF_TOML
[listen]
addresses = ["$ours_addr:$2"]
shards = ${shards:-1}

[cache]
memory = "${memory:-64MiB}"

[[route]]
name = "cluster"
suffixes = ["cluster.local"$more]
reverse = ["10.96.0.0/12", "10.244.0.0/16"]
upstreams = ["$upstream"]

[[route]]
name = "tailnet"
suffixes = ["c.binrc.com"]
reverse = ["100.64.0.0/10"]
upstreams = ["$upstream"]

[[route]]
name = "internet"
suffixes = ["."]
upstreams = ["$upstream"]

[admin]
address = "$ours_addr:$(($2 + 1000))"
control = "$dir/$1.sock"
EOF_TOML
}

# start_ours NAME PORT: the daemon, with what may stand before config, and cpus=.
start_ours() {
    config "$1" "$2"
    serve "$1" "${cpus:-$server_cpu}" "$ours_addr" "$2" "$bin/horizond" run --config "$dir/$1.toml"
    await "$1" "$bin/horizond" status --control "$dir/$1.sock"
}

# start_echo NAME PORT OPTION...: the bare echo; options as bench-echo has them.
start_echo() {
    local name=$1 port=$2
    shift 2
    serve "$name" "$server_cpu" "$bare_addr" "$port" "$bin/examples/bench-echo" "$bare_addr:$port" "$@"
    await "$name" test -s "$dir/$name.out"
}

start_relay() {
    serve relay "$server_cpu" "$bare_addr" 5301 "$bin/examples/bench-relay" "$bare_addr:5301" "$nsd_addr:$nsd_port"
    await relay test -s "$dir/relay.out"
}

# start_forger NAME PORT KIND...: the upstream with an enemy, where the upstream is.
start_forger() {
    local name=$1 port=$2
    shift 2
    serve "$name" "$upstream_cpu" "$forger_addr" "$port" "$bin/examples/bench-forger" "$forger_addr:$port" "$@"
    await "$name" test -s "$dir/$name.out"
}

# cache_figure NAME KEY: a number that the daemon says of its cache.
cache_figure() {
    "$bin/horizond" status --control "$dir/$1.sock" --json |
        awk -v key="\"$2\"" 'BEGIN { RS = "[,{}]" } index($0, key) { sub(/.*: */, ""); print $0 + 0; exit }'
}
