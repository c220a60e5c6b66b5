#!/bin/sh
# Starts Apache Kafka as one process on loopback:
#
#   run.sh FOLDER PORT CONTROLLER_PORT [--until-stdin-closes]
#
# It keeps its data in FOLDER and goes on with what is there. FOLDER/pid has the broker's process id, FOLDER/kafka.log what it
# says. It runs until it is told to stop; with the last argument also no longer than whoever holds its standard input.
# `run.sh --fetch` only gets the jars.
set -eu

here=$(cd "$(dirname "$0")" && pwd)
jars=$here/../../target/kafka

if ! ls "$jars"/kafka_*.jar >/dev/null 2>&1; then
    # Several tests may start at once: one fetches, beside the place, and moves what is complete.
    (
        flock 9
        if ! ls "$jars"/kafka_*.jar >/dev/null 2>&1; then
            mvn -q -B -f "$here/pom.xml" -Djars="$jars.part" process-resources >&2
            mv "$jars.part" "$jars"
        fi
    ) 9>"$here/../../target/.kafka-lock"
fi
[ "${1:-}" = --fetch ] && exit 0

folder=$1 port=$2 controller=$3
mkdir -p "$folder"
cat >"$folder/server.properties" <<PROPERTIES
process.roles=broker,controller
node.id=1
controller.quorum.voters=1@127.0.0.1:$controller
listeners=PLAINTEXT://127.0.0.1:$port,CONTROLLER://127.0.0.1:$controller
advertised.listeners=PLAINTEXT://127.0.0.1:$port
listener.security.protocol.map=PLAINTEXT:PLAINTEXT,CONTROLLER:PLAINTEXT
controller.listener.names=CONTROLLER
inter.broker.listener.name=PLAINTEXT
log.dirs=$folder/data
auto.create.topics.enable=false
offsets.topic.num.partitions=1
offsets.topic.replication.factor=1
transaction.state.log.num.partitions=1
transaction.state.log.replication.factor=1
transaction.state.log.min.isr=1
num.network.threads=2
num.io.threads=2
PROPERTIES

jvm='-Xms128m -Xmx512m -XX:+UseSerialGC -XX:TieredStopAtLevel=1'
if [ ! -f "$folder/data/meta.properties" ]; then
    java $jvm -cp "$jars/*" kafka.tools.StorageTool format --cluster-id dHJhZGV3aW5kLXRlc3RzAA \
        --config "$folder/server.properties" >"$folder/kafka.log" 2>&1 || { cat "$folder/kafka.log" >&2; exit 1; }
fi
java $jvm -cp "$jars/*" kafka.Kafka "$folder/server.properties" >>"$folder/kafka.log" 2>&1 </dev/null &
broker=$!
echo "$broker" >"$folder/pid"
trap 'kill "$broker" 2>/dev/null || true' INT TERM HUP
if [ "${4:-}" = --until-stdin-closes ]; then
    cat >/dev/null || true
    kill "$broker" 2>/dev/null || true
fi
wait "$broker" || true
