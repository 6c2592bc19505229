#!/bin/sh
# Publishes its argument to every client; prints the broadcast's id.
set -eu
# Version 1 of the AWS CLI overlooks AWS_ENDPOINT_URL in its sqs commands; on AWS itself the option is not there.
aws ${AWS_ENDPOINT_URL:+--endpoint-url "$AWS_ENDPOINT_URL"} sqs send-message \
    --queue-url "$QUEUE_URL" --message-body "$1" --query MessageId --output text
