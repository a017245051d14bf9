# The peers, each with one thread where it lets us, the same three routes to the same nsd, and a cache
# that holds all that is asked as hits. Why each line: benches/README.md.
# shellcheck shell=bash disable=SC2034,SC2154 # Names are shared with run and the other files.

dnsdist_addr=127.53.1.4
unbound_addr=127.53.1.5
dnsmasq_addr=127.53.1.6
peer_port=5300

start_peers() {
    local peer
    for peer in "${peers[@]}"; do start_peer "$peer"; done
}

start_peer() {
    local -n peer_addr="$1_addr"
    local -a command
    "prepare_$1"
    serve "$1" "$server_cpu" "$peer_addr" "$peer_port" "${command[@]}"
    await "$1" answers "$peer_addr" "$peer_port"
}

# Writes the configuration; the command that starts it is in $command.
prepare_dnsdist() {
    cat >"$dir/dnsdist.lua" <<EOF_DNSDIST
setSecurityPollSuffix("")
setLocal("$dnsdist_addr:$peer_port", {doTCP=true, tcpFastOpenQueueSize=0})
setACL("127.0.0.0/8")
setUDPMultipleMessagesVectorSize(32)
setMaxUDPOutstanding(65535)
setMaxTCPClientThreads(1)
cache = newPacketCache(200000, {maxTTL=86400})
for _, pool in ipairs({"cluster", "tailnet", "internet"}) do
  newServer({address="$nsd_addr:$nsd_port", pool=pool, name=pool}):setUp()
  getPool(pool):setCache(cache)
end
addAction(makeRule({"cluster.local."}), PoolAction("cluster"))
addAction(makeRule({"c.binrc.com."}), PoolAction("tailnet"))
addAction(AllRule(), PoolAction("internet"))
EOF_DNSDIST
    command=(dnsdist --supervised --disable-syslog -C "$dir/dnsdist.lua")
}

prepare_unbound() {
    cat >"$dir/unbound.conf" <<EOF_UNBOUND
server:
    interface: $unbound_addr@$peer_port
    access-control: 127.0.0.0/8 allow
    num-threads: 1
    do-daemonize: no
    use-syslog: no
    username: ""
    chroot: ""
    directory: "$dir"
    pidfile: ""
    module-config: "iterator"
    do-not-query-localhost: no
    do-ip6: no
    msg-cache-size: 256m
    rrset-cache-size: 512m
    outgoing-range: 8192
    num-queries-per-thread: 4096
    so-rcvbuf: 4m
    incoming-num-tcp: 100
    qname-minimisation: no
remote-control:
    control-enable: no
EOF_UNBOUND
    local zone
    for zone in cluster.local c.binrc.com .; do
        printf 'forward-zone:\n    name: "%s"\n    forward-addr: %s@%s\n' "$zone" "$nsd_addr" "$nsd_port"
    done >>"$dir/unbound.conf"
    command=(unbound -d -c "$dir/unbound.conf")
}

prepare_dnsmasq() {
    cat >"$dir/dnsmasq.conf" <<EOF_DNSMASQ
port=$peer_port
listen-address=$dnsmasq_addr
bind-interfaces
no-resolv
no-hosts
no-poll
user=$(id -un)
pid-file=
log-facility=-
cache-size=150000
dns-forward-max=4096
server=/cluster.local/$nsd_addr#$nsd_port
server=/c.binrc.com/$nsd_addr#$nsd_port
server=$nsd_addr#$nsd_port
EOF_DNSMASQ
    command=(dnsmasq --keep-in-foreground "--conf-file=$dir/dnsmasq.conf")
}
