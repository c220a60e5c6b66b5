#!/bin/sh
# Starts Amazon's DynamoDB Local in memory on the given port (8100 by default), in the foreground.
# Without -sharedDb, so that regions and access keys are kept apart, as on AWS.
set -eu

here=$(cd "$(dirname "$0")" && pwd)
jars=$here/../../target/dynamodb-local
port=${1:-8100}

if ! ls "$jars"/DynamoDBLocal-*.jar >/dev/null 2>&1; then
    mvn -q -f "$here/pom.xml" process-resources
fi
exec java -Djava.library.path="$jars" -cp "$jars/*" \
    software.amazon.dynamodb.services.local.main.ServerRunner \
    -inMemory -disableTelemetry -port "$port"
