#!/usr/bin/env bash
# Captures the transcripts beside this directory: real clients talking to a real Apache ZooKeeper through the proxy in main.go.
# Needs Java, Maven, Python with kazoo. Usage, from the repository's root: netloop/wire/testdata/capture/capture.sh
set -euo pipefail
here=netloop/wire/testdata/capture
version=3.9.5
lib=$PWD/.cache/zookeeper-$version
[ -d "$lib" ] || mvn -q -B -f cmd/difftest/zookeeper.pom.xml dependency:copy-dependencies \
  -DincludeScope=runtime -DoutputDirectory="$lib"
work=$(mktemp -d)
pids=()
trap 'kill "${pids[@]}" 2>/dev/null || true; rm -rf "$work"' EXIT

cat > "$work/zoo.cfg" <<CFG
tickTime=2000
dataDir=$work/data
clientPort=22000
clientPortAddress=127.0.0.1
admin.enableServer=false
reconfigEnabled=true
extendedTypesEnabled=true
authProvider.1=org.apache.zookeeper.server.auth.SASLAuthenticationProvider
CFG
cat > "$work/jaas.conf" <<CFG
Server { org.apache.zookeeper.server.auth.DigestLoginModule required user_otter="brook"; };
Client { org.apache.zookeeper.server.auth.DigestLoginModule required username="otter" password="brook"; };
CFG
java -Dzookeeper.fips-mode=false -Djava.security.auth.login.config="$work/jaas.conf" -cp "$lib/*" \
  org.apache.zookeeper.server.quorum.QuorumPeerMain "$work/zoo.cfg" > "$work/server.log" 2>&1 &
pids+=($!)
until (exec 3<>/dev/tcp/127.0.0.1/22000) 2>/dev/null; do sleep 0.3; done

go build -o "$work/capture" "./$here"
record() { # record NAME PORT COMMAND...
  "$work/capture" -listen 127.0.0.1:$2 -server 127.0.0.1:22000 -out "netloop/wire/testdata/$1.txt" &
  local proxy=$!
  pids+=($proxy)
  sleep 0.3
  "${@:3}" > "$work/$1.log" 2>&1 || { cat "$work/$1.log"; exit 1; }
  kill $proxy
  wait $proxy || true
}
record kazoo 22011 python3 $here/kazoo_client.py 22011
record go-zk 22012 go run $here/go_client.go 127.0.0.1:22012
record java 22013 java -cp "$lib/*" $here/JavaClient.java 127.0.0.1:22013
record java-sasl 22014 java -Dzookeeper.fips-mode=false -Djava.security.auth.login.config="$work/jaas.conf" -cp "$lib/*" $here/JavaClient.java 127.0.0.1:22014
wc netloop/wire/testdata/*.txt
