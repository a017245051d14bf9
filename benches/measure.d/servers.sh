# The servers: nsd as everybody's upstream, the daemon, the bare echo and the bare relay.

nsd_addr=127.53.1.1 nsd_port=5353
ours_addr=127.53.1.2
bare_addr=127.53.1.3
port=5300

# Three zones that answer every name, for an hour.
generate_files() {
    local zone
    {
        cat <<EOF
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
    control-enable: no
EOF
        for zone in cluster.local c.binrc.com example; do
            printf 'zone:\n    name: "%s"\n    zonefile: "%s.zone"\n' "$zone" "$zone"
        done
    } >"$dir/nsd.conf"
    for zone in cluster.local c.binrc.com example; do
        cat >"$dir/$zone.zone" <<EOF
\$ORIGIN $zone.
\$TTL 3600
@ SOA ns hostmaster 1 3600 600 86400 60
@ NS ns
ns A 192.0.2.53
* A 192.0.2.1
EOF
    done
    names 10000 hot >"$dir/10k"
    names 100000 hot >"$dir/100k"
    names 1 hot >"$dir/one"
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

# The server of one CPU and the load of the other: 0 is measured, 1 is everything else.
start_nsd() {
    on 1 nsd nsd -d -c "$dir/nsd.conf"
    nsd_pid=$pid
    await nsd answers "$nsd_addr" "$nsd_port"
}

answers() {
    dnsperf -s "$1" -p "$2" -d "$dir/one" -n 1 -t 1 2>/dev/null | grep -q 'NOERROR 1 '
}

# config NAME PORT SCHEME: an ordinary node's configuration with loopback addresses in it.
config() {
    local upstream="$3://$nsd_addr:$nsd_port"
    cat >"$dir/$1.toml" <<EOF
[listen]
addresses = ["$ours_addr:$2"]
shards = 1

[[route]]
name = "cluster"
suffixes = ["cluster.local"]
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
EOF
}

# start_ours NAME PORT SCHEME: the daemon with one shard; its id is in $pid.
start_ours() {
    config "$1" "$2" "$3"
    on 0 "$1" "$bin/horizond" run --config "$dir/$1.toml"
    await "$1" "$bin/horizond" status --control "$dir/$1.sock"
}

start_echo() {
    on 0 echo "$bin/examples/bench-echo" "$bare_addr:$port"
    await echo test -s "$dir/echo.out"
}

# The same, waiting by epoll.
start_epoll_echo() {
    on 0 epoll "$bin/examples/bench-echo" "$bare_addr:$((port + 1))" epoll
    await epoll test -s "$dir/epoll.out"
}

start_relay() {
    on 0 relay "$bin/examples/bench-relay" "$bare_addr:$port" "$nsd_addr:$nsd_port"
    await relay test -s "$dir/relay.out"
}

# cache_figure NAME KEY: a number that the daemon says of its cache.
cache_figure() {
    "$bin/horizond" status --control "$dir/$1.sock" --json |
        awk -v key="\"$2\"" 'BEGIN { RS = "[,{}]" } index($0, key) { sub(/.*: */, ""); print $0 + 0; exit }'
}
