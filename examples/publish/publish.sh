#!/bin/sh
# Broadcasts its argument to every client and prints the broadcast's id.
set -eu
if [ $# -ne 1 ] || [ -z "${QUEUE_URL:-}" ]; then
    echo "usage: QUEUE_URL=... sh publish.sh MESSAGE" >&2
    exit 2
fi
id=$(od -An -N16 -tx1 /dev/urandom | tr -d ' \n') # with an id, a retry cannot broadcast the message twice
# Version 1 of the AWS CLI ignores AWS_ENDPOINT_URL in its sqs commands. On AWS the variable is not set.
# The message goes through standard input, because the CLI reads an argument such as file://secret.txt as a file.
printf %s "$1" | aws ${AWS_ENDPOINT_URL:+--endpoint-url "$AWS_ENDPOINT_URL"} sqs send-message \
    --queue-url "$QUEUE_URL" --message-body file:///dev/stdin \
    --message-attributes "broadcastId={DataType=String,StringValue=$id}" --output text >/dev/null
echo "$id"
