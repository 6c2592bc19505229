"""Publishes its argument to every client; prints the broadcast's id."""

import os
import sys

import boto3

sqs = boto3.client("sqs")
answer = sqs.send_message(QueueUrl=os.environ["QUEUE_URL"], MessageBody=sys.argv[1])
print(answer["MessageId"])
