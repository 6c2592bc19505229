"""Broadcasts its argument to every client and prints the broadcast's id."""

import os
import sys
import uuid

import boto3

if len(sys.argv) != 2 or not os.environ.get("QUEUE_URL"):
    sys.exit("usage: QUEUE_URL=... python3 publish.py MESSAGE")
sqs = boto3.client("sqs")
broadcast_id = str(uuid.uuid4())  # with an id, a retry cannot broadcast the message twice
sqs.send_message(
    QueueUrl=os.environ["QUEUE_URL"],
    MessageBody=sys.argv[1],
    MessageAttributes={"broadcastId": {"DataType": "String", "StringValue": broadcast_id}},
)
print(broadcast_id)
